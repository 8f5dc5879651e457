"""A replica that is killed while it writes: what was seen stays, the response fails, its conversation is free."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.server_fixtures import StartReplica
from tests.servers import Replica, eventually
from tests.service import Service
from tests.turns import Stream, ask, check_free_and_unmoved, get_text, make_conversation, open_client

SLOW = "count to 500 [[standin token_s=0.05]]"
LEASE_S = 1
# Every replica looks after lost responses at least every two seconds; the rest is for a busy machine.
LOST_WITHIN_S = LEASE_S + 2 + 2


@asynccontextmanager
async def open_victim(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> AsyncIterator[tuple[Replica, httpx.AsyncClient]]:
    """A replica that may be killed, with a short lease, and a client of it."""
    replica = await asyncio.to_thread(start_replica, {**service.environment, "LEASE_S": str(LEASE_S)})
    async with open_client(http, replica) as client:
        yield replica, client


@pytest.mark.parametrize("text", [SLOW, "Hello [[standin headers_s=30]]"], ids=["in the middle", "before its words"])
async def test_a_killed_replicas_response_fails_soon_and_keeps_what_was_seen(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica, text: str
) -> None:
    async with open_victim(service, http, start_replica) as (replica, victim):
        conversation_id = await make_conversation(http)
        creator = Stream.of_turn(victim, text, conversation=conversation_id)
        response_id = await creator.get_id()
        follower = Stream.of_response(http, response_id)
        words = 4 if text == SLOW else 0
        for reader in (creator, follower):
            await reader.see_words(words)
        await asyncio.to_thread(replica.kill)
        began = time.monotonic()

        seen = await creator.read_broken(within_s=2)
        assert b"[DONE]" not in seen
        final = await follower.read_final(within_s=LOST_WITHIN_S)
        assert time.monotonic() - began < LOST_WITHIN_S
    assert (final["status"], final["error"]["code"]) == ("failed", "replica_lost")
    assert get_text(final).startswith("1 2 3 4"[: 2 * words])
    whole_frames = seen[: seen.rindex(b"\n\n") + 2]
    assert follower.raw.startswith(whole_frames)
    assert (await http.get(f"/v1/responses/{response_id}")).json() == final
    assert await Stream.of_response(http, response_id).read() == follower.raw
    await check_free_and_unmoved(http, conversation_id)


async def test_a_whole_answer_of_a_killed_replica_breaks_off_and_a_retry_is_told_why(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    async with open_victim(service, http, start_replica) as (replica, victim):
        key = {"Idempotency-Key": f"the one request that {replica.port} lost".replace(" ", "-")}
        body = {"input": SLOW, "conversation": await make_conversation(http)}
        whole = asyncio.create_task(victim.post("/v1/responses", json=body, headers=key))
        await eventually(lambda: has_active(http, body["conversation"]))
        waiting = asyncio.create_task(http.post("/v1/responses", json=body, headers=key))
        await asyncio.to_thread(replica.kill)
        with pytest.raises(httpx.TransportError):
            await whole
        retry = await asyncio.wait_for(waiting, LOST_WITHIN_S)
    assert (retry.status_code, retry.json()["error"]["code"]) == (502, "replica_lost")
    assert retry.headers["idempotency-replayed"] == "true"
    await check_free_and_unmoved(http, body["conversation"])


async def has_active(http: httpx.AsyncClient, conversation_id: str) -> bool:
    """Whether the conversation is busy."""
    conversation = (await http.get(f"/v1/conversations/{conversation_id}")).json()
    return conversation["eps:active_response_id"] is not None


@pytest.mark.parametrize("what", ["a turn", "items"])
async def test_a_conversation_is_free_as_soon_as_the_lease_is_over(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica, what: str
) -> None:
    async with open_victim(service, http, start_replica) as (replica, victim):
        conversation_id = await make_conversation(http)
        lost = Stream.of_turn(victim, SLOW, conversation=conversation_id)
        await lost.see_words(2)
        await asyncio.to_thread(replica.kill)
        began = time.monotonic()

        async def is_taken() -> bool:
            answer = await send(http, conversation_id, what)
            assert answer.status_code in (200, 409), answer.text
            return answer.status_code == 200

        await eventually(is_taken, within_s=LOST_WITHIN_S)
        assert time.monotonic() - began < LEASE_S + 1
        await lost.read_broken()
    ended = (await http.get(f"/v1/responses/{await lost.get_id()}")).json()
    assert (ended["status"], ended["error"]["code"]) == ("failed", "replica_lost")
    assert get_text(ended).startswith("1 2")
    items = (await http.get(f"/v1/conversations/{conversation_id}/items", params={"order": "asc"})).json()["data"]
    assert [item["role"] for item in items] == (["user", "assistant"] if what == "a turn" else ["user"])
    assert (await ask(http, "Hello", conversation=conversation_id)).status_code == 200


async def send(http: httpx.AsyncClient, conversation_id: str, what: str) -> httpx.Response:
    """Something new for the conversation."""
    if what == "a turn":
        return await ask(http, "repeat: Hi", conversation=conversation_id)
    hello = {"role": "user", "content": "Hi"}
    return await http.post(f"/v1/conversations/{conversation_id}/items", json={"items": [hello]})


async def test_a_replica_that_was_away_longer_than_its_lease_writes_nothing_more(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    async with open_victim(service, http, start_replica) as (replica, victim):
        conversation_id = await make_conversation(http)
        creator = Stream.of_turn(victim, SLOW, conversation=conversation_id)
        response_id = await creator.get_id()
        await creator.see_words(2)
        follower = Stream.of_response(http, response_id)
        await asyncio.to_thread(replica.freeze)
        final: dict[str, Any] = await follower.read_final(within_s=LOST_WITHIN_S)
        assert (final["status"], final["error"]["code"]) == ("failed", "replica_lost")
        replica.thaw()
        assert await creator.read_final(within_s=5) == final
        assert creator.raw == follower.raw == await Stream.of_response(victim, response_id).read()
    await check_free_and_unmoved(http, conversation_id)
