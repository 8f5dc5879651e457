"""The hot path uses no thread (docs/architecture.md, promise 7), counted in a process with the real application."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack

import httpx
import pytest
from typing_extensions import override

from tests.support.oracle import check_events, read_frames
from tests.support.servers import Replica, eventually
from tests.support.service import Service
from tests.support.turns import ask, make_conversation
from tests.support.websockets import open_talk


class CountedReplica(Replica):
    """The service in one process, on uvloop as in production, with counters for thread pools."""

    @override
    def get_command(self) -> list[str]:
        address = ("--host", "127.0.0.1", "--port", str(self.port), "--loop", "uvloop", "--lifespan", "on")
        return [sys.executable, "-m", "uvicorn", "tests.integration.no_threads_app:app", *address]

    @override
    def get_environment(self) -> Mapping[str, str]:
        return {**super().get_environment(), "DJANGO_SETTINGS_MODULE": "config.settings"}


@pytest.fixture
def replica(service: Service, servers: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> Replica:
    return servers.enter_context(CountedReplica(tmp_path_factory.mktemp("counted"), service.environment))


async def test_a_turn_and_a_probe_ask_no_thread_pool(
    replica: Replica, http: httpx.AsyncClient, service: Service
) -> None:
    async with httpx.AsyncClient(base_url=replica.url, headers=http.headers, timeout=30) as client:

        async def count() -> int:
            submissions: int = (await client.get("/_submissions")).json()["count"]
            return submissions

        async def count_signals() -> int:
            signals: int = (await client.get("/_submissions")).json()["signals"]
            return signals

        async def reconciled() -> bool:
            """Keys are read from SQL in a thread, at the start and a minute later."""
            return await count() > 0

        await eventually(reconciled)
        made = await client.post("/v1/prompts", json={"prompt": "You help {{who}}.", "variables": ["who"]})
        prompt = {"id": made.json()["prompt_id"], "variables": {"who": "Ada"}}
        conversation_id = await make_conversation(client)
        await ask(client, "My name is Ada.", conversation=conversation_id)  # opens connections and resolves addresses
        before = await count()

        streamed = await ask(client, "count to 50", conversation=conversation_id, stream=True)
        assert check_events(read_frames(streamed.content))["status"] == "completed"
        whole = await ask(client, "What is my name?", conversation=conversation_id)
        assert whole.json()["output"][0]["content"][0]["text"] == "Your name is Ada."
        with_prompt = await ask(client, "Hello", conversation=conversation_id, prompt=prompt)
        assert with_prompt.json()["instructions"] == "You help Ada."
        async with open_talk(replica.url, service.alice_key) as talk:
            await talk.ask("count to 50", store=False)
            await talk.ask("count to 50", conversation=conversation_id)
        assert (await client.get("/readyz")).status_code == 200
        assert await count() == before
        assert await count_signals() == 0

        assert (await client.get("/admin/login/")).status_code == 200
        assert await count() > before  # the counters work: Django's own stack uses threads and sends signals
        assert await count_signals() > 0
