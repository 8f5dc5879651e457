"""What an owner keeps is counted, freed and limited, whatever it is and however it goes."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from msgspec import structs
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.compactions import RedisCompactions
from prompts.adapters.redis.met_owners import MAX_OWNERS
from prompts.adapters.redis.quotas import RedisQuotas
from prompts.domain import ids
from prompts.domain.passages import Passage
from prompts.domain.responses import CompactedHistory
from prompts.domain.usage import Usage
from prompts.errors import QuotaExceeded
from prompts.ports.responses import Claim
from prompts.run.sweeping import erase_due
from tests.contract.port_turns import build_outcome
from tests.support.builders import (
    RETENTION_S,
    RetryingRedis,
    Stores,
    admit,
    build_draft,
    build_item,
    commit,
    make_conversation,
    open_stores,
    take_turn,
)
from tests.support.refusals import check_refusal
from tests.support.server_fixtures import StartReplica, StartValkey
from tests.support.servers import eventually
from tests.support.service import Service
from tests.support.turns import ask, open_client, wait_until_known

LONG = "word " * 4_000
MAX_BYTES = 40_000


@pytest.fixture
async def redis(start_valkey: StartValkey) -> AsyncIterator[Redis]:
    """A client of a Valkey for this file."""
    async with Redis.from_url(start_valkey().url) as client:
        yield client
        await client.flushall()


@pytest.fixture(params=["once", "twice"])
def stores(request: pytest.FixtureRequest, redis: Redis) -> Stores:
    """Stores whose scripts run once, or twice, as after a lost answer."""
    return open_stores(redis if request.param == "once" else RetryingRedis.of(redis))


async def count(redis: Redis, owner: str = "alice") -> int:
    """The bytes that the owner keeps."""
    counted = [await redis.hget(keys.stored_bytes(partition), owner) for partition in ids.all_partitions()]
    return sum(int(each or 0) for each in counted)


async def test_each_thing_counts_and_goes_with_what_it_hangs_on(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, LONG)
    counted = await count(redis)
    assert len(LONG) < counted < len(LONG) + 2_000
    await take_turn(stores, text=LONG, conversation_id=conversation_id)
    assert counted + 2 * len(LONG) < (grown := await count(redis)) < counted + 2 * len(LONG) + 5_000
    other = await make_conversation(stores, "Hello", owner="bob")

    partition = ids.get_partition(conversation_id)
    added = build_item(LONG, partition)
    await stores.conversations.add_items(conversation_id, owner="alice", items=[added])
    assert await count(redis) > grown + len(LONG)
    await stores.conversations.delete_item(conversation_id, added.id, owner="alice")
    assert await count(redis) == grown
    metadata = {"note": "x" * 500}
    await stores.conversations.update(conversation_id, owner="alice", metadata=metadata, title="A title")
    assert grown + 500 < await count(redis) < grown + 600
    await stores.conversations.update(conversation_id, owner="alice", metadata={}, title="")
    assert await count(redis) == grown

    fork = ids.new_id(ids.CONVERSATION, partition)
    await stores.conversations.fork(fork, conversation_id, owner="alice", side=None, item_id="")
    await take_turn(stores, text=LONG, conversation_id=fork)
    await stores.conversations.delete(conversation_id, owner="alice")  # and its fork with it
    await erase_due(stores.eraser)
    assert await count(redis) == 0
    assert await count(redis, "bob") > 0
    await stores.conversations.delete(other, owner="bob")
    await erase_due(stores.eraser)
    assert not [partition for partition in ids.all_partitions() if await redis.exists(keys.stored_bytes(partition))]


async def test_a_chain_counts_until_its_last_response_is_deleted(redis: Redis, stores: Stores) -> None:
    first = await take_turn(stores, text=LONG)
    second = await take_turn(stores, text=LONG, previous_response_id=first)
    branch = await take_turn(stores, text=LONG, previous_response_id=first)
    active = build_draft(LONG, previous_response_id=second)
    await admit(stores, active)
    before = await count(redis)
    for response_id in (first, active.response.id, second, branch):
        await stores.responses.delete(response_id, owner="alice")
        assert await count(redis) < before
        before = await count(redis)
    await erase_due(stores.eraser)
    assert await count(redis) == 0


async def test_what_a_model_was_given_counts(redis: Redis, stores: Stores) -> None:
    draft = build_draft("Hi.")
    admitted = await admit(stores, draft)
    outcome, last = build_outcome(draft, admitted)
    before = await count(redis)
    passage = Passage(vector_store_id="vs_1", file_id="file-1", filename="a.md", number=0, text=LONG, score=1.0)
    outcome = structs.replace(outcome, passages=[passage])
    await stores.responses.commit(outcome, last, owner="alice", epoch=admitted.epoch)
    assert await count(redis) > before + len(LONG)
    await stores.responses.delete(draft.response.id, owner="alice")
    await erase_due(stores.eraser)
    assert await count(redis) == 0


async def test_what_is_not_stored_does_not_count(redis: Redis, stores: Stores) -> None:
    draft = build_draft(LONG)
    unstored = structs.replace(draft, response=structs.replace(draft.response, store=False))
    await commit(stores, await admit(stores, unstored), *unstored.input)
    assert await count(redis) == 0


async def test_a_compaction_counts(redis: Redis, stores: Stores) -> None:
    partition = ids.new_partition()
    compacted = CompactedHistory(
        id=ids.new_id(ids.RESPONSE, partition),
        created_at=1,
        output=[build_item(LONG, partition)],
        usage=Usage(1, 1, 2),
    )
    compactions = RedisCompactions(redis, retention_s=RETENTION_S)
    await compactions.keep(compacted, [], Claim("of it"), owner="alice", anchor=None)
    assert await count(redis) > 2 * len(LONG)
    await stores.responses.delete(compacted.id, owner="alice")
    await erase_due(stores.eraser)
    assert await count(redis) == 0


async def test_what_an_earlier_release_kept_frees_nothing(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, LONG)
    timeline = await redis.hget(keys.conversation(conversation_id), "timeline")
    assert isinstance(timeline, bytes)
    partition = ids.get_partition(conversation_id)
    await redis.hdel(f"{keys.prefix(partition)}tl:{timeline.decode()}:meta", "bytes")
    await redis.delete(keys.stored_bytes(partition))
    await make_conversation(stores, "Hello", partition=partition)
    counted = await count(redis)
    await stores.conversations.delete(conversation_id, owner="alice")
    await erase_due(stores.eraser)
    assert await count(redis) == counted > 0


@pytest.mark.parametrize(("max_bytes", "room"), [(20_000, 0), (0, 40_000), (20_000, 10)])
async def test_over_the_limit_an_owner_is_refused(redis: Redis, max_bytes: int, room: int) -> None:
    quotas = RedisQuotas(redis, max_bytes=max_bytes, get_room=lambda: room)
    stores = open_stores(redis)
    await make_conversation(stores, LONG)
    quotas.check("alice")  # not known yet
    quotas.check("bob")
    await quotas.look()
    with pytest.raises(QuotaExceeded, match="Delete some"):
        quotas.check("alice")
    quotas.check("bob")


async def test_without_a_limit_nobody_is_refused_and_few_are_remembered(redis: Redis) -> None:
    quotas = RedisQuotas(redis, max_bytes=0, get_room=lambda: 0)
    await make_conversation(open_stores(redis), LONG)
    for number in range(MAX_OWNERS + 10):
        quotas.check(f"owner {number}")
    quotas.check("alice")
    await quotas.look()
    quotas.check("alice")


async def test_new_turns_conversations_and_items_are_refused_until_something_is_deleted(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica, start_valkey: StartValkey
) -> None:
    valkey = await asyncio.to_thread(start_valkey)
    environment = {**service.environment, "REDIS_URL": valkey.url, "MAX_OWNER_BYTES": str(MAX_BYTES)}
    replica = await asyncio.to_thread(start_replica, environment)
    async with open_client(http, replica) as client:
        await wait_until_known(client)
        small = (await client.post("/v1/conversations", json={})).json()["id"]
        message = {"role": "user", "content": LONG}
        large = [(await client.post("/v1/conversations", json={"items": [message]})).json()["id"] for _ in range(2)]

        async def is_served() -> bool:
            item = {"role": "user", "content": "x"}
            answer = await client.post(f"/v1/conversations/{small}/items", json={"items": [item]})
            return answer.status_code == 200

        async def is_refused() -> bool:
            return not await is_served()

        await eventually(is_refused)
        for path, body in (
            ("/v1/responses", {"input": "Hello"}),
            ("/v1/responses", {"input": "Hello", "conversation": small}),
            ("/v1/responses/compact", {"model": "stand-in", "input": "Hello"}),
            ("/v1/conversations", {}),
            (f"/v1/conversations/{small}/fork", {}),
            (f"/v1/conversations/{small}/items", {"items": [message]}),
        ):
            refused = await client.post(path, json=body)
            check_refusal(refused, status=429, code="quota_exceeded")
            assert (refused.headers["x-should-retry"], refused.headers["retry-after"]) == ("false", "60")
        tiny = await client.post("/v1/files", files={"file": ("a.txt", b"x")}, data={"purpose": "assistants"})
        check_refusal(tiny, status=429, code="quota_exceeded")
        assert (await ask(client, "Hello", store=False)).status_code == 200
        assert (await client.get(f"/v1/conversations/{small}")).status_code == 200
        bobs_key = {"Authorization": f"Bearer {service.bob_key}"}
        assert (await client.post("/v1/responses", json={"input": "Hello"}, headers=bobs_key)).status_code == 200
        for conversation_id in large:
            assert (await client.delete(f"/v1/conversations/{conversation_id}")).status_code == 200
        await eventually(is_served)
