"""A replica that leaves, is full, or has lost its Redis: what its clients see."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from redis import Redis

from tests.support.oracle import check_events, read_frames
from tests.support.server_fixtures import StartReplica, StartValkey
from tests.support.servers import Replica, eventually
from tests.support.service import Service
from tests.support.turns import ask, get_text, make_conversation, wait_until_known

COUNTED_TO_30 = " ".join(str(number) for number in range(1, 31))


class Reader:
    """Reads one streamed turn in the background, as a client does."""

    def __init__(self, client: httpx.AsyncClient, text: str, **body: Any) -> None:
        self._client = client
        self._body = {"input": text, "stream": True, **body}
        self._has_words = asyncio.Event()
        self._raw = b""
        self._task = asyncio.create_task(self._read())

    async def see_words(self) -> None:
        """Wait for the model's first words."""
        async with asyncio.timeout(10):
            await self._has_words.wait()

    async def see_end(self) -> dict[str, Any]:
        """The final response of a complete and correct stream."""
        async with asyncio.timeout(30):
            await self._task
        return check_events(read_frames(self._raw))

    async def _read(self) -> None:
        async with self._client.stream("POST", "/v1/responses", json=self._body) as answer:
            assert answer.status_code == 200
            async for data in answer.aiter_bytes():
                self._raw += data
                if b"response.output_text.delta" in self._raw:
                    self._has_words.set()


@asynccontextmanager
async def open_client(http: httpx.AsyncClient, replica: Replica) -> AsyncIterator[httpx.AsyncClient]:
    """Alice at another replica."""
    async with httpx.AsyncClient(base_url=replica.url, headers=http.headers, timeout=30) as client:
        yield client


async def test_a_full_replica_refuses_and_a_run_has_a_time_limit(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    limits = {"MAX_RUNS": "2", "MAX_RUN_S": "1.5"}
    replica = await asyncio.to_thread(start_replica, {**service.environment, **limits})
    async with open_client(http, replica) as client:
        conversation_id = await make_conversation(client)
        reader = Reader(client, "count to 500 [[standin token_s=0.05]]")
        whole = asyncio.create_task(ask(client, "count to 501 [[standin token_s=0.05]]"))
        await reader.see_words()
        refused = await ask(client, "Hello", conversation=conversation_id, stream=True)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        conversation = (await client.get(f"/v1/conversations/{conversation_id}")).json()
        assert conversation["eps:active_response_id"] is None
        assert (await client.get(f"/v1/conversations/{conversation_id}/items")).json()["data"] == []

        final = await reader.see_end()
        assert (final["status"], final["error"]["code"]) == ("failed", "server_error")
        assert get_text(final).startswith("1 2 3")
        error = (await whole).json()["error"]
        assert ((await whole).status_code, error["code"]) == (504, "upstream_timeout")
        assert (await ask(client, "Hello", conversation=conversation_id)).status_code == 200


@pytest.mark.timed
async def test_a_lost_redis_is_reported_and_found_again(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica, start_valkey: StartValkey
) -> None:
    valkey = await asyncio.to_thread(start_valkey, appendfsync="always")
    redis = {"REDIS_URL": valkey.url, "CACHE_URL": valkey.cache_url}
    replica = await asyncio.to_thread(start_replica, {**service.environment, **redis})
    async with open_client(http, replica) as client:

        async def answers() -> bool:
            return (await ask(client, "Hello")).status_code == 200

        await eventually(answers)  # the keys are published soon after the start
        reader = Reader(client, "count to 30 [[standin token_s=0.05]]")
        await reader.see_words()
        await asyncio.to_thread(valkey.stop)
        began = time.monotonic()
        refused = await ask(client, "Hello")
        assert time.monotonic() - began < 5
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "dependency_unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        await asyncio.to_thread(valkey.start)
        await eventually(answers)
        assert get_text(await reader.see_end()) == COUNTED_TO_30
    assert "Traceback" not in replica.log


async def test_an_answer_outlives_a_frozen_redis(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica, start_valkey: StartValkey
) -> None:
    valkey = await asyncio.to_thread(start_valkey)
    redis = {"REDIS_URL": valkey.url, "CACHE_URL": valkey.cache_url}
    replica = await asyncio.to_thread(start_replica, {**service.environment, **redis})
    async with open_client(http, replica) as client:
        await wait_until_known(client)
        reader = Reader(client, "count to 30 [[standin token_s=0.02]]")
        await reader.see_words()
        valkey.freeze()
        await asyncio.sleep(3)  # the length of the outage is part of the test
        valkey.thaw()
        final = await reader.see_end()
        assert final["status"] == "completed"
        assert get_text(final) == COUNTED_TO_30
        assert (await client.get(f"/v1/responses/{final['id']}")).json() == final
    assert "Traceback" not in replica.log


@pytest.mark.timed
async def test_connections_that_redis_closes_are_made_again_unnoticed(
    service: Service, http: httpx.AsyncClient
) -> None:
    reader = Reader(http, "count to 9 [[standin token_s=0.05]]")
    await reader.see_words()
    await asyncio.to_thread(close_connections, service)
    began = time.monotonic()
    assert (await ask(http, "Hello")).status_code == 200
    assert (await reader.see_end())["status"] == "completed"
    assert time.monotonic() - began < 3


def close_connections(service: Service) -> None:
    """`CLIENT KILL` for every client of the Redis."""
    with Redis.from_url(service.valkey.url) as client:
        client.client_kill_filter(_type="normal", skipme=True)
