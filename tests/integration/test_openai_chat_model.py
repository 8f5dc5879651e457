"""`OpenAIChatModel` against a scripted server: connections and odd ends of streams, byte for byte.

And against the stand-in: answers that are continued after a takeover.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx
import pytest
from openai import AsyncOpenAI

from prompts.adapters.openai.chat_model import OpenAIChatModel
from prompts.adapters.openai.continuation import INSTRUCTION
from prompts.adapters.openai.http_client import ModelServerClient
from prompts.adapters.openai.streams import AFTER_REASON_S, BACKOFF_S, Patience
from prompts.domain.model_request import Model, ModelRequest
from prompts.domain.signals import Finished, Refused, Signal, Text
from prompts.errors import InvalidPrompt, UpstreamError, UpstreamTimeout
from tests.support.items import said
from tests.support.servers import StandinServer

# What the server sends: bytes at once; a number pauses that many seconds; None cuts the connection.
Step: TypeAlias = bytes | float | None

HEADERS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
HI = b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\n'
END = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
COMMENT = b": still working\n\n"
LAST = b"0\r\n\r\n"
THOUGHT = b'data: {"choices": [{"delta": {"reasoning": "there"}}]}\n\n'
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}"
PATIENCE = Patience(connect_s=1, first_token_s=1, silence_s=1)


@dataclass
class Script:
    """The next answers of the server, and the number of connections and requests."""

    steps: Sequence[Step] = ()
    first: Sequence[Step] = ()
    """What the very next answer is instead, once."""
    connections: int = 0
    paths: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one kept-alive connection."""
        self.connections += 1
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lengths = [line.split(":")[1] for line in head.splitlines() if line.lower().startswith("content-length:")]
        await reader.readexactly(int(lengths[0]) if lengths else 0)
        self.paths.append(head.split()[1])
        steps, self.first = self.first or self.steps, ()
        for step in steps:
            match step:
                case None:
                    return False
                case bytes():
                    writer.write(step)
                    await writer.drain()
                case _:
                    await asyncio.sleep(step)
        return True


