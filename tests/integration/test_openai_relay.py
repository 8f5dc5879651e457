"""The relay's adapter against a server that sends what it likes: silence, size, pace, usage."""

import gzip
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from openai import AsyncOpenAI
from typing_extensions import override

from prompts.adapters.openai.bodies import MAX_INFLATED_BYTES
from prompts.adapters.openai.http_client import ModelServerClient
from prompts.adapters.openai.model_list import KnownModels
from prompts.adapters.openai.relay import OpenAIRelay
from prompts.adapters.openai.relayed_answer import MAX_HELD_BYTES
from prompts.adapters.openai.streams import Patience
from prompts.errors import UpstreamError
from tests.support.raw_model import JSON, RawModelServer, Reply, reply_json
from tests.support.servers import eventually

CHUNK = b'data: {"choices":[{"delta":{"content":"hi"}}],"usage":null}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}}\n\ndata: [DONE]\n\n'


@pytest.fixture(scope="module")
def server() -> Iterator[RawModelServer]:
    """One for the module; each test says what it plays."""
    with RawModelServer() as running:
        yield running


@pytest.fixture
async def relay(server: RawModelServer) -> AsyncIterator[OpenAIRelay]:
    """The relay in front of it."""
    client = AsyncOpenAI(base_url=server.base_url, api_key="none", http_client=ModelServerClient())
    async with client:
        patience = Patience(connect_s=5, first_token_s=5, silence_s=5)
        yield OpenAIRelay(client, patience, KnownModels(client, within_s=5, aliases={}))


async def read(relay: OpenAIRelay) -> tuple[list[bytes], Any]:
    """The parts of a streamed answer, and its usage at the end."""
    async with relay.open("/chat/completions", b"{}", is_stream=True, quiet_s=0.1) as answer:
        parts = [answer.whole] if answer.whole is not None else [part async for part in answer.read()]
        return parts, answer.usage


async def test_usage_is_found_at_the_end_of_a_stream(relay: OpenAIRelay, server: RawModelServer) -> None:
    server.play(Reply([CHUNK, USAGE], is_cut_small=True))
    parts, usage = await read(relay)
    assert b"".join(parts) == CHUNK + USAGE
    assert (usage.input_tokens, usage.output_tokens) == (3, 5)


async def test_usage_is_found_in_a_whole_answer(relay: OpenAIRelay, server: RawModelServer) -> None:
    server.play(reply_json({"usage": {"prompt_tokens": 3, "total_tokens": 3}, "timings": {"a": 1}}))
    _, usage = await read(relay)
    assert usage.input_tokens == 3
    server.play(Reply([CHUNK]))
    assert (await read(relay))[1] is None


@pytest.mark.parametrize("steps", [[0.5, CHUNK], [CHUNK, 0.5, CHUNK]])
async def test_of_silence_between_events_an_empty_part_is_given(
    relay: OpenAIRelay, server: RawModelServer, steps: list[Any]
) -> None:
    server.play(Reply([b"", *steps]))
    parts, _ = await read(relay)
    assert b"".join(parts) == b"".join(step for step in steps if isinstance(step, bytes))
    assert 2 <= parts.count(b"") <= 5


async def test_of_silence_in_an_event_or_in_json_nothing_is_said(relay: OpenAIRelay, server: RawModelServer) -> None:
    server.play(Reply([CHUNK[:20], 0.5, CHUNK[20:]]))
    parts, _ = await read(relay)
    assert b"" not in parts
    server.play(Reply([b" " * (MAX_HELD_BYTES + 1), 0.5, b"{}"], headers=JSON))
    parts, _ = await read(relay)
    assert b"" not in parts
    assert b"".join(parts).strip() == b"{}"


async def test_a_server_is_read_only_as_fast_as_its_answer_is_taken(relay: OpenAIRelay, server: RawModelServer) -> None:
    steps = CountedSteps(100)
    server.play(Reply(steps))
    async with (
        relay.open("/chat/completions", b"{}", is_stream=True, quiet_s=10) as answer,
        aclosing(answer.read()) as parts,
    ):
        await anext(parts)
        await eventually(lambda: steps.has_rested(0.5))
    assert steps.sent < 60


class CountedSteps(list[Any]):
    """So many MB, counted when they are sent."""

    def __init__(self, count: int) -> None:
        super().__init__([b"x" * 1_000_000] * count)
        self.sent = 0
        self._sent_at = time.monotonic()

    @override
    def __iter__(self) -> Iterator[Any]:
        for step in super().__iter__():
            self.sent += 1
            self._sent_at = time.monotonic()
            yield step

    def has_rested(self, for_s: float) -> bool:
        """Whether nothing was sent for so long."""
        return time.monotonic() - self._sent_at > for_s


async def test_an_answer_that_swells_without_end_is_cut(relay: OpenAIRelay, server: RawModelServer) -> None:
    server.play(Reply([b"x" * 1_000_000] * 300, headers=JSON))
    with pytest.raises(UpstreamError):
        await read(relay)


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ("Application/JSON; charset=utf-8", "application/json; charset=utf-8"),
        ("application/problem+json", "application/problem+json"),
        ("image/svg+xml", "application/octet-stream"),
        ("text/javascript", "application/octet-stream"),
        ("text/plain; charset=utf-7", "application/octet-stream"),
        ("application/json" + ";a=b" * 500, "application/octet-stream"),
    ],
)
async def test_no_browser_runs_what_comes(relay: OpenAIRelay, server: RawModelServer, told: str, kind: str) -> None:
    server.play(Reply([b"{}"], headers={"content-type": told}))
    async with relay.open("/chat/completions", b"{}", is_stream=False, quiet_s=10) as answer:
        assert (answer.content_type, answer.whole) == (kind, b"{}")


@pytest.mark.parametrize("told", ["text/html", "Text/HTML; charset=utf-8", "application/xhtml+xml"])
async def test_a_page_is_no_answer(relay: OpenAIRelay, server: RawModelServer, told: str) -> None:
    server.play(Reply([b"<script>"], headers={"content-type": told}))
    with pytest.raises(UpstreamError):
        await read(relay)


async def test_a_relayed_answer_is_not_inflated_without_bound(relay: OpenAIRelay, server: RawModelServer) -> None:
    server.play(Reply([gzip.compress(b" " * (MAX_INFLATED_BYTES + 1))], headers={**JSON, "content-encoding": "gzip"}))
    with pytest.raises(UpstreamError):
        await read(relay)


@pytest.mark.parametrize("status", [201, 204, 206, 299])
async def test_an_answer_that_is_one_is_told_as_one(relay: OpenAIRelay, server: RawModelServer, status: int) -> None:
    body = [] if status == 204 else [b"{}"]
    server.play(Reply(body, status, headers=JSON))
    async with relay.open("/chat/completions", b"{}", is_stream=False, quiet_s=10) as answer:
        assert (answer.status, answer.whole) == (200, b"".join(body))


@pytest.mark.parametrize("status", [302, 600, 999])
async def test_a_status_that_cannot_be_told_is_a_failure(
    relay: OpenAIRelay, server: RawModelServer, status: int
) -> None:
    server.play(reply_json({"error": {"message": "no", "type": "t", "code": "c"}}, status))
    with pytest.raises(UpstreamError):
        await read(relay)
