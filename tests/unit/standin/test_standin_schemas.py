"""Values made for a schema are valid for it."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standin.errors import StandInError
from standin.json_schema.patterns import find_match
from standin.json_schema.value_maker import ValueMaker


def make(schema: dict[str, Any], *, is_full: bool = True) -> Any:
    """The value for a schema."""
    return ValueMaker(schema, is_full=is_full).make()


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "stand-in"),
        ({"type": "string", "minLength": 10}, "stand-in--"),
        ({"type": "string", "maxLength": 3}, "sta"),
        ({"type": "string", "format": "date"}, "2025-01-01"),
        ({"type": ["null", "boolean"]}, False),
        ({"enum": ["b", "a"]}, "b"),
        ({"const": 7}, 7),
        ({"type": "string", "default": "x"}, "x"),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 2.5}, 3),
        ({"type": "integer", "exclusiveMaximum": -4}, -5),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "integer", "multipleOf": 7, "minimum": 15}, 21),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True}, [1, 2, 3]),
        ({"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "uniqueItems": True}, ["a", "b"]),
        ({"type": "array", "prefixItems": [{"type": "null"}, {"type": "integer"}]}, [None, 1]),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
        ({"allOf": [{"properties": {"a": {"type": "integer"}}}, {"required": ["b"]}]}, {"a": 1, "b": "b"}),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "properties": {"x": True}}}}, {"x": "x"}),
        ({}, "stand-in"),
    ],
)
def test_value_is_what_the_schema_allows(schema: dict[str, Any], value: object) -> None:
    assert make(schema) == value


def test_optional_properties_are_left_out_unless_wanted() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}}, "required": ["b"]}
    assert make(schema) == {"a": None, "b": None}
    assert make(schema, is_full=False) == {"b": None}


def test_a_schema_that_contains_itself_ends() -> None:
    schema = {
        "type": "object",
        "properties": {
            "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
            "children": {"type": "array", "items": {"$ref": "#"}},
        },
        "required": ["next", "children"],
    }
    value = make(schema)
    depth = 0
    while value["next"] is not None:
        assert isinstance(value["children"], list)
        value, depth = value["next"], depth + 1
    assert 0 < depth < 10


@pytest.mark.parametrize("schema", [{"$ref": "#/nowhere"}, {"$ref": "#"}, {"type": "object", "properties": 7}])
def test_an_invalid_schema_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(StandInError, match="No value"):
        make(schema)


@pytest.mark.parametrize(
    "pattern", [r"^[A-Z]{3}-\d{4}$", r"(foo|bar)+baz?", r"[^a]x.\w\s\S", r"^\+?[1-9]\d{1,14}$", "a|"]
)
def test_patterns_are_kept(pattern: str) -> None:
    found = find_match(pattern)
    assert found is not None
    assert re.search(pattern, found)


def test_a_pattern_it_cannot_read_is_given_up() -> None:
    assert find_match("(") is None


@given(st.integers(-50, 50), st.integers(0, 30), st.integers(1, 9))
def test_whole_numbers_stay_within_bounds(low: int, room: int, step: int) -> None:
    value = make({"type": "integer", "minimum": low, "maximum": low + room + step, "multipleOf": step})
    assert low <= value <= low + room + step
    assert value % step == 0
