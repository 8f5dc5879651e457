"""A real model through the whole service, and taken over: shapes, finish reasons and usage, never its wording."""

from collections.abc import AsyncIterator, Sequence

import httpx
import pytest
from openai import AsyncOpenAI, NotFoundError

from launcher.smollm2 import MODEL
from prompts.adapters.openai.chat_model import OpenAIChatModel
from prompts.adapters.openai.chat_request import continuation_body, model_body
from prompts.adapters.openai.chat_stream import ChatReading
from prompts.adapters.openai.continuation import NewText, Way, get_prefix
from prompts.adapters.openai.http_client import ModelServerClient
from prompts.adapters.openai.streams import Patience
from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import Finished, Signal, Text
from tests.support.items import said
from tests.support.server_fixtures import StartReplica
from tests.support.service import Service
from tests.support.smollm2 import SmolLM2Server


async def test_a_real_model_answers_streams_counts_and_stops_at_its_budget(
    smollm2: SmolLM2Server, service: Service, start_replica: StartReplica
) -> None:
    real = {"OPENAI_BASE_URL": smollm2.base_url, "DEFAULT_MODEL": MODEL, "MODEL_FIRST_TOKEN_S": "60"}
    replica = start_replica({**service.environment, **real})
    async with AsyncOpenAI(base_url=f"{replica.url}/v1", api_key=service.alice_key, max_retries=0) as client:
        assert [model.id async for model in client.models.list()] == [MODEL]
        conversation = await client.conversations.create()
        with pytest.raises(NotFoundError):  # llama.cpp itself would accept any name
            await client.responses.create(model="gpt-5", input="Hello")

        whole = await client.responses.create(
            model=MODEL, input="Say hello.", conversation=conversation.id, temperature=0, max_output_tokens=200
        )
        assert whole.status == "completed"
        assert whole.output_text.strip()
        assert whole.usage is not None
        assert whole.usage.input_tokens > 0
        assert 0 < whole.usage.output_tokens <= 200

        text, last = "", None
        async for event in await client.responses.create(
            model=MODEL,
            input="Write a long story.",
            conversation=conversation.id,
            temperature=0,
            max_output_tokens=16,
            stream=True,
        ):
            last = event
            if event.type == "response.output_text.delta":
                text += event.delta
        assert last is not None
        assert last.type == "response.incomplete"
        cut = last.response
        assert cut.incomplete_details is not None
        assert cut.incomplete_details.reason == "max_output_tokens"
        assert cut.output_text == text
        assert cut.usage is not None
        assert cut.usage.output_tokens == 16
        # The second turn's input contains the first turn, so it is longer than its own words.
        assert cut.usage.input_tokens > whole.usage.input_tokens + whole.usage.output_tokens


QUESTION = [said("user", "Write a story about the sea.")]
# Temperature 0, so that a continuation can be compared with the uninterrupted answer.
REQUEST = ModelRequest(model=MODEL, temperature=0, max_output_tokens=60)
# A stretch long enough not to occur twice by chance.
BEGINNING_CHARACTERS = 20


@pytest.fixture
async def model(smollm2: SmolLM2Server) -> AsyncIterator[OpenAIChatModel]:
    """The adapter in front of the model."""
    patience = Patience(connect_s=5, first_token_s=60, silence_s=60)
    http_client = ModelServerClient()
    async with AsyncOpenAI(base_url=smollm2.base_url, api_key="any", http_client=http_client) as client:
        yield OpenAIChatModel(client, patience)


async def say(model: OpenAIChatModel, shown: str = "") -> str:
    """The model's signals, or those of a continuation after `shown`."""
    async with model.stream(REQUEST, QUESTION, shown=shown) as answer:
        return as_text([signal async for signals in answer for signal in signals])


def as_text(signals: Sequence[Signal]) -> str:
    """The text of signals that end."""
    *texts, finished = signals
    assert isinstance(finished, Finished)
    return "".join(signal.text for signal in texts if isinstance(signal, Text))


@pytest.mark.long
async def test_a_real_model_goes_on_from_the_middle_of_its_answer(model: OpenAIChatModel) -> None:
    whole = await say(model)
    words = whole.split(" ")
    middle = len(" ".join(words[: len(words) // 2]))
    for shown in (whole[:middle], whole[: middle + 1]):  # before the space, and after it
        rest = await say(model, shown)
        assert rest.strip()
        assert shown[:BEGINNING_CHARACTERS] not in rest, "it began again"
        # A token begins there: the space and the letter come exactly once.
        assert (shown + rest)[: middle + 2] == whole[: middle + 2]


async def test_the_echo_of_a_real_server_is_dropped(model: OpenAIChatModel, smollm2: SmolLM2Server) -> None:
    whole = await say(model)
    shown = whole[: whole.index(" ", 60)] + " "
    body = {**continuation_body(model_body(REQUEST, QUESTION), get_prefix(shown), Way.OPEN), "echo": True}
    reading, new, said, given = ChatReading(), NewText(shown), list[Signal](), list[Signal]()
    async with (
        httpx.AsyncClient(base_url=smollm2.url, timeout=60) as http,
        http.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        async for data in answer.aiter_bytes():
            said += (signals := reading.feed(data))
            given += new.take(signals)
    said += (signals := reading.finish())
    given += new.take(signals)
    assert as_text(said).startswith(get_prefix(shown))
    assert shown + as_text(given) == as_text(said)
