"""JSON without what says nothing: fields that have their default are left out, and read back as they were."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import NODEFAULT, Struct

encode = msgspec.json.Encoder().encode


def build_lean_encoder(kind: type[Struct]) -> Callable[[Struct], bytes]:
    """An encoder of one kind of struct; what stands inside its fields is written whole."""
    fields = [(field.name, field.encode_name, _find_default(field)) for field in msgspec.structs.fields(kind)]

    def encode_lean(value: Struct) -> bytes:
        told: dict[str, Any] = {}
        for name, shown_name, default in fields:
            held = getattr(value, name)
            if held is not default and held != default:
                told[shown_name] = held
        return encode(told)

    return encode_lean


def _find_default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default_factory() if field.default_factory is not NODEFAULT else field.default
