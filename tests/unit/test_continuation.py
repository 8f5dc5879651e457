"""`NewText` joins the text already shown and a continuation into one text, whatever a server repeats.

And the ways to ask for a continuation.
"""

from itertools import pairwise
from typing import Any, Literal

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from prompts.adapters.openai.chat_request import continuation_body, model_body
from prompts.adapters.openai.continuation import INSTRUCTION, NewText, Way, Ways, get_prefix
from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import Finished, Refused, Signal, Text
from tests.support.items import said

# Few letters and much white space give texts that look like their own beginnings, and every kind of seam.
Texts = st.text("ab \n\t\u3000é🌊", max_size=12) | st.text(max_size=12)
Cuts = st.lists(st.integers(0, 30), max_size=6)
Reason = Literal["stop", "length", "content_filter"]
REQUEST = ModelRequest(model="m")
HELLO = [said("user", "Hello")]


def hear(shown: str, said: str, cuts: list[int], reason: Reason = "stop") -> str:
    """The new text in what a model says in these pieces."""
    places = [0, *sorted(min(cut, len(said)) for cut in cuts), len(said)]
    new = NewText(shown)
    given = [signal for start, end in pairwise(places) for signal in new.take([Text(said[start:end])])]
    given += new.take([Finished(reason)])
    assert given.pop() == Finished(reason)
    texts = [signal.text for signal in given if isinstance(signal, Text) and signal.text]
    assert len(texts) == len(given)
    return "".join(texts)


def looks_like_an_echo(shown: str, said: str) -> bool:
    """Whether the text begins with the whole shown text, with or without its leading white space."""
    prefix = get_prefix(shown)
    return bool(prefix) and said.startswith((prefix, prefix.lstrip()))


@settings(deadline=None)  # the machine is shared
@given(Texts, Texts, Cuts)
@example("The sea ", "is wide.", [3])
@example('"Yes', '"', [])
def test_a_continuation_is_given_as_it_is(shown: str, continuation: str, cuts: list[int]) -> None:
    said = shown[len(get_prefix(shown)) :] + continuation  # the model continues the text it was sent
    assume(not looks_like_an_echo(shown, said))
    assert shown + hear(shown, said, cuts) == shown + continuation


@settings(deadline=None)
@given(Texts, Texts, Cuts, st.sampled_from(["whole", "trimmed"]))
@example("The sea ", "is wide.", [2, 5, 9], "whole")
@example("  The sea\n", "is wide.", [1], "trimmed")
def test_an_echo_is_dropped_wherever_it_is_cut(shown: str, continuation: str, cuts: list[int], echo: str) -> None:
    assume(get_prefix(shown))  # otherwise nothing is sent that could be repeated
    again = shown if echo == "whole" else shown.lstrip()
    assert hear(shown, again + continuation, cuts, "length") == continuation


@settings(deadline=None)
@given(Texts, Texts, Cuts, st.booleans())
@example("The sea ", "is wide.", [2, 5, 9], True)
def test_white_space_that_the_model_does_not_bring_is_there_already(
    shown: str, continuation: str, cuts: list[int], has_echo: bool
) -> None:
    prefix, seam = get_prefix(shown), shown[len(get_prefix(shown)) :]
    # More of the same white space is taken for the shown one: the two cannot be distinguished.
    assume(not (seam and continuation[:1] == seam[0]))
    assume(has_echo or not looks_like_an_echo(shown, continuation))
    assert hear(shown, (prefix if has_echo else "") + continuation, cuts) == continuation


@pytest.mark.parametrize(
    ("shown", "said", "given"),
    [
        ("one\n", "\n\ntwo", "\ntwo"),  # the model sends a paragraph break; one line break of it was shown
        ("one\n\n", "\ntwo", "two"),  # the reverse
        ("one ", "\ntwo", "\ntwo"),
        ("one ", "", ""),
        (" \n", " \nHello", "Hello"),
        ("ha", "haha", "ha"),  # known limit: an answer that repeats its whole beginning is taken for an echo
    ],
)
def test_seams(shown: str, said: str, given: str) -> None:
    assert hear(shown, said, []) == given


