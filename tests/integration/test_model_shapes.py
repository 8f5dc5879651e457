"""Every shape that model servers send, over HTTP against the adapter: what the core is told of it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI
from structlog.testing import capture_logs

from prompts.adapters.openai.chat_model import OpenAIChatModel
from prompts.adapters.openai.http_client import ModelServerClient
from prompts.adapters.openai.quirks import NO_QUIRKS, ModelQuirks
from prompts.adapters.openai.streams import Patience
from prompts.domain.text import ReasoningConfig
from prompts.domain.tools import FunctionTool
from prompts.domain.usage import Usage
from tests.support.model_asker import Asker, Heard
from tests.support.model_shapes.shape import Shape
from tests.support.model_shapes.table import SHAPES
from tests.support.raw_model import RawModelServer

PATIENCE = Patience(connect_s=5, first_token_s=4, silence_s=4)
# What a client is told of a failure; the rest of a server's words is for the log.
OUTCOMES = {"stop": "completed", "length": "incomplete", "content_filter": "incomplete"}
REASONS = {"max_output_tokens": "length", "content_filter": "content_filter", None: "stop"}


@pytest.fixture(scope="module")
def raw_model() -> Iterator[RawModelServer]:
    """One for the module; each test says what it plays."""
    with RawModelServer() as server:
        yield server


@asynccontextmanager
async def open_asker(raw_model: RawModelServer, quirks: ModelQuirks = NO_QUIRKS) -> AsyncIterator[Asker]:
    """The adapter as `config.clients` makes it."""
    async with AsyncOpenAI(base_url=raw_model.base_url, api_key="key", http_client=ModelServerClient()) as client:
        yield Asker(OpenAIChatModel(client, PATIENCE, quirks))


@pytest.fixture
async def asker(raw_model: RawModelServer) -> AsyncIterator[Asker]:
    """Asks the raw server."""
    async with open_asker(raw_model) as opened:
        yield opened


def read_asked(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a body of a request asks of the model."""
    fields = {
        name: asked[name] for name in ("max_output_tokens", "parallel_tool_calls", "top_logprobs") if name in asked
    }
    tools = [FunctionTool(name=tool["name"], parameters=tool["parameters"]) for tool in asked.get("tools", ())]
    return {
        **fields,
        "tools": tools,
        "reasoning": ReasoningConfig(**asked.get("reasoning", {})),
        "wants_logprobs": "include" in asked,
    }


async def hear(asker: Asker, shape: Shape) -> Heard:
    """All that comes of it, in time."""
    began = time.monotonic()
    heard = await asker.try_to_ask("Hello", **read_asked(shape.asked))
    assert time.monotonic() - began < (shape.within_s or 20)
    return heard


@pytest.mark.timed
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.id} {shape.what}")
async def test_a_shape(asker: Asker, raw_model: RawModelServer, shape: Shape) -> None:
    raw_model.play(*shape.replies)
    with capture_logs() as logs:
        heard = await hear(asker, shape)
    assert (heard.text, heard.thought, heard.calls) == (shape.text, shape.thought, [*shape.calls])
    if shape.status == "failed":
        check_failure(heard, shape)
    else:
        assert heard.error is None
        assert (heard.finished.reason, OUTCOMES[heard.finished.reason]) == (REASONS[shape.reason], shape.status)
        check_usage(heard.finished.usage, shape)
    least, most = shape.tries or (1, 5)
    assert least <= len(raw_model.asked) <= most
    shape.check(raw_model.bodies)
    assert shape.logged in json.dumps(logs, default=str)
    assert "upstream-secret" not in json.dumps(logs, default=str)


def check_failure(heard: Heard, shape: Shape) -> None:
    """What a client is told: the code, when to come again, and none of the server's own words."""
    assert heard.error is not None
    if not (heard.text or heard.calls):
        assert (heard.error.status, heard.error.code) == (shape.http, shape.code)
    if shape.retry_after_s is not None:
        assert heard.error.retry_after_s is not None
        assert shape.retry_after_s - 10 < heard.error.retry_after_s <= shape.retry_after_s
    assert not shape.logged or shape.logged not in heard.error.message


def check_usage(usage: Usage | None, shape: Shape) -> None:
    """What the server reported, as far as it can be believed."""
    if shape.usage is not None:
        assert usage is not None
        assert (usage.input_tokens, usage.output_tokens) == shape.usage


async def test_shapes_side_by_side(raw_model: RawModelServer) -> None:
    """Answers share nothing: each reading is its own."""
    raw_model.play(*SHAPES[0].replies)
    async with open_asker(raw_model) as asker:
        heard = await asyncio.gather(*(asker.ask("Hello") for _ in range(20)))
    assert {one.text for one in heard} == {"hi"}
