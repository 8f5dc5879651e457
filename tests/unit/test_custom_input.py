"""`CustomInput` takes the text out of a function's arguments while they come, cut anywhere."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts.adapters.openai.custom_input import CustomInput

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
PATCH = '*** Begin Patch\n*** Add File: a "b".txt\n+\\d{2} 😀\n*** End Patch'
# What models wrote, and what it means; the last column: whether it is whole.
WRITTEN = [
    ('{"input":"a\\nb"}', "a\nb", True),
    (' {\n "input" :\t"a" ,\n "reason": "b" }', "a", True),
    ('{"reason":"b","input":"a"}', "a", True),
    ('{"patch":"a"}', "a", True),
    ('{"input":{"a":"é"}}', '{"a":"é"}', True),
    ('{"input":null}', "", True),
    ("{}", "", True),
    ("", "", True),
    (PATCH, PATCH, True),
    ("  print('{}')\n", "  print('{}')\n", True),
    ("{ a: 1 }", "{ a: 1 }", True),
    ('["a"]', '["a"]', True),
    ('"a\\tb"', "a\tb", True),
    ('{"input":"say "hi" now"}', 'say "hi" now', True),
    ('{"input":"one\ntwo"}', "one\ntwo", True),
    ('{"input":"C:\\dir \\x"}', "C:\\dir \\x", True),
    ('{"input":"\\u00e9\\ud83d\\ude00"}', "é😀", True),
    ('{"input":"\\ud83d \\ude00 \\u12"}', "\ufffd \ufffd \\u12", True),
    ('{"text":"\\ud83d"}', "\ufffd", True),
    ('{"input":"a"', "a", True),
    ('{"input":"a', "a", False),
    ('{"input":"a\\', "a", False),
    ('{"input":"a\\ud83d', "a", False),
    ('{"inp', "", False),
    ('{"reason":"b","inp', '{"reason":"b","inp', False),
    ('{"input":' + "[" * 5_000 + "]" * 5_000 + "}", '{"input":' + "[" * 5_000 + "]" * 5_000 + "}", True),
]


def read(text: str, cuts: Sequence[int]) -> tuple[str, bool]:
    """The input in a text that comes in pieces, and whether it is whole."""
    custom_input = CustomInput()
    bounds = [0, *sorted(cuts), len(text)]
    said = "".join(custom_input.feed(text[start:end]) for start, end in pairwise(bounds)) + custom_input.finish()
    return said, custom_input.is_whole


def test_it_is_said_as_soon_as_it_is_known() -> None:
    custom_input = CustomInput()
    pieces = ['{"inp', 'ut": "ls', " -l\\", "n\\u00", "e9\\ud83d", "\\ude00 ", 'now"', "}"]
    assert [custom_input.feed(piece) for piece in pieces] == ["", "ls", " -l", "\n", "é", "😀 ", "now", ""]
    assert (custom_input.finish(), custom_input.is_whole) == ("", True)


def test_text_without_json_goes_on_at_once() -> None:
    custom_input = CustomInput()
    assert [custom_input.feed(piece) for piece in (" ", "ls", " -l")] == ["", " ls", " -l"]


@pytest.mark.parametrize(("written", "meant", "is_whole"), WRITTEN)
def test_whatever_a_model_writes_has_a_sensible_input(written: str, meant: str, is_whole: bool) -> None:
    whole = [*range(len(written))] if len(written) < 100 else [1]
    assert read(written, []) == read(written, whole) == (meant, is_whole)


@settings(deadline=None)  # the machine is shared
@given(TEXTS, st.booleans(), st.data())
def test_any_text_cut_anywhere_comes_out_as_it_was(text: str, is_ascii: bool, data: st.DataObject) -> None:
    written = json.dumps({"input": text}, ensure_ascii=is_ascii)
    cuts = data.draw(st.lists(st.integers(0, len(written)), max_size=8))
    assert read(written, cuts) == (text, True)


@settings(deadline=None)  # the machine is shared
@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(str), st.data())
def test_the_pieces_make_no_difference(written: str, data: st.DataObject) -> None:
    opening = data.draw(st.sampled_from(["", "{", '{"input":"', '{"text":"', '"', '{"input":"\\u']))
    whole: Any = opening + written
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=8))
    assert read(whole, cuts) == read(whole, [])
