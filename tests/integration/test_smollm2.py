"""One real model through the whole service: shapes, finish reasons and usage, never its wording."""

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from openai import AsyncOpenAI, NotFoundError
from typing_extensions import override

from embedded.smollm2 import MODEL
from tests.processes import ServerProcess
from tests.server_fixtures import StartReplica
from tests.servers import get_status
from tests.service import Service


class SmolLM2Server(ServerProcess):
    """SmolLM2-135M on llama.cpp, from wheels."""

    @override
    def get_command(self) -> list[str]:
        return [sys.executable, "-m", "embedded.smollm2", str(self.ports[0])]

    @override
    def is_ready(self) -> bool:
        return get_status(self.ports[0], "/health") == 200


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmolLM2Server]:
    """The model; `make test` installs its wheels."""
    if find_spec("xllamacpp") is None:
        absent = pytest.fail if os.environ.get("CI") else pytest.skip
        absent("NOT TESTED, there is no real model: make test installs it (requirements-smollm2.txt)")
    with SmolLM2Server(tmp_path_factory.mktemp("smollm2")) as server:
        yield server


async def test_a_real_model_answers_streams_counts_and_stops_at_its_budget(
    smollm2: SmolLM2Server, service: Service, start_replica: StartReplica
) -> None:
    real = {"OPENAI_BASE_URL": f"{smollm2.url}/v1", "DEFAULT_MODEL": MODEL, "MODEL_FIRST_TOKEN_S": "60"}
    replica = start_replica({**service.environment, **real})
    async with AsyncOpenAI(base_url=f"{replica.url}/v1", api_key=service.alice_key, max_retries=0) as client:
        assert [model.id async for model in client.models.list()] == [MODEL]
        conversation = await client.conversations.create()
        with pytest.raises(NotFoundError):  # llama.cpp would answer for any name
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
            model=MODEL, input="Write a long story.", conversation=conversation.id, max_output_tokens=24, stream=True
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
        assert cut.usage.output_tokens == 24
        # The second turn was given the first: its input is longer than its own words.
        assert cut.usage.input_tokens > whole.usage.input_tokens + whole.usage.output_tokens
