"""Makes and checks the scalars of a document: numbers within bounds, strings of a format, pattern and length."""

import math
import re
from collections.abc import Mapping
from typing import Any

from standin.json_schema.patterns import find_match

Schema = Mapping[str, Any]

_FORMATS = {
    "date-time": "2025-01-01T00:00:00Z",
    "date": "2025-01-01",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "stand-in@example.com",
    "hostname": "example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def get_type(schema: Schema) -> str:
    """The type to make: the named one, the first that is not null, or what the other keywords imply."""
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind is None and "properties" in schema:
        return "object"
    if kind is None and ("items" in schema or "prefixItems" in schema):
        return "array"
    return str(kind or "string")


def fits(value: Any, kind: str, schema: Schema) -> bool:
    """Whether a proposed value is valid for a scalar's schema. Of a list or an object only the type is checked."""
    if "enum" in schema:
        return value in schema["enum"]
    if kind == "string":
        return isinstance(value, str) and _is_text_within(value, schema)
    if kind in {"integer", "number"}:
        return isinstance(value, int | float) and _is_within(value, schema)
    return isinstance(value, {"boolean": bool, "array": list, "object": dict}.get(kind, object))


def make_number(schema: Schema, *, is_integer: bool) -> float | int:
    """1, or the first number near the bounds that the bounds and the step allow."""
    bounds = [schema[key] for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum") if key in schema]
    places = [1, 0, *(bound + way for bound in bounds for way in (0, 1, -1)), sum(bounds) / max(len(bounds), 1)]
    step = schema.get("multipleOf", 1 if is_integer else 0)
    if step:
        places = [rounded(place / step) * step for place in places for rounded in (math.ceil, math.floor)]
    value = next((place for place in places if _is_within(place, schema)), 1)
    return int(value) if value == int(value) else value


def _is_within(value: float, schema: Schema) -> bool:
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
    return bool(low <= value <= high and above < value < below)


def _is_text_within(text: str, schema: Schema) -> bool:
    fewest, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
    return fewest <= len(text) <= most and re.search(schema.get("pattern", ""), text) is not None


def make_string(schema: Schema, plain: str) -> str:
    """The plain text, or what format or pattern demand, at an allowed length."""
    plain = _FORMATS.get(schema.get("format", "")) or find_match(schema.get("pattern", "")) or plain
    fewest, most = schema.get("minLength", 0), schema.get("maxLength")
    return plain.ljust(fewest, "-")[:most]


def make_distinct(items: list[Any], schema: Schema) -> list[Any]:
    """Distinct items where their type allows it: numbers count up, strings end in a number, enums go on."""
    if "enum" in schema:
        return list(schema["enum"][: len(items)])
    made = []
    for place, item in enumerate(items):
        is_number = isinstance(item, int | float) and not isinstance(item, bool)
        made.append(item + place if is_number else f"{item}{place or ''}" if isinstance(item, str) else item)
    return made
