"""`ChatModel`: what every adapter bears of a server that sends without end, or what nobody means."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from prompts.adapters.openai.chat_calls import MAX_CALLS
from prompts.adapters.openai.lines import MAX_EVENT_BYTES, MAX_EVENT_OBJECTS
from prompts.adapters.openai.streams import MAX_SIGNALS_AT_ONCE, Patience
from prompts.adapters.openai.written_calls import MAX_ARGUMENTS_CHARACTERS
from prompts.domain.model_request import ModelRequest
from prompts.domain.tools import CustomTool, FunctionTool
from prompts.errors import AnswerTooLarge, RateLimited
from tests.contract.conftest import open_model
from tests.support.items import said
from tests.support.model_asker import Asker
from tests.support.raw_model import RawModelServer, Reply, reply_json

PROTOCOLS = ("chat_completions", "responses")
# Generous: what is tested is how much is read, on a machine that may be busy.
PATIENCE = Patience(connect_s=10, first_token_s=60, silence_s=60)
MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def raw_model() -> Iterator[RawModelServer]:
    with RawModelServer() as server:
        yield server


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def asker(protocol: str, raw_model: RawModelServer) -> AsyncIterator[Asker]:
    """Each adapter in turn, in front of a server that plays a script."""
    async with open_model(protocol, raw_model.base_url, PATIENCE) as model:
        yield Asker(model)


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def say(protocol: str, text: str, **more: Any) -> bytes:
    if protocol == "responses":
        return event({"type": "response.output_text.delta", "delta": text, **more})
    logprobs = {"logprobs": {"content": more["logprobs"]}} if more else {}
    return event({"choices": [{"index": 0, "delta": {"content": text}, **logprobs}]})


def call(protocol: str, index: int, arguments: str, *, call_id: str = "", name: str = "f") -> bytes:
    call_id = call_id or f"call_{index}"
    if protocol == "responses":
        item = {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
        return event({"type": "response.output_item.done", "output_index": index, "item": item})
    function = {"name": name, "arguments": arguments}
    return event({"choices": [{"delta": {"tool_calls": [{"index": index, "id": call_id, "function": function}]}}]})


def end(protocol: str, usage: Any = None) -> bytes:
    if protocol == "responses":
        return event({"type": "response.completed", "response": {"status": "completed", "usage": usage}})
    return event({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": usage}) + b"data: [DONE]\n\n"


async def test_it_works(asker: Asker, raw_model: RawModelServer, protocol: str) -> None:
    raw_model.play(Reply([say(protocol, "hi"), call(protocol, 0, "{}"), end(protocol)]))
    heard = await asker.ask("Hello", tools=[FunctionTool(name="f")])
    assert (heard.text, heard.calls) == ("hi", [("f", "{}")])


ENDLESS: dict[str, Callable[[str], list[bytes]]] = {
    "a line": lambda _: [b"data: ", *[b"x" * MEGABYTE] * (MAX_EVENT_BYTES // MEGABYTE + 1)],
    "an event of many objects": lambda _: [b'data: {"choices":[' + b"{}," * MAX_EVENT_OBJECTS + b"{}]}\n\n"],
    "calls": lambda protocol: [call(protocol, number, "{}") for number in range(MAX_CALLS + 1)],
    "arguments": lambda protocol: [call(protocol, 0, "x" * (MAX_ARGUMENTS_CHARACTERS + 1))],
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_what_has_no_end_is_cut_and_not_asked_for_again(
    asker: Asker, raw_model: RawModelServer, protocol: str, kind: str
) -> None:
    """More of streams that have no end: `tests/unit/test_event_lines.py`."""
    raw_model.play(Reply([*ENDLESS[kind](protocol), "hang"]))
    assert type((await asker.try_to_ask("Hello", tools=[FunctionTool(name="f")])).error) is AnswerTooLarge
    assert len(raw_model.asked) == 1


async def test_many_words_at_once_are_given_in_groups(asker: Asker, raw_model: RawModelServer, protocol: str) -> None:
    count = MAX_SIGNALS_AT_ONCE * 3
    words = say(protocol, "a") * count
    raw_model.play(Reply([words + end(protocol)]))
    async with asker.model.stream(ModelRequest(model="m"), [said("user", "Hello")]) as answer:
        groups = [signals async for signals in answer]
    assert sum(map(len, groups)) == count + 1
    assert max(map(len, groups)) <= MAX_SIGNALS_AT_ONCE


async def test_a_character_that_is_half_is_nowhere(asker: Asker, raw_model: RawModelServer, protocol: str) -> None:
    """It could not be written down: the log, and every answer that repeats it, would fail on it."""
    raw_model.play(Reply([*half_words(protocol), end(protocol)]))
    heard = await asker.ask("Hello", tools=[FunctionTool(name="f"), CustomTool(name="g")])
    told = "".join((heard.text, heard.refusal, *(arguments for _, arguments in heard.calls)))
    assert "\ud83d" not in told
    assert "\ufffd" in told
    json.dumps(told, ensure_ascii=False).encode()


def half_words(protocol: str) -> list[bytes]:
    """Text, a refusal and arguments with half a character in the middle."""
    half = "a\ud83db"
    if protocol == "chat_completions":
        refusal = event({"choices": [{"delta": {"refusal": half}}]})
        return [say(protocol, half), refusal, call(protocol, 0, f'"{half}"'), call(protocol, 1, half, name="g")]
    called = {"type": "function_call", "call_id": "a", "name": "f", "arguments": ""}
    return [
        say(protocol, half),
        event({"type": "response.refusal.delta", "delta": half}),
        event({"type": "response.output_item.added", "output_index": 1, "item": called}),
        event({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": f'"{half}"'}),
    ]


GOOD_LOGPROB = {"token": "hi", "logprob": -0.5, "bytes": [104, 105], "top_logprobs": []}
ODD_LOGPROBS = [
    {**GOOD_LOGPROB, "token": "x" * 2_000},
    {**GOOD_LOGPROB, "bytes": [0] * 2_000},
    {**GOOD_LOGPROB, "bytes": [256, -1]},
]


async def test_likelihoods_that_nobody_means_are_left_out(
    asker: Asker, raw_model: RawModelServer, protocol: str
) -> None:
    many = {**GOOD_LOGPROB, "top_logprobs": [GOOD_LOGPROB, *ODD_LOGPROBS, *[GOOD_LOGPROB] * 1_000]}
    raw_model.play(Reply([say(protocol, "hi", logprobs=[many, *ODD_LOGPROBS, GOOD_LOGPROB]), end(protocol)]))
    heard = await asker.ask("Hello", top_logprobs=20, wants_logprobs=True)
    assert [entry.token for entry in heard.logprobs] == ["hi", "hi"]
    assert len(heard.logprobs[0].top_logprobs) <= 20
    assert {option.token for option in heard.logprobs[0].top_logprobs} == {"hi"}


@pytest.mark.parametrize("call_id", ["a\0b", "a\nb", "\x1b[31m", "\u202e", "x" * 1_000])
async def test_an_id_that_is_none_is_replaced(
    asker: Asker, raw_model: RawModelServer, protocol: str, call_id: str
) -> None:
    raw_model.play(Reply([call(protocol, 0, "{}", call_id=call_id), end(protocol)]))
    heard = await asker.ask("Hello", tools=[FunctionTool(name="f")])
    assert heard.called[0].call_id.startswith("call_")
    assert heard.called[0].call_id.isprintable()


@pytest.mark.parametrize("count", [10**30, -5, 1.5, "many", 1e300, [1], {"a": 1}, True])
async def test_a_count_that_cannot_be_is_not_believed(
    asker: Asker, raw_model: RawModelServer, protocol: str, count: Any
) -> None:
    names = ("input_tokens", "output_tokens") if protocol == "responses" else ("prompt_tokens", "completion_tokens")
    raw_model.play(Reply([say(protocol, "hi"), end(protocol, dict.fromkeys(names, count))]))
    assert (await asker.ask("Hello")).finished.usage is None


async def test_a_count_that_is_no_number_is_not_believed(
    asker: Asker, raw_model: RawModelServer, protocol: str
) -> None:
    ended = end(protocol, {"prompt_tokens": 1, "input_tokens": 1}).replace(b": 1", b": NaN")
    raw_model.play(Reply([say(protocol, "hi"), ended]))
    heard = await asker.try_to_ask("Hello")
    assert heard.text == "hi"
    assert not [signal for signal in heard.signals if getattr(signal, "usage", None)]


@pytest.mark.parametrize("pause", ["1e9", "1000000000", "9" * 400, "-5", "nan", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_no_pause_is_longer_than_a_day(asker: Asker, raw_model: RawModelServer, pause: str) -> None:
    raw_model.play(reply_json({"error": {"message": "no"}}, 429, retry_after=pause))
    error = (await asker.try_to_ask("Hello")).error
    assert isinstance(error, RateLimited)
    assert error.retry_after_s is None or 0 <= error.retry_after_s <= 86_400
