"""What the stand-in says without directives, at which length, and how it continues."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from standin.control.directives import Directives
from tests.unit.standin.asking import Said, answer, ask

QUESTIONS: list[tuple[Said, ...]] = [
    ("count to 40",),
    ("write 30 words",),
    ("Who are you?",),
    ("Hello",),
    ("repeat: a … b … c\n\n  ünï 世界",),
    ("My name is Ada.", "What is my name?"),
    (("system", "[1] Cats purr.\n[2] Dogs bark."), "What do dogs do?"),
]


def test_it_works() -> None:
    text = ask("Hello")
    assert text.startswith("You said: Hello\n\nI am the stand-in model")
    assert "not a language model" in text
    assert text.endswith("I see 1 message in this conversation.")


@pytest.mark.parametrize("question", ["Who are you?", "what are you", "What is your name?", "Are you a human?"])
def test_it_says_what_it_is(question: str) -> None:
    assert "a small program, not a language model" in ask(question)


def test_equal_messages_get_equal_answers() -> None:
    assert ask("Hello", ("assistant", "Hi"), "Hm") == ask("Hello", ("assistant", "Hi"), "Hm")


def test_it_writes_at_the_length_it_is_asked_for() -> None:
    assert ask("Please count to 5.") == "1 2 3 4 5"
    assert len(ask("Write 250 words about rivers").split()) == 250


@given(st.text().filter(lambda text: "[[standin" not in text and not text.startswith((" ", "\t"))))
def test_it_repeats_to_the_letter(text: str) -> None:
    assert ask(f"repeat: {text}") == text


def test_text_parts_are_text() -> None:
    parts = [{"type": "text", "text": "repeat: hi"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    assert ask({"role": "user", "content": parts}) == "hi"


def test_stop_ends_the_answer_before_the_sequence() -> None:
    assert ask("count to 9", stop=" 4") == "1 2 3"
    assert ask("count to 9", stop=["7", " 5", "never"]) == "1 2 3 4"


def test_tool_results_are_told() -> None:
    call = {"id": "call_1", "function": {"name": "get_weather", "arguments": "{}"}}
    said: list[Said] = [
        "get_weather please, then count to 3",
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "12 degrees, rain"},
    ]
    assert ask(*said) == "get_weather returned: 12 degrees, rain\n1 2 3"


def test_json_is_valid_and_holds_the_plain_answer() -> None:
    text = ask("My name is Ada.", "What is my name?", response_format={"type": "json_object"})
    assert msgspec.json.decode(text) == {"answer": "Your name is Ada."}


def test_schema_is_kept_and_the_answer_put_where_it_belongs() -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string"}, "sure": {"type": "boolean"}}}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    assert msgspec.json.decode(ask("count to 3", response_format=form)) == {"answer": "1 2 3", "sure": False}


def test_refusal_reason_and_finish_on_demand() -> None:
    refused = answer("Hello", directives=Directives(refuse=True, reason="Hm."))
    assert (refused.text, refused.reasoning) == ("", "Hm.")
    assert "refuse" in refused.refusal
    assert answer("Hello", directives=Directives(finish="content_filter")).finish == "content_filter"


@given(st.data(), st.sampled_from(QUESTIONS))
def test_any_beginning_of_its_answer_is_continued_with_exactly_the_rest(
    data: st.DataObject, said: tuple[Said, ...]
) -> None:
    whole = ask(*said)
    place = data.draw(st.integers(0, len(whole)))
    prefix: Said = ("assistant", whole[:place])
    assert ask(*said, prefix) == whole[place:]
    assert ask(*said, prefix, ("system", "Continue exactly where you stopped.")) == whole[place:]
    assert ask(*said, prefix, "Please continue exactly where your answer was cut off.") == whole[place:]
    assert ask(*said, prefix, directives=Directives(echo_prefix=True)) == whole


@given(st.data(), st.text().filter(lambda text: not "1 2 3".startswith(text) and "…" not in text))
def test_a_strange_beginning_is_followed_by_the_whole_answer_once(data: st.DataObject, prefix: str) -> None:
    rest = ask("count to 3", ("assistant", prefix))
    assert rest == " … 1 2 3"
    place = data.draw(st.integers(3, len(rest)))
    assert ask("count to 3", ("assistant", prefix + rest[:place])) == rest[place:]


def test_a_user_who_says_continue_about_something_else_is_not_continuing() -> None:
    assert ask("count to 3", ("assistant", "1 2 3"), "repeat: continue").startswith("continue")
