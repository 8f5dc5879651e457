"""Responses in a real Valkey, at the level of the scripts: admission, the log, the end."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.domain import ids
from prompts.domain.signals import Text
from prompts.errors import ConversationLocked, NotFound, StaleRun, TailLost
from prompts.ports.event_log import Group
from prompts.ports.responses import Admitted
from tests.support.builders import (
    RetryingRedis,
    Stores,
    admit,
    build_draft,
    build_group,
    commit,
    lose_lease,
    make_conversation,
    open_stores,
    take_turn,
    write,
)
from tests.support.sample_turn import LAST_OPENING_NUMBER
from tests.support.server_fixtures import StartValkey


@pytest.fixture
async def redis(start_valkey: StartValkey) -> AsyncIterator[Redis]:
    """A client of a Valkey for this file: a replica on the shared one would take these responses over."""
    async with Redis.from_url(start_valkey().url) as client:
        yield client


@pytest.fixture
def stores(redis: Redis) -> Stores:
    return open_stores(redis)


async def read_texts(stores: Stores, response_id: str) -> list[str]:
    """The texts of each group in the log."""
    entries = await stores.event_log.read(response_id, after=-1)
    return ["".join(signal.text for signal in entry.signals if isinstance(signal, Text)) for entry in entries[1:]]


async def get_deadline(redis: Redis, response_id: str) -> float:
    """When the response's lease expires."""
    return await redis.zscore(keys.leases(ids.get_partition(response_id)), response_id) or 0


# --- admission ---


@pytest.mark.parametrize("is_in_conversation", [True, False])
async def test_admitting_again_after_a_lost_answer_gives_the_same(
    redis: Redis, stores: Stores, is_in_conversation: bool
) -> None:
    conversation_id = await make_conversation(stores, "Earlier") if is_in_conversation else None
    draft = build_draft(conversation_id=conversation_id)

    first = await admit(stores, draft, history_tokens=100)
    again = await admit(stores, draft, history_tokens=100)

    assert again == first
    assert isinstance(first, Admitted)
    assert first.epoch == "1"
    assert len(first.window) == (1 if is_in_conversation else 0)
    assert await redis.xlen(keys.event_log(draft.response.id)) == 1
    if is_in_conversation:
        with pytest.raises(ConversationLocked):
            await admit(stores, build_draft(conversation_id=conversation_id))


async def test_admitting_again_what_was_deleted_meanwhile_finds_nothing(stores: Stores) -> None:
    draft = build_draft()
    await admit(stores, draft)
    await stores.responses.delete(draft.response.id, owner="alice")
    with pytest.raises(NotFound):
        await admit(stores, draft)


async def test_admission_accounts_for_the_window_and_for_what_it_leaves_out(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, *("Hello" for _ in range(10)))
    known = build_draft(conversation_id=conversation_id).model_input
    admitted = await admit(stores, build_draft(conversation_id=conversation_id), history_tokens=20)
    account = admitted.model_input
    assert account.history_items == len(admitted.window) == 3
    assert account.dropped_items == 7
    assert 0 < account.history_tokens <= 20
    assert (account.input_items, account.input_tokens) == (known.input_items, known.input_tokens)
    assert account.history_budget_tokens == known.history_budget_tokens


async def test_a_conversation_stays_locked_while_its_response_is_lost(redis: Redis, stores: Stores) -> None:
    """Nothing may come between until another replica has continued it."""
    conversation_id = await make_conversation(stores, "Earlier")
    draft = build_draft(conversation_id=conversation_id)
    admitted = await admit(stores, draft)
    await lose_lease(redis, draft.response.id)
    with pytest.raises(ConversationLocked) as refused:
        await admit(stores, build_draft(conversation_id=conversation_id))
    assert refused.value.active_response_id == draft.response.id
    with pytest.raises(ConversationLocked):
        await stores.conversations.add_items(conversation_id, owner="alice", items=draft.input)
    await commit(stores, admitted, *draft.input)
    await admit(stores, build_draft(conversation_id=conversation_id))


# --- the log ---


async def test_a_group_is_written_once_however_often_it_is_sent(stores: Stores) -> None:
    admitted = await admit(stores, build_draft())
    narration = await write(stores, admitted, "One ")
    response_id = admitted.response.id
    group = build_group(narration, [Text("two")])
    for _ in range(3):
        await stores.responses.append(response_id, group, epoch="1", lease_s=9)
    assert await read_texts(stores, response_id) == ["One ", "two"]


