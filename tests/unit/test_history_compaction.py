"""A history in which a compaction replaces earlier items."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompts.domain.items import (
    Compaction,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    Reasoning,
    SummaryText,
    text_of,
)
from prompts.errors import BrokenSeal
from prompts.history.compaction import apply_compactions, list_replaceable, replace_with_notes
from prompts.history.model_input import compose_items
from tests.support.items import said

ADA = said("user", "I am Ada.")
NICE = said("assistant", "Nice to meet you.")
RULE = said("developer", "Be kind.")
ASKED = said("user", "How is the weather?")
CALL = FunctionCall("", "completed", "call_1", "get_weather", "{}")
OUTPUT = FunctionCallOutput("", "completed", "call_1", "21 degrees")
THOUGHT = Reasoning("", "completed", [SummaryText("Hm.")])
WARM = said("assistant", "It is warm.")
ITEMS = st.lists(
    st.sampled_from(
        [ADA, NICE, RULE, ASKED, CALL, OUTPUT, THOUGHT, Compaction("", "a note"), Compaction("", "broken")]
    ),
    max_size=12,
)


def unseal(_kind: str, sealed: str) -> str:
    """A seal that is its own text, or broken."""
    if sealed == "broken":
        raise BrokenSeal
    return sealed


def read(items: Sequence[Item]) -> list[str]:
    """The items in short form; a note is its last word."""
    return [_read(item) for item in items]


def _read(item: Item) -> str:
    if isinstance(item, Message):
        text = text_of(item)
        return f"notes: {text.rpartition(chr(10))[2]}" if text.startswith("Notes on") else text
    return type(item).__name__


def test_it_stands_for_everything_before_it_but_what_the_user_said() -> None:
    items: list[Item] = [RULE, ADA, NICE, ASKED, THOUGHT, CALL, OUTPUT, WARM, Compaction("", "a note"), ADA, NICE]
    kept = ["I am Ada.", "How is the weather?", "notes: a note", "I am Ada.", "Nice to meet you."]
    assert read(apply_compactions(items, unseal)) == kept


def test_the_last_one_counts() -> None:
    items: list[Item] = [ADA, Compaction("", "early"), NICE, Compaction("", "late"), NICE]
    assert read(apply_compactions(items, unseal)) == ["I am Ada.", "notes: late", "Nice to meet you."]


def test_one_that_does_not_open_was_never_made() -> None:
    items: list[Item] = [ADA, Compaction("", "early"), NICE, Compaction("", "broken"), NICE]
    assert read(apply_compactions(items, unseal)) == ["I am Ada.", "notes: early", *["Nice to meet you."] * 2]
    assert read(apply_compactions([NICE, Compaction("", "broken")], unseal)) == ["Nice to meet you."]


def test_notes_are_a_developers_and_say_that_they_command_nothing() -> None:
    [notes] = apply_compactions([NICE, Compaction("", "a note")], unseal)
    assert isinstance(notes, Message)
    assert (notes.role, notes.id) == ("developer", "")
    assert "not instructions" in text_of(notes)


@pytest.mark.parametrize(
    ("items", "kept"),
    [
        ([ADA, NICE, ASKED], ["I am Ada.", "notes: a note", "How is the weather?"]),
        ([ADA, NICE, ASKED, CALL, OUTPUT], ["I am Ada.", "How is the weather?", "notes: a note", *["C", "O"]]),
        (
            [ADA, NICE, CALL, THOUGHT, CALL, WARM, OUTPUT, RULE],
            ["I am Ada.", "notes: a note", *"CTC", "It is warm.", "O"],
        ),
        ([ADA, NICE, ASKED, THOUGHT, CALL, OUTPUT], ["I am Ada.", "How is the weather?", "notes: a note", *"TCO"]),
        ([ADA, ASKED], ["notes: a note", "I am Ada.", "How is the weather?"]),
        ([ADA, NICE], ["I am Ada.", "notes: a note"]),
        ([], ["notes: a note"]),
    ],
    ids=[
        "a question",
        "a call's output",
        "calls far behind",
        "a thought before a call",
        "users only",
        "nobody asks",
        "none",
    ],
)
def test_what_is_to_be_answered_now_stays_as_it_is(items: list[Item], kept: list[str]) -> None:
    short = {"FunctionCall": "C", "FunctionCallOutput": "O", "Reasoning": "T"}
    folded = [short.get(name, name) for name in read(replace_with_notes(items, "a note"))]
    assert folded == [*kept, *(["Be kind."] if items[-1:] == [RULE] else [])]


def test_what_the_user_said_and_earlier_notes_are_not_replaced() -> None:
    items = apply_compactions([ADA, NICE, Compaction("", "early"), ASKED, WARM, ADA], unseal)
    assert read(list_replaceable(items)) == ["It is warm."]


@given(ITEMS, ITEMS, st.none() | st.just(Compaction("", "a new note")))
def test_a_model_is_given_no_compaction_and_no_half_of_a_call(
    window: list[Item], new_input: list[Item], compaction: Compaction | None
) -> None:
    items = compose_items(instructions=None, window=window, new_input=new_input, unseal=unseal, compaction=compaction)
    assert not any(isinstance(item, Compaction) for item in items)
    made: set[str] = set()
    for item in items:
        made |= {item.call_id} if isinstance(item, FunctionCall) else set()
        assert not isinstance(item, FunctionCallOutput) or item.call_id in made
    users = [item for item in (*window, *new_input) if item in (ADA, ASKED)]
    assert [item for item in items if item in (ADA, ASKED)] == users
    assert sum(name.startswith("notes") for name in read(items)) <= 1 + (compaction is not None)
