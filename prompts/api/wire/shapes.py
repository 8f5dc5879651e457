"""The shapes of the wire's structs: what of a JSON value a struct does not know.

msgspec either ignores unknown fields without a word or refuses the first one. Bodies are decoded the strict way; one
that is refused is looked at with its shape, which takes the unknown away and names it, and is decoded once more.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct, inspect

from prompts.api.wire.unknown import Unknown
from prompts.api.wire.wording import invalid
from prompts.errors import InvalidRequest

# Entries of lists that are looked at one by one. A legal body has fewer: 5,000 items of a few parts each.
MAX_ENTRIES = 100_000

# Where the items of a body stand.
ITEMS = ("input[", "items[")
# Fields of one object. No API has so many, and each unknown one is looked at.
MAX_FIELDS = 10_000
# Objects of a body that are looked at, 8 µs each. A legal one has fewer: 5,000 items of a few parts each.
MAX_OBJECTS = 40_000


class Shape(ABC):
    """One type's."""

    @abstractmethod
    def clean(self, value: Any, path: str, unknown: Unknown) -> Any:
        """The value without what the type does not know, which is named; null is no value where it has no null.

        Raises InvalidRequest for a value without end.
        """


class Leaf(Shape):
    """Of what holds no struct."""

    def clean(self, value: Any, path: str, unknown: Unknown) -> Any:
        """See `Shape.clean`."""
        return value


LEAF = Leaf()


class ListShape(Shape):
    """Of a list with structs in it."""

    def __init__(self, entry: Shape) -> None:
        self._entry = entry

    def clean(self, value: Any, path: str, unknown: Unknown) -> Any:
        """See `Shape.clean`."""
        if not isinstance(value, list):
            return value
        if len(value) > MAX_ENTRIES:
            raise InvalidRequest(f"Invalid '{path}': has more than {MAX_ENTRIES:,} entries.", param=path)
        return [self._entry.clean(entry, f"{path}[{index}]", unknown) for index, entry in enumerate(value)]


class StructShape(Shape):
    """Of a struct; its fields are built when they are first needed, because structs may hold each other."""

    def __init__(self, struct: type[Struct]) -> None:
        self._struct = struct

    def clean(self, value: Any, path: str, unknown: Unknown) -> Any:
        """See `Shape.clean`."""
        if not isinstance(value, dict):
            return value
        if len(value) > MAX_FIELDS:
            place = path or "the body"
            raise InvalidRequest(f"Invalid '{place}': has more than {MAX_FIELDS:,} fields.", param=path or None)
        unknown.count_object(MAX_OBJECTS)
        fields = get_fields(self._struct)
        cleaned: dict[str, Any] = {}
        for name, entry in value.items():
            place = f"{path}.{name}" if path else name
            if name not in fields:
                _leave_out(place, entry, unknown)
                continue
            shape, has_null = fields[name]
            if entry is not None:
                cleaned[name] = shape.clean(entry, place, unknown)
            elif has_null:
                cleaned[name] = None
        return cleaned


class UnionShape(Shape):
    """Of one of several types: lists, a struct, or structs that a tag tells apart."""

    def __init__(self, entries: Shape, structs: Mapping[Any, Shape], tag_field: str | None) -> None:
        self._entries = entries
        self._structs = structs
        self._tag_field = tag_field

    def clean(self, value: Any, path: str, unknown: Unknown) -> Any:
        """See `Shape.clean`."""
        if not isinstance(value, dict):
            return self._entries.clean(value, path, unknown)
        tag = value.get(self._tag_field) if self._tag_field else None
        shape = self._structs.get(tag, LEAF) if isinstance(tag, str | None) else LEAF
        return shape.clean(value, path, unknown)


def _leave_out(place: str, value: Any, unknown: Unknown) -> None:
    if value is not None:  # null says nothing
        unknown.leave_out(place, "item_field" if place.startswith(ITEMS) else "field")


def convert(value: Any, wanted: Any, path: str, unknown: Unknown) -> Any:
    """A value that stood at this place as the wanted type; what that does not know is named. Raises InvalidRequest."""
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        pass
    try:
        return msgspec.convert(get_shape(wanted).clean(value, path, unknown), wanted)
    except msgspec.ValidationError as exc:
        raise invalid(str(exc), under=path) from None


@cache
def get_shape(model: Any) -> Shape:
    """The shape of a type as it stands in annotations."""
    return _build(inspect.type_info(model))


@cache
def get_fields(struct: type[Struct]) -> Mapping[str, tuple[Shape, bool]]:
    """Of each field on the wire: its shape, and whether null is a value of it."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    fields = {each.encode_name: (_build(each.type), _has_null(each.type)) for each in info.fields}
    return fields if info.tag_field is None else {**fields, info.tag_field: (LEAF, False)}


def _build(info: inspect.Type) -> Shape:
    match info:
        case inspect.Metadata(type=inner):
            return _build(inner)
        case inspect.StructType(cls=cls):
            return StructShape(cls)
        case inspect.ListType(item_type=entry):
            shape = _build(entry)
            return LEAF if shape is LEAF else ListShape(shape)
        case inspect.UnionType(types=types):
            return _build_union(types)
    return LEAF


def _build_union(types: tuple[inspect.Type, ...]) -> Shape:
    plain = [each.type if isinstance(each, inspect.Metadata) else each for each in types]
    structs = [each for each in plain if isinstance(each, inspect.StructType)]
    entries = next((_build(each) for each in plain if isinstance(each, inspect.ListType)), LEAF)
    if not structs:
        return entries
    return UnionShape(entries, {each.tag: StructShape(each.cls) for each in structs}, structs[0].tag_field)


def _has_null(info: inspect.Type) -> bool:
    match info:
        case inspect.Metadata(type=inner):
            return _has_null(inner)
        case inspect.UnionType(types=types):
            return any(_has_null(each) for each in types)
    return isinstance(info, (inspect.NoneType, inspect.AnyType))
