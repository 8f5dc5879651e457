"""Reading filters: what of a search must be true of a file's attributes."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from prompts.api.wire.wording import shorten
from prompts.domain.passages import Comparison, Compound, Filter
from prompts.errors import InvalidRequest

# docs/api.md, "Limits": deep enough for whoever writes filters, small enough for every index.
MAX_DEPTH = 8
MAX_VALUES = 256
MAX_KEY_CHARACTERS = 64
MAX_TEXT_CHARACTERS = 512

_COMPARISONS = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin")
_COMPOUNDS = ("and", "or")

_VALUE = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}
FilterParam = Annotated[
    dict[str, Any],
    Meta(
        description="A comparison `{type, key, value}`, or `{type: and | or, filters: […]}` of several.",
        extra_json_schema={
            "required": ["type"],
            "properties": {
                "type": {"type": "string", "enum": [*_COMPARISONS, *_COMPOUNDS]},
                "key": {"type": "string", "maxLength": MAX_KEY_CHARACTERS},
                "value": {"anyOf": [*_VALUE["anyOf"], {"type": "array", "items": _VALUE}]},
                "filters": {"type": "array", "minItems": 1, "items": {"type": "object"}},
            },
            "examples": [{"type": "eq", "key": "team", "value": "support"}],
        },
    ),
]
"""A filter in a body, which `read_filter` reads."""


@dataclass(slots=True)
class _Budget:
    """How many values one filter may still compare with."""

    left: int = MAX_VALUES


def read_filter(raw: Any, param: str) -> Filter:
    """The filter as a value. Raises InvalidRequest naming the path: `filters.filters[1].value`."""
    return _read(raw, param, 1, _Budget())


def _read(raw: Any, param: str, depth: int, budget: _Budget) -> Filter:
    if not isinstance(raw, dict):
        raise _invalid(param, "must be an object with 'type'")
    match raw.get("type"):
        case str() as kind if kind in _COMPARISONS:
            return _read_comparison(raw, param, kind, budget)
        case str() as kind if kind in _COMPOUNDS:
            if depth >= MAX_DEPTH:
                raise _invalid(param, f"is nested too deeply: at most {MAX_DEPTH} levels")
            return _read_compound(raw, param, kind, depth, budget)
        case None:
            raise InvalidRequest(f"Missing required parameter: '{param}.type'.", param=f"{param}.type")
        case str() as kind:
            got = f"not '{shorten(kind)}'"
        case _:
            got = "a string"
    raise _invalid(f"{param}.type", f"must be one of {', '.join(map(repr, (*_COMPARISONS, *_COMPOUNDS)))}, {got}")


def _read_compound(raw: dict[str, Any], param: str, kind: Any, depth: int, budget: _Budget) -> Compound:
    _check_fields(raw, param, ("type", "filters"))
    filters = raw["filters"]
    if not isinstance(filters, list) or not filters:
        raise _invalid(f"{param}.filters", "must be an array of at least one filter")
    read = [_read(each, f"{param}.filters[{place}]", depth + 1, budget) for place, each in enumerate(filters)]
    return Compound(type=kind, filters=read)


def _read_comparison(raw: dict[str, Any], param: str, kind: Any, budget: _Budget) -> Comparison:
    _check_fields(raw, param, ("type", "key", "value"))
    key, value = raw["key"], raw["value"]
    if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY_CHARACTERS:
        raise _invalid(f"{param}.key", f"must be a string of 1 to {MAX_KEY_CHARACTERS} characters")
    is_list = kind in ("in", "nin")
    if is_list and (not isinstance(value, list) or not value):
        raise _invalid(f"{param}.value", f"must be an array of at least one value for '{kind}'")
    budget.left -= len(value) if is_list else 1
    if budget.left < 0:
        raise _invalid(param, f"has too many values: at most {MAX_VALUES} in a filter")
    path = f"{param}.value"
    if not is_list:
        is_order = kind in ("gt", "gte", "lt", "lte")
        return Comparison(type=kind, key=key, value=read_value(value, path, is_order=is_order))
    read = [read_value(each, f"{path}[{place}]") for place, each in enumerate(value)]
    return Comparison(type=kind, key=key, value=read)


def _check_fields(raw: dict[str, Any], param: str, names: tuple[str, ...]) -> None:
    """What is unknown here might be a typing error, and a filter that is left out shows what it was to hide."""
    for name in names:
        if name not in raw:
            raise InvalidRequest(f"Missing required parameter: '{param}.{name}'.", param=f"{param}.{name}")
    for name in raw:
        if name not in names:
            path = f"{param}.{shorten(name)}"
            raise InvalidRequest(f"Unknown parameter: '{path}'. Leave it out.", param=path)


def read_value(value: Any, path: str, *, is_order: bool = False) -> str | float | bool:
    """A value of an attribute, or to compare one with; numbers as floats. `is_order` is for more and less.

    Raises InvalidRequest naming the path.
    """
    if isinstance(value, str):
        if len(value) > MAX_TEXT_CHARACTERS:
            raise _invalid(path, f"must be a string of at most {MAX_TEXT_CHARACTERS} characters")
        return value
    if isinstance(value, bool) and not is_order:
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not _is_finite(value):
            raise _invalid(path, "must be a smaller number")
        return float(value)
    raise _invalid(path, "must be a string or a number" if is_order else "must be a string, a number, true or false")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _invalid(path: str, rule: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid '{path}': {rule}.", param=path)
