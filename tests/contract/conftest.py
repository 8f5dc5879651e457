"""The adapters of `ChatModel`, each in front of the stand-in. A new one is one more line in `PROTOCOLS`."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from openai import AsyncOpenAI, DefaultAioHttpClient

from prompts.adapters.openai.chat_model import OpenAIChatModel
from prompts.adapters.openai.responses_model import OpenAIResponsesModel
from prompts.adapters.openai.streams import Patience
from prompts.ports.chat_model import ChatModel
from tests.support.model_asker import Asker
from tests.support.servers import StandinServer

PROTOCOLS: dict[str, Callable[[AsyncOpenAI, Patience], ChatModel]] = {
    "chat_completions": OpenAIChatModel,
    "responses": OpenAIResponsesModel,
}
PATIENCE = Patience(connect_s=2, first_token_s=2, silence_s=0.5)


@asynccontextmanager
async def open_model(protocol: str, base_url: str) -> AsyncIterator[ChatModel]:
    """As `config.clients` makes it."""
    async with AsyncOpenAI(base_url=base_url, api_key="key", http_client=DefaultAioHttpClient()) as client:
        yield PROTOCOLS[protocol](client, PATIENCE)


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
