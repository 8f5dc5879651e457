"""A response whose replica dies, freezes or leaves: another continues it, on the same log."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.support.server_fixtures import StartReplica, StartValkey
from tests.support.servers import Replica, eventually
from tests.support.service import Service
from tests.support.turns import Stream, ask, get_text, make_conversation, open_client, wait_until_known

COUNT = 30
COUNTED = " ".join(str(number) for number in range(1, COUNT + 1))
SLOW = f"count to {COUNT} [[standin token_s=0.05]]"
LEASE_S = 1
# A replica looks for lost responses at least every two seconds; the rest is for a busy machine.
TAKEN_OVER_WITHIN_S = LEASE_S + 2 + 2
MAX_ATTEMPTS = 3


@asynccontextmanager
async def open_victim(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> AsyncIterator[tuple[Replica, httpx.AsyncClient]]:
    """A replica to kill, with a short lease, and a client of it."""
    replica = await asyncio.to_thread(start_replica, {**service.environment, "LEASE_S": str(LEASE_S)})
    async with open_client(http, replica) as client:
        yield replica, client


async def check_items(http: httpx.AsyncClient, conversation_id: str, *said: str) -> None:
    """Check that the conversation is free and holds each of these texts once."""
    conversation = (await http.get(f"/v1/conversations/{conversation_id}")).json()
    assert conversation["eps:active_response_id"] is None
    items = (await http.get(f"/v1/conversations/{conversation_id}/items", params={"order": "asc"})).json()["data"]
    assert ["".join(part["text"] for part in item["content"]) for item in items] == list(said)


async def has_active(http: httpx.AsyncClient, conversation_id: str) -> bool:
    """Whether the conversation has an active response."""
    conversation = (await http.get(f"/v1/conversations/{conversation_id}")).json()
    return conversation["eps:active_response_id"] is not None


@pytest.mark.timed
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SLOW, 4),
        (f"count to {COUNT} [[standin token_s=0.05 echo_prefix]]", 4),
        (f"count to {COUNT} [[standin headers_s=2 token_s=0.05]]", 0),
    ],
    ids=["in the middle", "the model echoes the prefix", "before its words"],
)
async def test_the_answer_of_a_killed_replica_goes_on(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica, text: str, words: int
) -> None:
    async with open_victim(service, http, start_replica) as (replica, victim):
        conversation_id = await make_conversation(http)
        creator = Stream.of_turn(victim, text, conversation=conversation_id)
        response_id = await creator.get_id()
        follower = Stream.of_response(http, response_id)
        for reader in (creator, follower):
            await reader.see_words(words)
        await asyncio.to_thread(replica.kill)
        began = time.monotonic()
        seen = await creator.read_broken(within_s=2)
        assert b"[DONE]" not in seen
        await follower.see_words(words + 2, within_s=TAKEN_OVER_WITHIN_S + 2)
        assert time.monotonic() - began < TAKEN_OVER_WITHIN_S + 2
        final = await follower.read_final()
    assert (final["status"], get_text(final)) == ("completed", COUNTED)
    assert final["eps:model_input"]["input_items"] == 1
    whole_frames = seen[: seen.rindex(b"\n\n") + 2]
    assert follower.raw.startswith(whole_frames)
    last_seen = whole_frames.count(b"event: ") - 1
    rest = await Stream.of_response(http, response_id, after=last_seen).read()
    assert whole_frames + rest == follower.raw
    assert (await http.get(f"/v1/responses/{response_id}")).json() == final
    await check_items(http, conversation_id, f"{text}", COUNTED)


async def test_what_was_said_before_is_given_to_the_model_again(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    async with open_victim(service, http, start_replica) as (replica, victim):
        conversation_id = await make_conversation(http)
        await ask(http, "My name is Ada.", conversation=conversation_id)
        creator = Stream.of_turn(victim, "What is my name? [[standin headers_s=1]]", conversation=conversation_id)
        response_id = await creator.get_id()
        await asyncio.to_thread(replica.kill)
        final = await Stream.of_response(http, response_id).read_final()
    assert get_text(final) == "Your name is Ada."
    assert final["eps:model_input"]["history_items"] == 2


async def test_a_whole_answer_of_a_killed_replica_is_had_by_its_retry(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    async with open_victim(service, http, start_replica) as (replica, victim):
        key = {"Idempotency-Key": f"the-one-request-that-{replica.port}-lost"}
        body = {"input": SLOW, "conversation": await make_conversation(http)}
        whole = asyncio.create_task(victim.post("/v1/responses", json=body, headers=key))
        await eventually(lambda: has_active(http, body["conversation"]))
        waiting = asyncio.create_task(http.post("/v1/responses", json=body, headers=key))
        await asyncio.to_thread(replica.kill)
        with pytest.raises(httpx.TransportError):
            await whole
        retry = await asyncio.wait_for(waiting, TAKEN_OVER_WITHIN_S + 5)
    assert (retry.status_code, get_text(retry.json())) == (200, COUNTED)
    assert retry.headers["idempotency-replayed"] == "true"
    await check_items(http, body["conversation"], SLOW, COUNTED)


async def test_a_second_turn_waits_until_the_first_one_has_ended_elsewhere(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    async with open_victim(service, http, start_replica) as (replica, victim):
        conversation_id = await make_conversation(http)
        lost = Stream.of_turn(victim, SLOW, conversation=conversation_id)
        await lost.see_words(2)
        await asyncio.to_thread(replica.kill)
        refused = await ask(http, "repeat: Hi", conversation=conversation_id)
        assert refused.status_code == 409
        assert refused.json()["error"]["active_response_id"] == await lost.get_id()
        await Stream.of_response(http, await lost.get_id()).read_final()
        assert (await ask(http, "repeat: Hi", conversation=conversation_id)).status_code == 200
    await check_items(http, conversation_id, SLOW, COUNTED, "repeat: Hi", "Hi")


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
        await follower.see_words(8)
        replica.thaw()  # in the middle: now both replicas are connected to the model
        final = await follower.read_final()
        assert get_text(final) == COUNTED
        assert await creator.read_final() == final
        assert creator.raw == follower.raw == await Stream.of_response(victim, response_id).read()
    await check_items(http, conversation_id, SLOW, COUNTED)


@pytest.mark.long
async def test_a_response_that_takes_every_replica_down_fails_and_keeps_what_was_shown(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica, start_valkey: StartValkey
) -> None:
    valkey = await asyncio.to_thread(start_valkey)  # its own Redis: no other replica may take it over
    redis = {"REDIS_URL": valkey.url, "CACHE_URL": valkey.cache_url, "LEASE_S": str(LEASE_S)}
    response_id = conversation_id = ""
    for attempt in range(MAX_ATTEMPTS):
        replica = await asyncio.to_thread(start_replica, {**service.environment, **redis})
        async with open_client(http, replica) as client:
            await wait_until_known(client)
            conversation_id = conversation_id or await make_conversation(client)
            if response_id:
                reader = Stream.of_response(client, response_id)
            else:
                reader = Stream.of_turn(client, "count to 500 [[standin token_s=0.05]]", conversation=conversation_id)
                response_id = await reader.get_id()
            await reader.see_words(3 * (attempt + 1))
            await asyncio.to_thread(replica.kill)
            await reader.read_broken()
    last = await asyncio.to_thread(start_replica, {**service.environment, **redis})
    async with open_client(http, last) as client:
        final = await Stream.of_response(client, response_id).read_final(within_s=20)
        assert (final["status"], final["error"]["code"]) == ("failed", "replica_lost")
        assert get_text(final).startswith("1 2 3 4 5 6 7 8")
        assert final["output"][0]["status"] == "incomplete"
        assert final["eps:model_input"]["input_items"] == 1
        await check_items(client, conversation_id)
        assert (await ask(client, "Hello", conversation=conversation_id)).status_code == 200


async def test_a_cancellation_outlives_the_replica_that_was_asked_for_it(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    """The cancel mark is in Redis: the replica that finds the response ends it instead of continuing it."""
    async with open_victim(service, http, start_replica) as (replica, victim):
        creator = Stream.of_turn(victim, SLOW)
        response_id = await creator.get_id()
        await creator.see_words(2)
        await asyncio.to_thread(replica.kill)
        cancelled: dict[str, Any] = (await http.post(f"/v1/responses/{response_id}/cancel")).json()
    assert cancelled["status"] == "cancelled"
    assert cancelled["eps:model_input"]["input_items"] == 1
    assert get_text(cancelled).startswith("1 2")
    assert (await http.get(f"/v1/responses/{response_id}")).json()["status"] == "cancelled"
