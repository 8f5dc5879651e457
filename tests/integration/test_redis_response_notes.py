"""What is kept with a response in a real Valkey: its owner, what is shown, and its deletion with the response."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from msgspec import structs
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.response_notes import RedisResponseNotes
from prompts.domain import ids
from prompts.domain.items import Compaction, Message, text_of
from prompts.errors import NotFound, ServiceError
from prompts.ports.response_notes import Exchange
from tests.support.builders import (
    HISTORY_TOKENS,
    RetryingRedis,
    Stores,
    admit,
    build_draft,
    commit,
    open_stores,
    take_turn,
)
from tests.support.servers import ValkeyServer


@pytest.fixture
async def redis(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    """A client of the shared server."""
    async with Redis.from_url(valkey.url) as client:
        yield client


@pytest.fixture
def stores(redis: Redis) -> Stores:
    return open_stores(redis)


@pytest.fixture
def notes(redis: Redis) -> RedisResponseNotes:
    return RedisResponseNotes(redis)


async def find_window(
    notes: RedisResponseNotes, response_id: str, *, history_tokens: int = HISTORY_TOKENS
) -> Sequence[str]:
    """The texts from which follow-ups would be made."""
    found = await notes.find_follow_ups(response_id, owner="alice", history_tokens=history_tokens)
    assert isinstance(found, Exchange)
    return [text_of(item) for item in found.window if isinstance(item, Message)]


async def test_follow_ups_are_made_from_the_history_up_to_the_answer(stores: Stores, notes: RedisResponseNotes) -> None:
    first = await take_turn(stores, text="one")
    second = await take_turn(stores, text="two", previous_response_id=first)
    await take_turn(stores, text="three", previous_response_id=second)
    await take_turn(stores, text="another way", previous_response_id=first)
    assert await find_window(notes, second) == ["one", "Hi.", "two", "Hi."]
    assert await find_window(notes, first) == ["one", "Hi."]


async def test_they_are_made_from_as_much_as_the_budget_allows_and_the_answer(
    stores: Stores, notes: RedisResponseNotes
) -> None:
    first = await take_turn(stores, text="one")
    second = await take_turn(stores, text="two " * 1_000, previous_response_id=first)
    assert await find_window(notes, second, history_tokens=100) == ["Hi."]
    assert await find_window(notes, second, history_tokens=1) == ["Hi."]


async def test_there_is_nothing_to_make_them_from_while_the_answer_is_written(
    stores: Stores, notes: RedisResponseNotes
) -> None:
    draft = build_draft()
    await admit(stores, draft)
    found = await notes.find_follow_ups(draft.response.id, owner="alice", history_tokens=HISTORY_TOKENS)
    assert found == Exchange("in_progress", None, draft.model_request, [])


async def test_the_first_follow_ups_are_kept(redis: Redis, stores: Stores, notes: RedisResponseNotes) -> None:
    response_id = await take_turn(stores)
    retrying = RedisResponseNotes(RetryingRedis.of(redis))
    assert await retrying.keep_follow_ups(response_id, ["Ü?"], owner="alice") == ["Ü?"]
    assert await notes.keep_follow_ups(response_id, ["Later?"], owner="alice") == ["Ü?"]
    assert await notes.find_follow_ups(response_id, owner="alice", history_tokens=HISTORY_TOKENS) == ["Ü?"]


async def test_no_follow_ups_are_kept_too(stores: Stores, notes: RedisResponseNotes) -> None:
    response_id = await take_turn(stores)
    assert await notes.keep_follow_ups(response_id, [], owner="alice") == []
    assert await notes.find_follow_ups(response_id, owner="alice", history_tokens=HISTORY_TOKENS) == []


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
        draft = replace(draft, response=structs.replace(draft.response, store=False))
    admitted = await admit(stores, draft)
    await commit(stores, admitted, *draft.input)
    if fate == "deleted":
        await stores.responses.delete(draft.response.id, owner="alice")
    return draft.response.id, "bob" if fate == "another's" else "alice"


async def test_compactions_are_not_shown(stores: Stores, notes: RedisResponseNotes) -> None:
    draft = build_draft()
    compaction = Compaction(ids.new_id(ids.COMPACTION, ids.get_partition(draft.response.id)), "sealed")
    draft = replace(draft, input=[compaction, *draft.input])
    await admit(stores, draft)
    page = await notes.list_input(draft.response.id, owner="alice", limit=10, order="asc", after=None)
    assert (page.first_id, page.last_id, len(page.data)) == (draft.input[1].id, draft.input[1].id, 1)
    with pytest.raises(ServiceError):
        await notes.list_input(draft.response.id, owner="alice", limit=10, order="asc", after=compaction.id)
