"""What staff are shown of a change between two versions of a prompt."""

import time

import pytest

from prompts.admin.version_diff import MAX_LINES, Line, compare_settings, compare_texts, compare_variables
from prompts.domain.prompts import Knowledge, Parameters, PromptContent, Variable
from prompts.domain.text import ReasoningConfig


def tell(lines: list[Line]) -> list[str]:
    """The lines as a terminal would show them; what changed in a line stands in brackets."""
    signs = {"same": " ", "added": "+", "removed": "-", "gap": "~"}
    return [
        signs[line.kind]
        + "".join(f"[{piece.text}]" if piece.is_changed else piece.text for piece in line.pieces)
        + (str(line.left_out) if line.kind == "gap" else "")
        for line in lines
    ]


def test_a_changed_line_shows_its_changed_words() -> None:
    lines = compare_texts("Hello.\nYou are kind to {{guest}}.", "Hello.\nYou are short with {{guest}}.")
    assert tell(lines) == [
        " Hello.",
        "-You are [kind] [to] {{guest}}.",
        "+You are [short] [with] {{guest}}.",
    ]
    assert [(line.old, line.new) for line in lines] == [(1, 1), (2, None), (None, 2)]


def test_another_line_is_no_changed_one() -> None:
    assert tell(compare_texts("apples and pears", "Speak French!")) == ["-apples and pears", "+Speak French!"]


def test_what_is_the_same_and_far_away_is_left_out() -> None:
    old = [f"line {number}" for number in range(20)]
    new = [*old[:10], "new", *old[10:]]
    shown = tell(compare_texts("\n".join(old), "\n".join(new)))
    assert shown == ["~7", " line 7", " line 8", " line 9", "+new", " line 10", " line 11", " line 12", "~7"]


def test_the_same_text_has_no_lines() -> None:
    assert compare_texts("a\nb", "a\nb") == []


@pytest.mark.timed
def test_nobody_waits_for_a_text_that_is_made_to_be_slow() -> None:
    pattern = [f"{number % 700}" for number in range(MAX_LINES * 5)]
    began = time.thread_time()
    lines = compare_texts("\n".join(pattern), "\n".join(["first", *reversed(pattern), "last"]))
    words = compare_texts("a b " * 16_000, "b a " * 16_000)
    assert time.thread_time() - began < 2
    assert lines
    assert len(words) == 2


def test_variables_are_compared_by_name() -> None:
    old = [Variable(name="guest"), Variable(name="gone", type="number", default="3")]
    new = [Variable(name="place", type="enum", values=["Bergen", "Berlin"], default="Bergen"), Variable(name="guest")]
    fields = compare_variables(old, new)
    assert [(field.name, field.is_changed) for field in fields] == [("place", True), ("guest", False), ("gone", True)]
    assert fields[0].old == ""
    assert fields[0].new == "enum of Bergen, Berlin, 'Bergen' where nothing is given"
    assert fields[2].new == ""


def test_everything_else_is_compared() -> None:
    old = PromptContent(text="x")
    new = PromptContent(
        text="x",
        model="large",
        parameters=Parameters(temperature=0.5, max_output_tokens=800, reasoning=ReasoningConfig("low", None)),
        knowledge=Knowledge(vector_store_ids=["vs_1"], when="auto", owner="alice"),
        follow_ups=True,
        history_tokens=4_000,
    )
    changed = {field.name: field.new for field in compare_settings(old, new) if field.is_changed}
    assert changed == {
        "Model": "large",
        "Temperature": "0.5",
        "Longest answer": "800 tokens",
        "Reasoning effort": "low",
        "Knowledge": "vs_1, of alice, when the model wants to",
        "Follow-ups": "suggested",
        "History budget": "4,000 tokens",
    }
