"""Redis away for seconds, or killed and started again: runs continue, and nothing acknowledged is lost."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from launcher.valkey import Fsync
from tests.support.server_fixtures import StartReplica, StartValkey
from tests.support.servers import StandinServer, ValkeyServer
from tests.support.service import Service
from tests.support.turns import Stream, ask, get_text, make_conversation, open_client, wait_until_known

AWAY_S = 5
COUNT = 200
COUNTED = " ".join(str(number) for number in range(1, COUNT + 1))


@asynccontextmanager
async def open_two(
    service: Service, http: httpx.AsyncClient, valkey: ValkeyServer, start_replica: StartReplica
) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Alice at two replicas on this Redis, after her key is published."""
    environment = {**service.environment, "REDIS_URL": valkey.url, "CACHE_URL": valkey.cache_url}
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(2):
            replica = await asyncio.to_thread(start_replica, environment)
            clients.append(await stack.enter_async_context(open_client(http, replica)))

        await wait_until_known(clients[0])
        yield clients[0], clients[1]


async def count_calls(standin: StandinServer, text: str) -> int:
    """How often the model was asked this."""
    async with httpx.AsyncClient(base_url=standin.url) as client:
        calls = (await client.get("/_control/calls")).json()
    asked = [call["messages"][-1]["content"] for call in calls if call["messages"]]  # other protocols have none
    return asked.count(text)


@pytest.mark.parametrize("fsync", ["everysec", pytest.param("always", marks=pytest.mark.long)])
async def test_a_redis_that_is_killed_and_comes_back_loses_nothing_that_was_acknowledged(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica, start_valkey: StartValkey, fsync: Fsync
) -> None:
    valkey = await asyncio.to_thread(start_valkey, appendfsync=fsync)
    async with open_two(service, http, valkey, start_replica) as (client, other):
        conversation_id = await make_conversation(client)
        before = (await ask(client, "repeat: Before", conversation=conversation_id)).json()
        text = f"count to {COUNT} [[standin token_s=0.05]] {valkey.port}"
        stream = Stream.of_turn(client, text, conversation=conversation_id)
        await stream.see_words(10)
        follower = Stream.of_response(other, await stream.get_id())
        await follower.see_words(10)

        await asyncio.to_thread(valkey.kill)
        refused = await ask(client, "Hello")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "dependency_unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        await asyncio.sleep(AWAY_S)  # the length of the outage is part of the test
        assert (await client.get("/readyz")).status_code == 503
        await asyncio.to_thread(valkey.start)

        assert get_text(await stream.read_final()) == COUNTED
        assert await follower.read() == stream.raw
        assert await count_calls(service.standin, text) == 1
        assert (await client.get(f"/v1/responses/{before['id']}")).json() == before
        items = (await client.get(f"/v1/conversations/{conversation_id}/items", params={"order": "asc"})).json()
        said = ["".join(part["text"] for part in item["content"]) for item in items["data"]]
        assert said == ["repeat: Before", "Before", text, COUNTED]
        assert (await client.get("/readyz")).status_code == 200


async def test_an_outage_longer_than_the_lease_is_survived(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica, start_valkey: StartValkey
) -> None:
    """The run gives up with its lease. It is taken over like one whose replica died."""
    valkey = await asyncio.to_thread(start_valkey)
    short = dataclasses.replace(service, environment={**service.environment, "LEASE_S": "1"})
    async with open_two(short, http, valkey, start_replica) as (client, _):
        stream = Stream.of_turn(client, f"count to {COUNT} [[standin token_s=0.02]]")
        await stream.see_words(10)
        await asyncio.to_thread(valkey.kill)
        await asyncio.sleep(3)  # the length of the outage is part of the test
        await asyncio.to_thread(valkey.start)
        assert get_text(await stream.read_final()) == COUNTED
        assert await Stream.of_response(client, await stream.get_id()).read() == stream.raw
