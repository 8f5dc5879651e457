"""How large an answer is: all that it holds counts, over all its rounds."""

import pytest

from prompts.domain.items import FunctionCall, Item, Logprob, Message, OutputText, TopLogprob
from prompts.domain.signals import (
    Argued,
    BegunAnew,
    Called,
    CalledTool,
    Opened,
    Refused,
    Sealed,
    Signal,
    Summarized,
    Text,
    Thought,
)
from prompts.errors import AnswerTooLarge
from prompts.run.answer_size import MAX_PARTS, AnswerSize

LOGPROB = Logprob("x" * 30, -0.5, [120], [TopLogprob("y" * 30, -0.5, [121])])


@pytest.mark.parametrize(
    "signal",
    [
        Text("x" * 100),
        Text("🙂" * 25),
        Text("\ud83d" * 34),
        Text("x", [LOGPROB]),
        Refused("x" * 100),
        Thought("x" * 100),
        Summarized("x" * 100),
        Sealed("x" * 100),
        Argued(0, "x" * 100),
        Argued(0, "", "x" * 100),
    ],
)
def test_all_that_an_answer_holds_counts(signal: Signal) -> None:
    size = AnswerSize(199)
    size.add([signal])
    with pytest.raises(AnswerTooLarge, match="199 bytes"):
        size.add([signal])


def test_an_answer_of_just_the_size_is_good() -> None:
    size = AnswerSize(200)
    size.add([Text("x" * 100), Thought("x" * 100)])


def test_of_what_is_too_much_the_beginning_is_taken() -> None:
    size = AnswerSize(200)
    came: list[Signal] = [Text("x" * 100), Thought("x" * 100), Text("x"), Text("x")]
    assert size.take(came) == came[:2]
    assert "200 bytes" in size.explain().message


def test_what_another_replica_has_written_counts() -> None:
    said: list[Item] = [
        Message(id="msg_1", status="completed", role="assistant", content=[OutputText("x" * 100)]),
        FunctionCall("fc_1", "completed", "c", "f", "x" * 100),
    ]
    size = AnswerSize(200, said)
    with pytest.raises(AnswerTooLarge):
        size.add([Text("x")])


@pytest.mark.parametrize(
    "turn",
    [
        [Opened()],
        [BegunAnew(), Thought("x")],
        [Text("x"), Refused("x")],
        [Text("x"), Thought("x")],
        [Summarized("x", 0), Summarized("x", 10**9)],
        [Called(0, "c", "f")],
        [CalledTool(0, "c", "f", "custom")],
    ],
)
def test_an_answer_has_only_so_many_parts(turn: list[Signal]) -> None:
    with pytest.raises(AnswerTooLarge, match="parts"):
        AnswerSize(10**9).add(turn * (MAX_PARTS + 1))


def test_words_thoughts_and_arguments_may_come_in_any_number_of_pieces() -> None:
    size = AnswerSize(10**9)
    pieces: list[Signal] = [Argued(0, "x"), Text("y"), Argued(1, "x")]
    size.add([Called(0, "c", "f"), Called(1, "d", "f"), *pieces * MAX_PARTS])
    size.add([Thought("x")] * 2 * MAX_PARTS)
