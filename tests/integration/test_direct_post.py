"""Streams are asked for without the official client's path of a request, and nobody can tell."""

import asyncio
import gzip
import json
import time
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI
from typing_extensions import override

from prompts.adapters.measured_model import MeasuredModel
from prompts.adapters.openai.chat_model import OpenAIChatModel
from prompts.adapters.openai.http_client import MAX_ERROR_BYTES, ModelServerClient, post
from prompts.adapters.openai.streams import Patience
from prompts.alarms import LOOK_S
from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import Finished, Signal, Text
from prompts.domain.tools import FunctionTool
from prompts.errors import InvalidPrompt
from prompts.ports.chat_model import ChatModel
from prompts.ports.observer import UNOBSERVED
from prompts.run.breaker import Breaker
from prompts.run.guarded_model import GuardedModel
from tests.support.items import said
from tests.support.raw_model import RawModelServer, Reply, Step

PATIENCE = Patience(connect_s=10, first_token_s=20, silence_s=20)
HI = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
END = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
# Words that come one by one.
PACED: list[Step] = [HI, 0.002] * 100


@pytest.fixture(scope="module")
def server() -> Iterator[RawModelServer]:
    with RawModelServer() as running:
        yield running


async def ask(model: ChatModel, **asked: Any) -> list[Signal]:
    async with model.stream(ModelRequest(model="m", **asked), [said("user", "Hello")]) as answer:
        return [signal async for signals in answer for signal in signals]


def open_client(base_url: str, http_client: ModelServerClient) -> AsyncOpenAI:
    return AsyncOpenAI(
        base_url=base_url,
        api_key="secret",
        organization="org",
        project="proj",
        default_headers={"x-ours": "yes"},
        http_client=http_client,
    )


async def test_the_request_is_what_the_official_client_would_send(server: RawModelServer) -> None:
    server.play(Reply([HI, END]))
    async with open_client(server.base_url, ModelServerClient()) as client:
        assert await ask(OpenAIChatModel(client, PATIENCE)) == [Text("hi"), Finished("stop")]
        ours = server.asked[0]
        response = await post(
            client.with_options(max_retries=0), "/chat/completions", limits=httpx2.Timeout(None), body=ours.body
        )
        await response.aclose()
    theirs = server.asked[1]
    assert (ours.path, ours.headers, ours.raw) == (theirs.path, theirs.headers, theirs.raw)
    assert ours.headers["openai-project"] == "proj"


async def test_a_proxy_of_the_environment_is_used(server: RawModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.play(Reply([HI, END]))
    for name in ("NO_PROXY", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", server.base_url.removesuffix("/v1").replace("//", "//user:word@"))
    async with open_client("http://model.invalid/v1", ModelServerClient()) as client:
        await ask(OpenAIChatModel(client, PATIENCE))
    [asked] = server.asked
    assert asked.path == "http://model.invalid/v1/chat/completions"
    assert asked.headers["host"] == "model.invalid"
    assert asked.headers["proxy-authorization"].startswith("Basic ")


async def test_a_trace_is_named_in_its_request_alone(server: RawModelServer) -> None:
    server.play(Reply([HI, END]))
    traces = iter(["first", "second"])

    def name_trace(headers: MutableMapping[str, str]) -> None:
        assert "traceparent" not in headers
        headers["traceparent"] = next(traces)

    async with open_client(server.base_url, ModelServerClient(name_trace=name_trace)) as client:
        model = OpenAIChatModel(client, PATIENCE)
        await ask(model)
        await ask(model)
    assert [asked.headers["traceparent"] for asked in server.asked] == ["first", "second"]


async def test_a_number_that_is_too_long_for_others_is_sent(server: RawModelServer) -> None:
    server.play(Reply([HI, END]))
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 10**30}}}
    async with open_client(server.base_url, ModelServerClient()) as client:
        await ask(OpenAIChatModel(client, PATIENCE), tools=[FunctionTool(name="f", parameters=schema)])
    assert server.bodies[0]["tools"][0]["function"]["parameters"] == schema


async def test_of_a_long_error_the_beginning_is_read(server: RawModelServer) -> None:
    words = json.dumps({"error": {"message": "no", "code": "invalid_prompt", "more": "x" * 2 * MAX_ERROR_BYTES}})
    for body in (words.encode(), gzip.compress(words.encode())):
        encoding = {} if body.startswith(b"{") else {"content-encoding": "gzip"}
        server.play(Reply([body], 400, encoding))
        async with open_client(server.base_url, ModelServerClient()) as client:
            with pytest.raises(InvalidPrompt) as raised:
                await ask(OpenAIChatModel(client, PATIENCE))
        assert len(raised.value.__cause__.response.content) <= MAX_ERROR_BYTES  # type: ignore[union-attr]  # an APIStatusError


class CountedClient(ModelServerClient):
    """Counts what goes the official client's way."""

    sent = 0

    @override
    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        self.sent += 1
        return await super().send(request, **options)

    @override
    def build_request(self, *arguments: Any, **options: Any) -> httpx2.Request:
        self.sent += 1
        return super().build_request(*arguments, **options)


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts timers and tasks."""

    timers = 0
    tasks = 0

    @override
    def call_at(self, when: float, callback: Any, *args: Any, **options: Any) -> Any:  # type: ignore[override]  # generic
        self.timers += 1
        return super().call_at(when, callback, *args, **options)

    @override
    def create_task(self, coro: Any, **options: Any) -> Any:
        self.tasks += 1
        return super().create_task(coro, **options)


def count(server: RawModelServer, counted: Callable[[CountingLoop], int], *steps: Step) -> tuple[int, int, float]:
    """How many of something a turn takes with these steps, on a connection that is open; and its requests, and time."""
    server.play(Reply([HI, END]), Reply([*steps, END]))

    async def ask_twice() -> tuple[int, int, float]:
        http_client = CountedClient()
        async with open_client(server.base_url, http_client) as client:
            measured = MeasuredModel(OpenAIChatModel(client, PATIENCE), UNOBSERVED)
            model = GuardedModel(measured, Breaker("model", max_failures=5, observer=UNOBSERVED))
            await ask(model)
            loop = asyncio.get_running_loop()
            assert isinstance(loop, CountingLoop)
            before, began = counted(loop), time.monotonic()
            answer = await ask(model)
            assert len(answer) == 1 + steps.count(HI)
            return counted(loop) - before, http_client.sent, time.monotonic() - began

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        return runner.run(ask_twice())


def test_no_read_of_a_stream_takes_a_timer(server: RawModelServer) -> None:
    timers, sent, took_s = count(server, lambda loop: loop.timers, *PACED)
    assert timers <= took_s / LOOK_S + 2  # the looks at all alarms
    assert sent == 0


def test_a_stream_takes_no_task(server: RawModelServer) -> None:
    tasks, _, _ = count(server, lambda loop: loop.tasks, *PACED)
    assert tasks == 0
