"""How deeply JSON is nested: counted without reading it, whatever stands in strings."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompts.domain.nesting import MAX_DEPTH, is_too_deep

values = st.recursive(
    st.none() | st.text(alphabet='[]{}"\\x', max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='[{"\\', max_size=3), inner, max_size=3)
    ),
    max_leaves=20,
)


def measure(value: Any) -> int:
    """How many objects and lists are inside each other."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(measure, inner), default=0)


@given(values, st.integers(0, 6))
def test_it_counts_as_a_reader_does(value: Any, max_depth: int) -> None:
    assert is_too_deep(json.dumps(value), max_depth) is (measure(value) > max_depth)


@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":[', "]}"), ('{"]":', "}")])
def test_it_ends_at_the_limit(opened: str, closed: str) -> None:
    levels = sum(opened.count(mark) for mark in "[{")
    times = MAX_DEPTH // levels
    inner = "1"
    assert not is_too_deep(opened * times + inner + closed * times)
    assert is_too_deep((opened * times + "[]" + closed * times).encode())


def test_what_is_cut_off_counts_as_well() -> None:
    assert is_too_deep("[" * 1_000_000)
    assert not is_too_deep("]" * 1_000_000)
    assert not is_too_deep('"' + "[" * 1_000_000)
