"""Fixtures of the suites: the backends of the stores, and the adapters of `ChatModel` with the stand-in model."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from openai import AsyncOpenAI
from redis.asyncio import Redis

from prompts.adapters.openai.chat_model import OpenAIChatModel
from prompts.adapters.openai.http_client import ModelServerClient
from prompts.adapters.openai.responses_model import OpenAIResponsesModel
from prompts.adapters.openai.streams import Patience
from prompts.ports.chat_model import ChatModel
from tests.contract.backends import BACKENDS, Backend
from tests.support.builders import Stores, open_redis, open_stores
from tests.support.model_asker import Asker
from tests.support.servers import StandinServer, ValkeyServer

# A new adapter of `ChatModel` is one more line here.
PROTOCOLS: dict[str, Callable[[AsyncOpenAI, Patience], ChatModel]] = {
    "chat_completions": OpenAIChatModel,
    "responses": OpenAIResponsesModel,
}
# A database of their own: replicas of the service, in database 0, would take over what is lost here.
DATABASE = 3
PATIENCE = Patience(connect_s=2, first_token_s=2, silence_s=0.5)


@asynccontextmanager
async def open_model(protocol: str, base_url: str, patience: Patience = PATIENCE) -> AsyncIterator[ChatModel]:
    """As `config.clients` makes it."""
    async with AsyncOpenAI(base_url=base_url, api_key="key", http_client=ModelServerClient()) as client:
        yield PROTOCOLS[protocol](client, patience)


@pytest.fixture(params=PROTOCOLS)
async def asker(request: pytest.FixtureRequest, standin: StandinServer) -> AsyncIterator[Asker]:
    """Of each adapter in turn."""
    async with open_model(request.param, standin.base_url) as model:
        yield Asker(model)


@pytest.fixture
async def control(standin: StandinServer) -> AsyncIterator[httpx.AsyncClient]:
    """What the stand-in was asked, and what it is doing."""
    async with httpx.AsyncClient(base_url=standin.url, timeout=30) as client:
        await client.delete("/_control/calls")
        yield client


@pytest.fixture
async def redis(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    """The client of a process, of an empty database."""
    async with open_redis(f"redis://127.0.0.1:{valkey.port}/{DATABASE}") as client:
        await client.flushdb()
        yield client


@pytest.fixture(params=BACKENDS)
async def backend(request: pytest.FixtureRequest, redis: Redis) -> AsyncIterator[Backend]:
    """An empty backend; the test runs once on each."""
    async with BACKENDS[request.param](redis) as opened:
        yield opened


@pytest.fixture
def stores(backend: Backend) -> Stores:
    """The stores of that backend."""
    return backend.stores


@pytest.fixture
def redis_stores(redis: Redis) -> Stores:
    """The stores on Redis alone, for ports without a fake."""
    return open_stores(redis)
