"""Filters: what is refused, with its path, and which attributes fit."""

from typing import Any

import pytest

from prompts.api.wire.attributes import read_attributes
from prompts.api.wire.filters import MAX_DEPTH, MAX_VALUES, read_filter
from prompts.domain.passages import Attributes, Comparison, Compound
from prompts.errors import InvalidRequest
from prompts.knowledge.filters import fits

ATTRIBUTES: Attributes = {"team": "support", "year": 2024.0, "is_public": True}


def compare(kind: str, key: str, value: Any) -> dict[str, Any]:
    """A comparison as a client writes it."""
    return {"type": kind, "key": key, "value": value}


def nest(depth: int) -> dict[str, Any]:
    """A filter of so many levels."""
    raw = compare("eq", "a", 1)
    for _ in range(depth - 1):
        raw = {"type": "and", "filters": [raw]}
    return raw


GOOD = compare("eq", "team", "support")
REFUSED: list[tuple[Any, str]] = [
    ("team", "filters"),
    ([], "filters"),
    ({}, "filters.type"),
    ({"type": None}, "filters.type"),
    ({"type": 3}, "filters.type"),
    ({"type": "like"}, "filters.type"),
    ({"type": "eq", "value": 1}, "filters.key"),
    ({"type": "eq", "key": "a"}, "filters.value"),
    ({**GOOD, "valeu": 1}, "filters.valeu"),
    ({**GOOD, "filters": []}, "filters.filters"),
    (compare("eq", "", 1), "filters.key"),
    (compare("eq", "k" * 65, 1), "filters.key"),
    ({**GOOD, "key": 3}, "filters.key"),
    (compare("eq", "a", None), "filters.value"),
    (compare("eq", "a", {}), "filters.value"),
    (compare("eq", "a", [1]), "filters.value"),
    (compare("eq", "a", "x" * 513), "filters.value"),
    (compare("eq", "a", 10**400), "filters.value"),
    (compare("eq", "a", float("inf")), "filters.value"),
    (compare("gt", "a", True), "filters.value"),
    (compare("in", "a", "x"), "filters.value"),
    (compare("in", "a", []), "filters.value"),
    (compare("in", "a", ["x", None]), "filters.value[1]"),
    (compare("nin", "a", ["x", ["y"]]), "filters.value[1]"),
    (compare("in", "a", [1] * (MAX_VALUES + 1)), "filters"),
    ({"type": "and"}, "filters.filters"),
    ({"type": "or", "filters": []}, "filters.filters"),
    ({"type": "or", "filters": {}}, "filters.filters"),
    ({"type": "or", "filters": [GOOD, compare("eq", "a", None)]}, "filters.filters[1].value"),
    ({"type": "or", "filters": [GOOD, {"type": "and", "filters": [None]}]}, "filters.filters[1].filters[0]"),
    ({"type": "and", "filters": [GOOD] * (MAX_VALUES + 1)}, f"filters.filters[{MAX_VALUES}]"),
    (nest(MAX_DEPTH + 1), "filters" + ".filters[0]" * (MAX_DEPTH - 1)),
]


@pytest.mark.parametrize(("raw", "path"), REFUSED, ids=[f"{number} {path}" for number, (_, path) in enumerate(REFUSED)])
def test_what_is_wrong_is_refused_with_its_place(raw: Any, path: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_filter(raw, "filters")
    assert caught.value.param == path
    assert f"'{path}'" in caught.value.message


def test_a_filter_is_read() -> None:
    raw = {"type": "or", "filters": [GOOD, {"type": "and", "filters": [compare("in", "year", [2023, 2024])]}]}
    years = Comparison(type="in", key="year", value=[2023.0, 2024.0])
    team = Comparison(type="eq", key="team", value="support")
    assert read_filter(raw, "filters") == Compound(type="or", filters=[team, Compound(type="and", filters=[years])])
    read_filter(nest(MAX_DEPTH), "filters")


@pytest.mark.parametrize(
    ("kind", "value", "is_fitting"),
    [("gt", False, True), ("gt", True, False), ("gte", True, True), ("lt", True, False), ("lte", False, False)],
)
def test_false_is_below_true(kind: Any, value: bool, is_fitting: bool) -> None:
    """As in both indexes, though no client can ask for it."""
    assert fits(ATTRIBUTES, Comparison(type=kind, key="is_public", value=value)) is is_fitting
    assert not fits(ATTRIBUTES, Comparison(type=kind, key="year", value=value)), "a number is another kind"
    assert not fits(ATTRIBUTES, Comparison(type=kind, key="nothing", value=value))


@pytest.mark.parametrize(
    ("kind", "key", "value", "is_fitting"),
    [
        ("eq", "team", "support", True),
        ("eq", "team", "sales", False),
        ("eq", "year", 2024, True),
        ("eq", "year", "2024", False),
        ("eq", "is_public", True, True),
        ("eq", "is_public", 1, False),
        ("eq", "nothing", "x", False),
        ("ne", "team", "sales", True),
        ("ne", "team", "support", False),
        ("ne", "nothing", "x", True),
        ("gt", "year", 2023, True),
        ("gt", "year", 2024, False),
        ("gte", "year", 2024, True),
        ("lt", "year", 2025, True),
        ("lte", "year", 2023, False),
        ("gt", "team", "sales", True),
        ("gt", "team", 3, False),
        ("gt", "nothing", 3, False),
        ("in", "team", ["sales", "support"], True),
        ("in", "team", ["sales"], False),
        ("in", "nothing", ["sales"], False),
        ("nin", "team", ["sales"], True),
        ("nin", "year", [2024], False),
        ("nin", "nothing", ["sales"], True),
    ],
)
def test_attributes_fit_or_not(kind: str, key: str, value: Any, is_fitting: bool) -> None:
    where = read_filter(compare(kind, key, value), "filters")
    assert fits(ATTRIBUTES, where) is is_fitting
    assert fits(ATTRIBUTES, None)
    wrong = compare("eq", "team", "nobody")
    assert (
        fits(ATTRIBUTES, read_filter({"type": "and", "filters": [GOOD, compare(kind, key, value)]}, "f")) is is_fitting
    )
    assert (
        fits(ATTRIBUTES, read_filter({"type": "or", "filters": [wrong, compare(kind, key, value)]}, "f")) is is_fitting
    )


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({f"key{number}": 1 for number in range(17)}, "attributes"),
        ({"k" * 65: 1}, f"attributes.{'k' * 65}"),
        ({"": 1}, "attributes."),
        ({"a": "x" * 513}, "attributes.a"),
        ({"a": None}, "attributes.a"),
        ({"a": ["x"]}, "attributes.a"),
        ({"a": {}}, "attributes.a"),
        ({"a": 10**400}, "attributes.a"),
        ({"a": float("nan")}, "attributes.a"),
    ],
)
def test_attributes_that_cannot_be_kept_are_refused(raw: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_attributes(raw, "attributes")
    assert caught.value.param == path


def test_attributes_are_read() -> None:
    assert read_attributes({"a": 1, "b": True, "c": "x" * 512}, "attributes") == {"a": 1.0, "b": True, "c": "x" * 512}
    assert read_attributes(None, "attributes") == {}
