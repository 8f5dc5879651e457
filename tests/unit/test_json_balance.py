"""Whether a document in pieces is whole: as reading all of it would say, however it is cut."""

import json
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts.adapters.openai.json_balance import JsonBalance

DOCUMENTS = st.recursive(
    st.none() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@settings(max_examples=50)
@given(DOCUMENTS.filter(lambda value: isinstance(value, dict | list)), st.data())
def test_a_document_is_whole_with_its_last_character_and_not_before(value: Any, data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))))
    pieces: list[str] = []
    balance = JsonBalance()
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        pieces.append(text[start:end])
        # Nothing is said of an empty piece behind the end: nobody adds one.
        assert balance.is_whole(pieces) == (end == len(text) and text[start:end] != "")


@pytest.mark.parametrize("text", ["", "{", "}", "{}}", "{} {}", '{"a": "}', '{"a": "\\"}', "[}", "{]", "1", '{"a" 1}'])
def test_what_is_no_document_is_never_whole(text: str) -> None:
    assert not JsonBalance().is_whole([*text])


@pytest.mark.timed
def test_each_piece_is_read_once() -> None:
    pieces, balance = ['{"a":"'], JsonBalance()
    began = perf_counter()
    for _ in range(50_000):  # looked at whole each time, this took ten seconds
        pieces.append("xxxx}")
        assert not balance.is_whole(pieces)
    assert perf_counter() - began < 5
