"""Filters by what is known of files, as a client writes them."""

from typing import Any, TypeVar

import msgspec

from prompts.domain.passages import Comparison, Compound, Filter
from prompts.errors import InvalidRequest

# Filters inside of each other; and all comparisons of one.
MAX_DEPTH, MAX_COMPARISONS = 8, 100

_Read = TypeVar("_Read", Comparison, Compound)


def read_filter(raw: Any, param: str) -> Filter:
    """The filter that stands at this place. Raises InvalidRequest for one that is not whole."""
    read, left = _read(raw, param, MAX_DEPTH, MAX_COMPARISONS)
    if left < 0:
        message = f"Invalid '{param}': has more than {MAX_COMPARISONS} comparisons. Use fewer."
        raise InvalidRequest(message, param=param)
    return read


def _read(raw: Any, param: str, depth: int, left: int) -> tuple[Filter, int]:
    if not isinstance(raw, dict) or raw.get("type") not in ("and", "or"):
        return _read_comparison(raw, param), left - 1
    compound = _convert(raw, Compound, param)
    if not depth or not compound.filters or len(compound.filters) > left:
        message = f"Invalid '{param}': 'filters' must hold 1 to {MAX_COMPARISONS}, at most {MAX_DEPTH} levels deep."
        raise InvalidRequest(message, param=param)
    filters: list[Filter] = []
    for index, each in enumerate(compound.filters):
        one, left = _read(each, f"{param}.filters[{index}]", depth - 1, left)
        filters.append(one)
    return Compound(type=compound.type, filters=filters), left


def _read_comparison(raw: Any, param: str) -> Comparison:
    read = _convert(raw, Comparison, param)
    if isinstance(read.value, list) != (read.type in ("in", "nin")):
        raise InvalidRequest(f"Invalid '{param}.value': 'in' and 'nin' take a list, nothing else does.", param=param)
    return read


def _convert(raw: Any, wanted: type[_Read], param: str) -> _Read:
    try:
        return msgspec.convert(raw, wanted)
    except msgspec.ValidationError as error:
        message = f"Invalid '{param}': it is no whole filter ({error})."
        raise InvalidRequest(message, param=param) from None
