"""What is kept with a response in a real Valkey: its owner, what is shown, and its deletion with the response."""

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.response_notes import RedisResponseNotes
from prompts.domain import ids
from prompts.errors import NotFound
from tests.support.builders import (
    HISTORY_TOKENS,
    RetryingRedis,
    Stores,
    admit,
    build_draft,
    commit,
    take_turn,
)
from tests.support.servers import ValkeyServer


@pytest.fixture
async def redis(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    """A client of the shared server."""
    async with Redis.from_url(valkey.url) as client:
        yield client


@pytest.fixture
def notes(redis: Redis) -> RedisResponseNotes:
    return RedisResponseNotes(redis)


async def test_the_first_follow_ups_are_kept(redis: Redis, stores: Stores, notes: RedisResponseNotes) -> None:
    response_id = await take_turn(stores)
    retrying = RedisResponseNotes(RetryingRedis.of(redis))
    assert await retrying.keep_follow_ups(response_id, ["Ü?"], owner="alice") == ["Ü?"]
    assert await notes.keep_follow_ups(response_id, ["Later?"], owner="alice") == ["Ü?"]
    assert await notes.find_follow_ups(response_id, owner="alice", history_tokens=HISTORY_TOKENS) == ["Ü?"]


@pytest.mark.parametrize("fate", ["deleted", "unknown", "another's", "not stored"])
async def test_nothing_is_kept_with_what_is_not_there(
    redis: Redis, stores: Stores, notes: RedisResponseNotes, fate: str
) -> None:
    response_id, owner = await _meet(stores, fate)
    before = await redis.hgetall(keys.response(response_id))
    for call in (
        notes.list_input(response_id, owner=owner, limit=1, order="asc", after=None),
        notes.find_follow_ups(response_id, owner=owner, history_tokens=HISTORY_TOKENS),
        notes.keep_follow_ups(response_id, ["Why?"], owner=owner),
        notes.put_feedback(response_id, owner=owner, score=1, comment=None),
        notes.find_feedback(response_id, owner=owner),
    ):
        with pytest.raises(NotFound) as raised:
            await call
        assert raised.value.code == "response_not_found"
    assert await redis.hgetall(keys.response(response_id)) == before


async def _meet(stores: Stores, fate: str) -> tuple[str, str]:
    """A response that no other test uses, and its owner."""
    if fate == "unknown":
        return ids.new_id(ids.RESPONSE, "00"), "alice"
    draft = build_draft()
    if fate == "not stored":
        draft = replace(draft, response=replace(draft.response, store=False))
    admitted = await admit(stores, draft)
    await commit(stores, admitted, *draft.input)
    if fate == "deleted":
        await stores.responses.delete(draft.response.id, owner="alice")
    return draft.response.id, "bob" if fate == "another's" else "alice"
