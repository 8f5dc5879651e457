"""Pure: which attributes fit a filter."""

from collections.abc import Callable, Mapping
from operator import ge, gt, le, lt
from typing import Any, TypeAlias

from prompts.domain.passages import Attributes, Comparison, Filter

Value: TypeAlias = str | float | bool

_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}


def fits(attributes: Attributes, where: Filter | None) -> bool:
    """Whether the attributes fit. A value of another kind is another value: `true` is not 1, and "2" is not 2."""
    if where is None:
        return True
    if isinstance(where, Comparison):
        return _compare(attributes.get(where.key), where)
    return (all if where.type == "and" else any)(fits(attributes, each) for each in where.filters)


def _compare(found: Value | None, where: Comparison) -> bool:
    values = where.value if isinstance(where.value, list) else [where.value]
    if where.type in ("eq", "in"):
        return any(_is_same(found, value) for value in values)
    if where.type in ("ne", "nin"):
        return not any(_is_same(found, value) for value in values)
    [value] = values
    return _kind_of(found) is _kind_of(value) and _ORDERS[where.type](found, value)


def _is_same(found: Value | None, value: Value) -> bool:
    return _kind_of(found) is _kind_of(value) and found == value


def _kind_of(value: Value | None) -> type[Any]:
    """A number may be written with or without a decimal point."""
    return float if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value)
