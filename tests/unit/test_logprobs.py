"""Log probabilities in a stream: read where possible, and never a reason to lose an answer."""

from typing import Any

import pytest

from prompts.domain.items import Logprob
from prompts.domain.signals import Finished, Text
from tests.support.chat_chunks import ALL, END, frame, logprob, read, read_logprob


def likely(logprobs: Any, content: str = "Hi") -> bytes:
    """A chunk with text and the given `logprobs`."""
    return frame({"choices": [{"delta": {"content": content}, "logprobs": logprobs}]})


TOKEN = {"token": "Hi", "logprob": -0.5}


@pytest.mark.parametrize(
    ("logprobs", "read_as"),
    [
        ({"content": [logprob("Hi")], "refusal": None}, [read_logprob("Hi")]),
        ({"content": [TOKEN]}, [Logprob("Hi", -0.5)]),
        ({"content": [{**TOKEN, "logprob": -1, "bytes": None, "top_logprobs": None, "id": 7}]}, [Logprob("Hi", -1.0)]),
        ({"content": [TOKEN, {**TOKEN, "token": "!"}]}, [Logprob("Hi", -0.5), Logprob("!", -0.5)]),
        (None, []),
        ({}, []),
        ({"content": None}, []),
        ({"content": []}, []),
        ({"content": [None]}, []),
        ({"content": [{**TOKEN, "logprob": None}]}, []),
        ({"content": [{**TOKEN, "logprob": "-0.5"}]}, []),
        ({"content": [{**TOKEN, "top_logprobs": [{"token": 3}]}]}, []),
        ({"tokens": ["Hi"], "token_logprobs": [-0.5], "top_logprobs": [{"Hi": -0.5}]}, []),
        ("none", []),
        (7, []),
        ([[[]]], []),
    ],
)
def test_likelihoods_never_spoil_an_answer(logprobs: Any, read_as: list[Logprob]) -> None:
    assert read(likely(logprobs), END, interest=ALL) == [Text("Hi", read_as), Finished("stop")]
    assert read(likely(logprobs), END) == [Text("Hi"), Finished("stop")]


@pytest.mark.parametrize("number", [b"-Infinity", b"NaN", b"-1e999", b"Infinity"])
def test_a_likelihood_that_is_no_number_is_left_out(number: bytes) -> None:
    odd = likely({"content": [{**TOKEN, "top_logprobs": [TOKEN]}]}).replace(b"-0.5", number)
    assert read(odd, END, interest=ALL) == [Text("Hi"), Finished("stop")]
    assert read(odd, END) == [Text("Hi"), Finished("stop")]


def test_the_likelihoods_of_half_a_character_stand_with_the_whole_one() -> None:
    half: dict[str, Any] = {"token": "\\xf0\\x9f", "logprob": -0.5, "bytes": [240, 159]}
    told = read(likely({"content": [half]}, ""), likely({"content": [TOKEN]}), END, interest=ALL)
    assert told[0] == Text("Hi", [Logprob(half["token"], -0.5, half["bytes"]), Logprob("Hi", -0.5)])


def test_the_likelihoods_of_a_thought_are_not_those_of_the_answer() -> None:
    thought = {"choices": [{"delta": {"reasoning": "Hm."}, "logprobs": {"content": [TOKEN]}}]}
    assert read(frame(thought), likely(None), END, interest=ALL)[-2:] == [Text("Hi"), Finished("stop")]
