"""What the model is given, and what it is estimated to cost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts.composer import compose_messages, estimate_tokens, text_of
from prompts.domain import InputText, Message, ModelMessage, OutputText, Part, Refusal, Role

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
PARTS = st.one_of(TEXTS.map(InputText), TEXTS.map(OutputText), TEXTS.map(Refusal))


def message(role: Role, *parts: Part) -> Message:
    """A message of a history."""
    return Message(id="msg_1", status="completed", role=role, content=list(parts))


def test_instructions_then_history_then_the_new_input() -> None:
    messages = compose_messages(
        instructions="Be brief.",
        window=[message("user", InputText("Hello")), message("assistant", OutputText("Hi!"))],
        new_input=[message("developer", InputText("Shout.")), message("user", InputText("And now?"))],
    )
    assert messages == [
        ModelMessage("system", "Be brief."),
        ModelMessage("user", "Hello"),
        ModelMessage("assistant", "Hi!"),
        ModelMessage("developer", "Shout."),
        ModelMessage("user", "And now?"),
    ]


@pytest.mark.parametrize("instructions", [None, ""])
def test_without_instructions_there_is_no_system_message(instructions: str | None) -> None:
    assert compose_messages(instructions=instructions, window=[], new_input=[]) == []


def test_the_words_of_a_message_are_its_parts_one_after_another() -> None:
    assert text_of(message("assistant", OutputText("Well, "), Refusal("no."))) == "Well, no."
    assert text_of(message("user")) == ""


@pytest.mark.parametrize(("text", "tokens"), [("", 4), ("a", 5), ("abcd", 5), ("abcde", 6), ("🦀" * 8, 6)])
def test_four_characters_are_a_token_and_a_message_costs_four(text: str, tokens: int) -> None:
    assert estimate_tokens(message("user", InputText(text))) == tokens


@settings(deadline=None)  # the machine is shared
@given(st.lists(PARTS, max_size=5))
def test_an_estimate_is_never_nothing_and_never_more_than_the_characters(parts: list[Part]) -> None:
    item = message("assistant", *parts)
    assert 4 <= estimate_tokens(item) <= 4 + len(text_of(item))