@pytest.mark.parametrize("packed", [b'["three"]', b""], ids=["words", "a renewal"])
async def test_a_group_that_does_not_join_on_is_refused_and_told_where_the_log_ends(
    redis: Redis, stores: Stores, packed: bytes
) -> None:
    admitted = await admit(stores, build_draft())
    response_id = admitted.response.id
    await write(stores, admitted, "One ")
    ends_at = (await stores.event_log.read(response_id, after=-1))[-1].last_number
    deadline = await get_deadline(redis, response_id)
    group = Group(ends_at + 1, ends_at + 2, packed)
    with pytest.raises(TailLost) as lost:
        await stores.responses.append(response_id, group, epoch="1", lease_s=6000)
    assert lost.value.last_number == ends_at
    assert await read_texts(stores, response_id) == ["One "]
    assert await get_deadline(redis, response_id) == deadline
    # The lost tail is written again, then the rest.
    await stores.responses.append(response_id, Group(ends_at, ends_at + 1, b'["two "]'), epoch="1", lease_s=9)
    await stores.responses.append(response_id, group, epoch="1", lease_s=9)
    assert await read_texts(stores, response_id) == ["One ", "two ", *(["three"] if packed else [])]


async def test_an_empty_log_tells_where_its_opening_ends(stores: Stores) -> None:
    admitted = await admit(stores, build_draft())
    with pytest.raises(TailLost) as lost:
        await stores.responses.append(admitted.response.id, Group(5, 6, b'["x"]'), epoch="1", lease_s=9)
    assert lost.value.last_number == LAST_OPENING_NUMBER


async def test_an_end_that_does_not_join_on_is_refused_and_changes_nothing(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "Earlier")
    draft = build_draft(conversation_id=conversation_id)
    admitted = await admit(stores, draft)
    narration = await write(stores, admitted, "One ")
    ends_at = narration.next_number - 1
    lost_group = build_group(narration, [Text("two ")])
    with pytest.raises(TailLost) as lost:
        await commit(stores, admitted, *draft.input, narration=narration)
    assert lost.value.last_number == ends_at
    assert (await stores.responses.get(draft.response.id, owner="alice")).status == "in_progress"
    assert await read_texts(stores, draft.response.id) == ["One "]
    assert await get_deadline(redis, draft.response.id) > 0
    conversation = await stores.conversations.get(conversation_id, owner="alice")
    assert conversation.active_response_id == draft.response.id

    await stores.responses.append(draft.response.id, lost_group, epoch="1", lease_s=9)
    narration.next_number = lost_group.last_number + 1
    await commit(stores, admitted, *draft.input, narration=narration)
    assert (await stores.responses.get(draft.response.id, owner="alice")).status == "completed"


async def test_a_renewal_keeps_the_lease_and_writes_nothing(redis: Redis, stores: Stores) -> None:
    admitted = await admit(stores, build_draft())
    response_id = admitted.response.id
    narration = await write(stores, admitted, "One ")
    await lose_lease(redis, response_id)
    await stores.responses.append(response_id, build_group(narration, []), epoch="1", lease_s=9)
    assert await get_deadline(redis, response_id) > 1
    assert await read_texts(stores, response_id) == ["One "]


async def test_a_wrong_epoch_writes_nothing(stores: Stores) -> None:
    admitted = await admit(stores, build_draft())
    response_id = admitted.response.id
    for epoch in ("", "0", "2", "1.a", "2.b"):
        with pytest.raises(StaleRun):
            await stores.responses.append(response_id, Group(1, 4, b'["x"]'), epoch=epoch, lease_s=9)
        with pytest.raises(StaleRun):
            await stores.responses.release(response_id, epoch=epoch, is_broken=False)
    assert await read_texts(stores, response_id) == []


async def test_an_ended_response_takes_nothing_more(redis: Redis, stores: Stores) -> None:
    response_id = await take_turn(stores)
    with pytest.raises(StaleRun):
        await stores.responses.append(response_id, Group(1, 4, b'["x"]'), epoch="1", lease_s=9)
    with pytest.raises(StaleRun):
        await stores.responses.release(response_id, epoch="1", is_broken=False)
    assert await get_deadline(redis, response_id) == 0


async def test_a_hand_over_and_an_end_may_be_sent_twice(redis: Redis, stores: Stores) -> None:
    """The client retries when an answer is lost."""
    twice = open_stores(RetryingRedis.of(redis))
    conversation_id = await make_conversation(twice, "Earlier")
    draft = build_draft(conversation_id=conversation_id)
    admitted = await admit(twice, draft)
    narration = await write(stores, admitted, "One ", "two ")
    await twice.responses.release(draft.response.id, epoch="1", is_broken=False)
    await commit(twice, admitted, *draft.input, narration=narration)
    assert await read_texts(stores, draft.response.id) == ["One ", "two ", "Hi."]
    page = await stores.conversations.list_items(conversation_id, owner="alice", limit=9, order="asc", after=None)
    assert len(page.data) == 3