@pytest.mark.parametrize(("reason", "given"), [("stop", "The"), ("length", ""), ("content_filter", "")])
def test_half_an_echo_is_meant_when_the_model_stops_by_itself(reason: Reason, given: str) -> None:
    assert hear("The sea", "The", [1], reason) == given


def test_a_text_that_only_begins_like_the_shown_one_is_given_whole() -> None:
    new = NewText("The sea is wide.")
    assert new.take([Text("The "), Text("sea ")]) == []
    assert new.take([Text("was"), Text(" calm")]) == [Text("The sea was"), Text(" calm")]


def test_a_refusal_goes_on_after_what_was_held() -> None:
    new = NewText("The sea")
    assert new.take([Text("The"), Refused("I "), Refused("won't."), Finished("stop")]) == [
        Text("The"),
        Refused("I "),
        Refused("won't."),
        Finished("stop"),
    ]


def test_nothing_new_is_a_fine_ending() -> None:
    for whole in ("", "All said."):
        assert NewText("All said.").take([Text(whole), Finished("stop")]) == [Finished("stop")]
    assert NewText("All said.").take([Finished("stop")]) == [Finished("stop")]


def test_an_echo_of_a_long_answer_is_followed_in_linear_time() -> None:
    shown = "word " * 200_000
    new, given = NewText(shown), list[Signal]()
    for start in range(0, len(shown), 5):
        given += new.take([Text(shown[start : start + 5])])
    assert given == []


def last_messages(way: Way) -> list[dict[str, Any]]:
    """The messages after the conversation."""
    messages = continuation_body(model_body(REQUEST, HELLO), "The sea", way)["messages"]
    assert messages[0] == {"role": "user", "content": "Hello"}
    return list(messages[1:])


def test_the_fields_of_each_way() -> None:
    begun = {"role": "assistant", "content": "The sea"}
    fields = {"continue_final_message": True, "add_generation_prompt": False}
    plain = model_body(REQUEST, HELLO)
    assert last_messages(Way.OPEN) == [begun]
    assert last_messages(Way.MARKED) == [{**begun, "prefix": True}]
    assert last_messages(Way.ASKED) == [begun, {"role": "user", "content": INSTRUCTION}]
    assert continuation_body(model_body(REQUEST, HELLO), "", Way.ANEW) == plain
    assert continuation_body(model_body(REQUEST, HELLO), "a", Way.OPEN).items() >= fields.items()
    for way in (Way.MARKED, Way.ASKED):  # other servers refuse these fields
        assert continuation_body(model_body(REQUEST, HELLO), "a", way).keys() == plain.keys()


@pytest.mark.parametrize(
    ("base_url", "ways"),
    [
        ("http://vllm:8000/v1/", [Way.OPEN, Way.ASKED]),
        ("https://api.openai.com/v1/", [Way.ASKED]),
        ("https://api.openai.com.example/v1/", [Way.OPEN, Way.ASKED]),
        ("https://eps.openai.azure.com/openai/v1/", [Way.ASKED]),
        ("https://openai.azure.com.example/v1/", [Way.OPEN, Way.ASKED]),
        ("https://api.mistral.ai/v1/", [Way.MARKED, Way.ASKED]),
        ("https://api.deepseek.com/beta/", [Way.MARKED, Way.ASKED]),
        ("https://api.deepseek.com/v1/", [Way.ASKED]),
    ],
)
def test_what_is_known_of_an_endpoint_is_not_tried(base_url: str, ways: list[Way]) -> None:
    assert list(Ways(base_url).list_for("m", "The sea")) == ways
    assert list(Ways(base_url).list_for("m", "")) == [Way.ANEW]


def test_a_way_that_one_model_refused_is_still_tried_with_another() -> None:
    ways = Ways("http://vllm:8000/v1/")
    ways.accept("a", Way.ASKED)
    ways.accept("b", Way.OPEN)
    assert list(ways.list_for("a", "The sea")) == [Way.ASKED]
    assert list(ways.list_for("b", "The sea")) == [Way.OPEN, Way.ASKED]
    assert list(ways.list_for("c", "The sea")) == [Way.OPEN, Way.ASKED]
    assert list(ways.list_for("a", "")) == [Way.ANEW]
