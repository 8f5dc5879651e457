"""Nothing poisons for ever: whatever is wrong with a response, it ends, and keeps nobody else from ending."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import httpx
import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.domain import ids
from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import Argued, CalledTool, pack
from prompts.run.takeover import MAX_ATTEMPTS
from tests.support.builders import Stores, admit, build_draft, lose_lease, open_stores, write
from tests.support.oracle import check_events, read_frames
from tests.support.servers import eventually
from tests.support.service import Service
from tests.support.turns import ask, make_conversation

Poison: TypeAlias = Callable[[Redis, str], Awaitable[object]]

DEEP = '{"x":' * 1_500 + "1" + "}" * 1_500
DEEP_CALL = pack([CalledTool(0, "call_1", "tool_search", "tool_search"), Argued(0, DEEP)])
DEEP_ITEM = f'[{{"type":"tool_search_call","id":"a","status":"completed","call_id":"c","arguments":{DEEP}}}]'


def spoil(**fields: str) -> Poison:
    """Something stands in the response that cannot be read."""
    return lambda redis, response_id: redis.hset(
        keys.response(response_id), items=[part for pair in fields.items() for part in pair]
    )


def spoil_log(signals: str | bytes) -> Poison:
    """Something stands in its log that cannot be read, or told."""

    async def poison(redis: Redis, response_id: str) -> None:
        await redis.xadd(keys.event_log(response_id), {"s": signals}, id="0-9")
        await redis.hset(keys.response(response_id), "logged", "9")

    return poison


POISONS = {
    "echo": spoil(echo="nonsense"),
    "input": spoil(input="nonsense"),
    "nested input": spoil(input=DEEP_ITEM),
    "model request": spoil(model_request="[]"),
    "account": spoil(model_input="nonsense"),
    "time": spoil(created_ms=""),
    "log": spoil_log("nonsense"),
    "signals of another release": spoil_log('[["zz",1]]'),
    "nested call": spoil_log(DEEP_CALL),
}


@pytest.fixture
async def redis(service: Service) -> AsyncIterator[Redis]:
    """The service's own Redis."""
    async with Redis.from_url(service.valkey.url) as client:
        yield client


@pytest.fixture
def lost_replica(redis: Redis) -> Stores:
    """The stores of a replica that admits, and then is gone."""
    return open_stores(redis, replica_id="rep_gone")


async def place(lost: Stores, redis: Redis, poison: Poison, conversation_id: str | None = None) -> str:
    """An active response of a lost replica, with something wrong in it."""
    draft = build_draft("What is the code?", conversation_id=conversation_id)
    await write(lost, await admit(lost, draft), "The ")
    await poison(redis, draft.response.id)
    return draft.response.id


async def take_last_attempt(redis: Redis, response_id: str) -> None:
    """All replicas but one have tried to go on with it."""
    await redis.hset(keys.response(response_id), "attempts", str(MAX_ATTEMPTS))
    await lose_lease(redis, response_id)


async def read(http: httpx.AsyncClient, response_id: str) -> str:
    """Its status."""
    answer = await http.get(f"/v1/responses/{response_id}")
    return str(answer.json().get("status"))


@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS)
async def test_it_can_be_cancelled_deleted_displaced_and_ends_by_itself(
    http: httpx.AsyncClient, redis: Redis, lost_replica: Stores, poison: Poison
) -> None:
    places = [await make_conversation(http) for _ in range(4)]
    cancelled, deleted, displaced, lost = [await place(lost_replica, redis, poison, each) for each in places]
    await take_last_attempt(redis, lost)

    answer = await http.post(f"/v1/responses/{cancelled}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled"), answer.text
    assert (await http.delete(f"/v1/responses/{deleted}")).status_code == 200
    answer = await ask(http, "repeat: on", conversation=places[2], **{"eps:if_busy": "interrupt"})
    assert answer.status_code == 200, answer.text
    assert await read(http, displaced) == "cancelled"

    async def is_over() -> bool:
        return await read(http, lost) == "failed"

    await eventually(is_over)
    for conversation_id in places:
        assert (await ask(http, "repeat: on", conversation=conversation_id)).status_code == 200
    told = await http.get(f"/v1/responses/{lost}", params={"stream": "true"})
    assert told.status_code in {200, 410}
    if told.status_code == 200:
        assert read_frames(told.content)[-1]["response"]["error"]["code"] in {"replica_lost", "server_error"}
    assert not await redis.zscore(keys.leases(ids.get_partition(lost)), lost)


async def test_an_attempt_that_fails_counts_and_the_next_waits_for_a_lease(
    http: httpx.AsyncClient, redis: Redis, lost_replica: Stores
) -> None:
    response_id = await place(lost_replica, redis, POISONS["log"])
    await lose_lease(redis, response_id)

    async def has_tried() -> bool:
        return await redis.hget(keys.response(response_id), "attempts") == b"2"

    await eventually(has_tried)
    assert await read(http, response_id) == "in_progress", "another release may be able to read it"
    assert (await http.delete(f"/v1/responses/{response_id}")).status_code == 200


async def test_fifty_of_them_hold_up_no_other(http: httpx.AsyncClient, redis: Redis, lost_replica: Stores) -> None:
    partition = ids.new_partition()
    poisoned = []
    for number in range(50):
        draft = build_draft(partition=partition)
        await write(lost_replica, await admit(lost_replica, draft), "The ")
        await list(POISONS.values())[number % len(POISONS)](redis, draft.response.id)
        poisoned.append(draft.response.id)
    for response_id in poisoned:
        await lose_lease(redis, response_id)
    good = replace(build_draft("repeat: well", partition=partition), model_request=ModelRequest(model="stand-in"))
    await write(lost_replica, await admit(lost_replica, good))
    await lose_lease(redis, good.response.id)

    async def has_ended() -> bool:
        return await read(http, good.response.id) == "completed"

    await eventually(has_ended)
    told = await http.get(f"/v1/responses/{good.response.id}", params={"stream": "true"})
    assert check_events(read_frames(told.content))["status"] == "completed"
    for response_id in poisoned:
        assert (await http.delete(f"/v1/responses/{response_id}")).status_code == 200