def chunked(*parts: bytes) -> bytes:
    """The parts as chunks of a body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def model(script: Script) -> AsyncIterator[OpenAIChatModel]:
    """The adapter with a client of its own."""
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with open_model(base_url) as opened:
        yield opened
    server.close()


@asynccontextmanager
async def open_model(base_url: str) -> AsyncIterator[OpenAIChatModel]:
    """The adapter as `config.clients` makes it."""
    async with AsyncOpenAI(base_url=base_url, api_key="key", http_client=ModelServerClient()) as client:
        yield OpenAIChatModel(client, PATIENCE)


async def ask(model: OpenAIChatModel, shown: str = "") -> list[Signal]:
    """All signals of one answer; its connection is returned to the pool."""
    async with model.stream(ModelRequest(model="m"), [said("user", "Hello")], shown=shown) as answer:
        return [signal async for signals in answer for signal in signals]


async def test_answers_that_end_share_a_connection(script: Script, model: OpenAIChatModel) -> None:
    script.steps = [HEADERS + chunked(HI, END, DONE), 0.005, LAST]
    for _ in range(4):
        assert await ask(model) == [Text("Hi"), Finished("stop")]
    assert script.connections == 1


@pytest.mark.timed
async def test_a_body_that_never_ends_holds_up_no_answer(script: Script, model: OpenAIChatModel) -> None:
    script.steps = [HEADERS + chunked(HI, END, DONE), 60]
    began = time.monotonic()
    assert await ask(model) == [Text("Hi"), Finished("stop")]
    assert time.monotonic() - began < 1


@pytest.mark.timed
@pytest.mark.parametrize("rest", [[LAST], [None], [60]])
async def test_an_answer_with_a_finish_reason_has_ended_however_its_stream_ends(
    script: Script, model: OpenAIChatModel, rest: list[Step]
) -> None:
    script.steps = [HEADERS + chunked(HI, END), 0.01, *rest]
    began = time.monotonic()
    assert await ask(model) == [Text("Hi"), Finished("stop")]
    assert time.monotonic() - began < AFTER_REASON_S


async def test_a_cut_before_the_finish_reason_is_a_failure(script: Script, model: OpenAIChatModel) -> None:
    script.steps = [HEADERS + chunked(HI), 0.01, None]
    with pytest.raises(UpstreamError):
        await ask(model)
    assert len(script.paths) == 1


@pytest.mark.timed
@pytest.mark.parametrize("beginning", [b"", HI])
async def test_comments_of_a_proxy_are_no_words_of_the_model(
    script: Script, model: OpenAIChatModel, beginning: bytes
) -> None:
    comments: list[Step] = [chunked(COMMENT), 0.05]
    script.steps = [HEADERS + chunked(beginning or COMMENT), *comments * 100]
    began = time.monotonic()
    with pytest.raises(UpstreamTimeout):
        await ask(model)
    assert time.monotonic() - began < 4


async def test_a_connection_that_breaks_before_the_headers_is_tried_again(
    script: Script, model: OpenAIChatModel
) -> None:
    script.steps = [None]
    with pytest.raises(UpstreamError):
        await ask(model)
    assert script.connections > 1


@pytest.mark.timed
async def test_a_connection_that_was_closed_in_the_pool_is_replaced_at_once(
    script: Script, model: OpenAIChatModel
) -> None:
    script.steps = [HEADERS + chunked(HI, END, DONE), 0.005, LAST]
    await ask(model)
    script.first = [None]  # the server closes the connection when the next request comes
    began = time.monotonic()
    assert await ask(model) == [Text("Hi"), Finished("stop")]
    assert time.monotonic() - began < BACKOFF_S
    assert (script.connections, len(script.paths)) == (2, 3)


async def test_a_server_that_fails_is_given_a_moment(script: Script, model: OpenAIChatModel) -> None:
    script.steps = [HEADERS + chunked(HI, END, DONE), 0.005, LAST]
    script.first = [b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}"]
    began = time.monotonic()
    assert await ask(model) == [Text("Hi"), Finished("stop")]
    assert time.monotonic() - began >= BACKOFF_S


async def test_models_of_any_dialect(script: Script, model: OpenAIChatModel) -> None:
    body = b'{"data": [{"id": "a", "created": 1.5, "owned_by": null}, {"id": "b", "created": 7, "extra": {}}]}'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    script.steps = [head + body]
    assert await model.list_models() == [Model("a"), Model("b", created=7)]
    await model.list_models()
    assert script.paths == ["/v1/models"]  # requested once a minute


async def test_of_a_model_only_what_can_be_believed_is_listed(script: Script, model: OpenAIChatModel) -> None:
    listed = [
        {"id": "a", "created": -1, "owned_by": "x" * 300},
        {"id": "b", "created": 10**30, "owned_by": {"name": "x"}},
        {"id": "c", "created": True, "owned_by": "x\0y"},
        {"id": "d\n", "created": 7},
        {"id": "x" * 300},
        {"id": ["e"]},
    ]
    body = json.dumps({"data": listed}).encode()
    script.steps = [
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    ]
    assert await model.list_models() == [Model("a"), Model("b"), Model("c")]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data": null}', b'{"data": [{"name": "a"}]}'])
async def test_a_server_that_does_not_say_its_models_has_none(
    script: Script, model: OpenAIChatModel, body: bytes
) -> None:
    script.steps = [b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body]
    assert not await model.list_models()


async def test_a_continuation_gives_what_is_new_and_has_the_same_limits(script: Script, model: OpenAIChatModel) -> None:
    script.steps = [HEADERS + chunked(HI, HI, END, DONE), 0.005, LAST]
    assert await ask(model, shown="Hi") == [Text("Hi"), Finished("stop")]
    assert await ask(model, shown="HiHi") == [Finished("stop")]
    script.steps = [HEADERS + chunked(HI), 60]
    with pytest.raises(UpstreamTimeout):  # silent, whether text is held back or not
        await ask(model, shown="Hi there")
    script.steps = [HEADERS + chunked(HI), 0.01, None]
    with pytest.raises(UpstreamError):
        await ask(model, shown="Hi")
    assert script.paths == ["/v1/chat/completions"] * 4


async def test_a_continuation_that_was_taken_for_thinking_is_asked_for_in_words(
    script: Script, model: OpenAIChatModel
) -> None:
    script.first = [HEADERS + chunked(THOUGHT, END, DONE) + LAST]
    script.steps = [HEADERS + chunked(THOUGHT, HI, END, DONE) + LAST]
    assert await ask(model, shown="Oh. ") == [Text("Hi"), Finished("stop")]
    assert await ask(model, shown="Oh. ") == [Text("Hi"), Finished("stop")]
    assert len(script.paths) == 3


async def test_a_prompt_that_is_refused_either_way_is_invalid_and_says_nothing_of_the_ways(
    script: Script, model: OpenAIChatModel
) -> None:
    script.steps = [BAD_REQUEST]
    for _ in range(2):
        with pytest.raises(InvalidPrompt):
            await ask(model, shown="Oh. ")
    assert len(script.paths) == 4  # the first way was tried again


LINES = "repeat: One — zwei drei\n\n* 四つ 🌊🌊 five\r\n\n\tsix  seven 👩‍👩‍👧 é\n```\nend"


@pytest.fixture
async def real(standin: StandinServer) -> AsyncIterator[OpenAIChatModel]:
    """The adapter in front of the stand-in."""
    async with open_model(standin.base_url) as opened:
        yield opened


async def say(model: OpenAIChatModel, question: str, shown: str = "") -> list[Signal]:
    """All signals of an answer, or of its continuation after `shown`."""
    request = ModelRequest(model="stand-in")
    async with model.stream(request, [said("user", question)], shown=shown) as answer:
        return [signal async for signals in answer for signal in signals]


def as_text(signals: Sequence[Signal]) -> str:
    """The text of signals that end well."""
    *texts, finished = signals
    assert isinstance(finished, Finished)
    assert finished.reason == "stop"
    return "".join(signal.text for signal in texts if isinstance(signal, Text))


@pytest.mark.parametrize("directives", ["", " [[standin echo_prefix]]", " [[standin no_prefix]]"])
@pytest.mark.parametrize("question", ["count to 30", LINES])
async def test_an_answer_cut_anywhere_is_continued_exactly(
    real: OpenAIChatModel, question: str, directives: str
) -> None:
    whole = as_text(await say(real, question + directives))
    assert len(whole) > 50
    for cut in range(1, len(whole) + 1, 3 if question == "count to 30" else 1):
        shown = whole[:cut]
        assert shown + as_text(await say(real, question + directives, shown)) == whole, shown


@dataclass
class Asked:
    """The request bodies that the stand-in got since the last look."""

    url: str
    since: int = 0

    async def read(self) -> list[dict[str, Any]]:
        """Oldest first."""
        async with httpx.AsyncClient(base_url=self.url) as http:
            calls = (await http.get("/_control/calls", params={"since": self.since})).json()
        self.since = calls[-1]["index"] + 1 if calls else self.since
        return [call["body"] for call in calls]


async def test_an_endpoint_that_refuses_the_open_message_is_asked_in_words_from_then_on(
    real: OpenAIChatModel, standin: StandinServer
) -> None:
    asked = Asked(standin.url)
    await asked.read()
    for _ in range(2):
        assert as_text(await say(real, "count to 5 [[standin no_prefix]]", "1 2 ")) == "3 4 5"
    bodies = await asked.read()
    assert ["continue_final_message" in body for body in bodies] == [True, False, False]
    for body in bodies[1:]:
        assert body["messages"][1:] == [
            {"role": "assistant", "content": "1 2"},
            {"role": "user", "content": INSTRUCTION},
        ]


async def test_an_answer_of_which_only_white_space_was_shown_begins_anew(
    real: OpenAIChatModel, standin: StandinServer
) -> None:
    asked = Asked(standin.url)
    await asked.read()
    assert as_text(await say(real, "count to 3", "\n")) == "1 2 3"
    [body] = await asked.read()
    assert [message["role"] for message in body["messages"]] == ["user"]
    assert "continue_final_message" not in body


async def test_a_refusal_in_a_continuation_is_passed_on(real: OpenAIChatModel) -> None:
    signals = await say(real, "count to 3 [[standin refuse]]", "I was")
    *refused, finished = signals
    assert refused
    assert all(isinstance(signal, Refused) for signal in refused)
    assert isinstance(finished, Finished)
