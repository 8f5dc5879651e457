"""JSON without what says nothing: fields that have their default are left out, and read back as they were."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import NODEFAULT, Struct

encode = msgspec.json.Encoder().encode


def build_lean_encoder(kind: type[Struct]) -> Callable[[Struct], bytes]:
    """An encoder of one kind of struct; what stands inside its fields is written whole."""
    fields = [(field.encode_name, _find_default(field)) for field in msgspec.structs.fields(kind)]

    def encode_lean(value: Struct) -> bytes:
        held = zip(fields, msgspec.structs.astuple(value), strict=True)
        told: dict[str, Any] = {name: each for (name, default), each in held if each is not default and each != default}
        return encode(told)

    return encode_lean


def _find_default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default_factory() if field.default_factory is not NODEFAULT else field.default
