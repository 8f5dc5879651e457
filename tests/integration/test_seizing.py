"""Seizing a response in a real Valkey: who may, what they get, and who may write afterwards."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.nudges import Nudges
from prompts.domain import ids
from prompts.domain.items import Item
from prompts.domain.signals import Text
from prompts.errors import ConversationLocked, NotFound, StaleRun
from prompts.history.estimates import estimate_tokens
from prompts.ports.event_log import Group
from prompts.ports.responses import Admitted, Seized
from tests.support.builders import (
    HISTORY_TOKENS,
    RetryingRedis,
    Stores,
    admit,
    build_draft,
    build_group,
    build_item,
    commit,
    lose_lease,
    make_conversation,
    open_stores,
    take_turn,
    write,
)
from tests.support.sample_turn import LAST_OPENING_NUMBER

LEASE_S = 60
# The time of a nudge on a busy machine; far shorter than the time to the next look.
AT_ONCE_S = 1.0
# Lua's `unpack` fails near 8,000 values.
MANY = 8_500
BATCH = 500


@pytest.fixture
def stores(redis: Redis) -> Stores:
    return open_stores(redis, replica_id="rep_1")


@pytest.fixture
def other(redis: Redis) -> Stores:
    """The stores of another replica."""
    return open_stores(redis, replica_id="rep_2")


async def seize(stores: Stores, response_id: str, *, owner: str | None = None) -> Seized:
    """Seize it; this must succeed."""
    seized = await stores.responses.seize(response_id, owner=owner, lease_s=LEASE_S)
    assert isinstance(seized, Seized)
    return seized


async def take_lost(redis: Redis, stores: Stores, response_id: str) -> Seized:
    """Expire the lease, and seize the response here."""
    await lose_lease(redis, response_id)
    return await seize(stores, response_id)


async def is_lost(stores: Stores, response_id: str) -> bool:
    """Whether a search for lost responses finds it."""
    return response_id in await stores.responses.list_lost()


def word(after: int = LAST_OPENING_NUMBER) -> Group:
    """The signals of a first word."""
    return Group(after, after + 3, b'["word"]')


# --- who may ---


async def test_a_response_whose_lease_is_alive_is_left_alone(stores: Stores, other: Stores) -> None:
    draft = build_draft()
    admitted = await admit(stores, draft)
    assert await other.responses.seize(draft.response.id, owner=None, lease_s=LEASE_S) is None
    await stores.responses.append(draft.response.id, word(), epoch=admitted.epoch, lease_s=LEASE_S)


async def test_a_lost_response_is_taken_once(redis: Redis, stores: Stores, other: Stores) -> None:
    draft = build_draft()
    await admit(stores, draft)
    await lose_lease(redis, draft.response.id)
    assert await is_lost(other, draft.response.id)
    taking = (replica.responses.seize(draft.response.id, owner=None, lease_s=LEASE_S) for replica in (stores, other))
    taken = await asyncio.gather(*taking)
    (seized,) = [each for each in taken if isinstance(each, Seized)]
    assert None in taken
    assert (seized.epoch.partition(".")[0], seized.attempts, seized.ending) == ("2", 2, "")
    assert not await is_lost(other, draft.response.id)
    assert await redis.hget(keys.response(draft.response.id), "replica") in {b"rep_1", b"rep_2"}


async def test_what_has_ended_or_is_gone_is_not_taken(redis: Redis, stores: Stores) -> None:
    ended_id = await take_turn(stores)
    assert await stores.responses.seize(ended_id, owner="alice", lease_s=LEASE_S) == "completed"
    for response_id in (ended_id, ids.new_id(ids.RESPONSE, ids.new_partition())):
        await lose_lease(redis, response_id)
        answer = await stores.responses.seize(response_id, owner=None, lease_s=LEASE_S)
        assert answer == ("completed" if response_id == ended_id else None)
        assert not await is_lost(stores, response_id)  # otherwise it would be found for ever


async def test_only_its_owner_cancels_a_response(stores: Stores) -> None:
    draft = build_draft()
    admitted = await admit(stores, draft)
    with pytest.raises(NotFound):
        await stores.responses.seize(draft.response.id, owner="bob", lease_s=LEASE_S)
    await stores.responses.append(draft.response.id, word(), epoch=admitted.epoch, lease_s=LEASE_S)


async def test_a_deleted_response_is_not_taken(redis: Redis, stores: Stores) -> None:
    draft = build_draft()
    await admit(stores, draft)
    await take_lost(redis, stores, draft.response.id)
    await stores.responses.delete(draft.response.id, owner="alice")
    await lose_lease(redis, draft.response.id)
    assert await stores.responses.seize(draft.response.id, owner=None, lease_s=LEASE_S) is None
    assert not await is_lost(stores, draft.response.id)


async def test_a_conversation_is_free_when_what_was_taken_over_has_ended(
    redis: Redis, stores: Stores, other: Stores
) -> None:
    conversation_id = await make_conversation(stores)
    draft = build_draft(conversation_id=conversation_id)
    await admit(stores, draft)
    seized = await take_lost(redis, other, draft.response.id)
    with pytest.raises(ConversationLocked):
        await admit(stores, build_draft(conversation_id=conversation_id))
    await commit(other, admitted_again(seized), *draft.input)
    assert (await stores.conversations.get(conversation_id, owner="alice")).active_response_id is None
    assert len((await admit(stores, build_draft(conversation_id=conversation_id))).window) == 2


async def test_a_conversation_is_deleted_in_its_answers_second_run(redis: Redis, stores: Stores, other: Stores) -> None:
    conversation_id = await make_conversation(stores)
    draft = build_draft(conversation_id=conversation_id)
    await admit(stores, draft)
    seized = await take_lost(redis, other, draft.response.id)
    await stores.conversations.delete(conversation_id, owner="alice")
    await check_stale(other, draft.response.id, seized.epoch)
    assert await other.responses.seize(draft.response.id, owner=None, lease_s=LEASE_S) is None


# --- who writes after that ---


def admitted_again(seized: Seized) -> Admitted:
    """The admission as the continuing run has it."""
    return Admitted(seized.response, seized.epoch, seized.window, seized.model_input)


async def check_stale(stores: Stores, response_id: str, epoch: str) -> None:
    """Check that this epoch can write, keep, end and hand over nothing."""
    for group in (word(), Group(LAST_OPENING_NUMBER, LAST_OPENING_NUMBER, b"")):
        with pytest.raises(StaleRun):
            await stores.responses.append(response_id, group, epoch=epoch, lease_s=LEASE_S)
    with pytest.raises(StaleRun):
        await stores.responses.release(response_id, epoch=epoch, is_broken=False)
    draft = build_draft()
    with pytest.raises(StaleRun):
        await commit(stores, Admitted(replace(draft.response, id=response_id), epoch, [], draft.model_input))


async def check_writes(stores: Stores, seized: Seized) -> None:
    """Check that this run can write to the end."""
    await stores.responses.append(seized.response.id, word(), epoch=seized.epoch, lease_s=LEASE_S)
    narration = await write(stores, admitted_again(seized))
    build_group(narration, [Text("word")])
    await commit(stores, admitted_again(seized), *seized.input, narration=narration)


async def test_a_run_whose_response_was_taken_writes_nothing_more(redis: Redis, stores: Stores, other: Stores) -> None:
    draft = build_draft()
    admitted = await admit(stores, draft)
    first = await take_lost(redis, other, draft.response.id)
    await check_stale(stores, draft.response.id, admitted.epoch)
    second = await take_lost(redis, stores, draft.response.id)
    assert second.epoch.startswith("3.")
    await check_stale(other, draft.response.id, first.epoch)
    await check_writes(stores, second)


@pytest.mark.parametrize("is_first_back", [False, True])
async def test_two_seizures_of_one_count_cannot_both_write(
    redis: Redis, stores: Stores, other: Stores, is_first_back: bool
) -> None:
    """A fail-over to a lagging replica lost the first seizure, so both runs believe they have the response."""
    draft = build_draft()
    await admit(stores, draft)
    first = await take_lost(redis, stores, draft.response.id)
    await redis.hset(keys.response(draft.response.id), mapping={"epoch": "1", "attempts": 1, "replica": "rep_1"})
    if is_first_back:
        await check_stale(stores, draft.response.id, first.epoch)
    second = await take_lost(redis, other, draft.response.id)
    assert first.epoch != second.epoch
    assert first.epoch.partition(".")[0] == second.epoch.partition(".")[0] == "2"
    await check_stale(stores, draft.response.id, first.epoch)
    await check_writes(other, second)


async def test_admitting_again_gives_no_right_to_write_what_was_taken(redis: Redis, stores: Stores) -> None:
    """The client library's retry comes late. The run that starts with it learns that it may not write."""
    draft = build_draft()
    admitted = await admit(stores, draft)
    await take_lost(redis, stores, draft.response.id)
    assert await admit(stores, draft) == admitted
    await check_stale(stores, draft.response.id, admitted.epoch)


# --- counting, handing over, cancelling ---


async def test_seizing_may_be_sent_twice(redis: Redis) -> None:
    stores = open_stores(RetryingRedis.of(redis))
    conversation_id = await make_conversation(stores, "Hello", "Hello")
    draft = build_draft(conversation_id=conversation_id)
    admitted = await admit(stores, draft)
    seized = await take_lost(redis, stores, draft.response.id)
    assert (seized.epoch.partition(".")[0], seized.attempts) == ("2", 2)
    assert list(seized.window) == list(admitted.window)
    cancelled = await seize(stores, draft.response.id, owner="alice")
    assert (cancelled.epoch.partition(".")[0], cancelled.attempts) == ("3", 2)


async def test_runs_that_were_lost_are_counted_and_those_handed_over_are_not(redis: Redis, stores: Stores) -> None:
    draft = build_draft()
    epoch = (await admit(stores, draft)).epoch
    attempts = []
    for is_handed_over in (True, False, True, True, False):
        if is_handed_over:
            await stores.responses.release(draft.response.id, epoch=epoch, is_broken=False)
        else:
            await lose_lease(redis, draft.response.id)
        seized = await seize(stores, draft.response.id)
        epoch = seized.epoch
        attempts.append(seized.attempts)
    assert attempts == [1, 2, 2, 2, 3]
    assert epoch.startswith("6.")


async def test_a_cancellation_counts_no_run(stores: Stores) -> None:
    draft = build_draft()
    await admit(stores, draft)
    assert (await seize(stores, draft.response.id, owner="alice")).attempts == 1


async def test_what_is_handed_over_is_found_at_once(stores: Stores, other: Stores) -> None:
    draft = build_draft()
    admitted = await admit(stores, draft)
    await write(stores, admitted, "One ")
    assert not await is_lost(other, draft.response.id)
    await stores.responses.release(draft.response.id, epoch=admitted.epoch, is_broken=False)
    assert await is_lost(other, draft.response.id)
    seized = await seize(other, draft.response.id)
    assert (seized.attempts, seized.ending) == (1, "")
    assert await seize_again(other, draft.response.id) is None


async def seize_again(stores: Stores, response_id: str) -> Any:
    """What the next seizure returns."""
    return await stores.responses.seize(response_id, owner=None, lease_s=LEASE_S)


async def test_handing_over_wakes_those_who_look_after_lost_responses(redis: Redis, stores: Stores) -> None:
    nudges = Nudges(redis, "rep_2")
    listening = asyncio.create_task(nudges.listen(lambda _id, _epoch: None))
    try:
        await nudges.wait_lost(10)  # one nudge comes when it begins to listen
        draft = build_draft()
        admitted = await admit(stores, draft)
        woken = asyncio.create_task(nudges.wait_lost(60))
        await stores.responses.release(draft.response.id, epoch=admitted.epoch, is_broken=False)
        async with asyncio.timeout(AT_ONCE_S):
            await woken
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await nudges.close()


async def test_the_replica_that_had_it_is_told_by_which_epoch_it_was_taken(
    redis: Redis, stores: Stores, other: Stores
) -> None:
    told: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    nudges = Nudges(redis, "rep_1")
    listening = asyncio.create_task(nudges.listen(lambda response_id, epoch: told.put_nowait((response_id, epoch))))
    try:
        await nudges.wait_lost(10)
        draft = build_draft()
        await admit(stores, draft)
        seized = await take_lost(redis, other, draft.response.id)
        await take_lost(redis, stores, draft.response.id)  # tells rep_2, the replica that had it
        await stores.responses.delete(draft.response.id, owner="alice")
        async with asyncio.timeout(10):
            assert await told.get() == (draft.response.id, seized.epoch)
            assert await told.get() == (draft.response.id, "")
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await nudges.close()


async def test_a_cancellation_outlives_whoever_asked_for_it(redis: Redis, stores: Stores, other: Stores) -> None:
    conversation_id = await make_conversation(stores, "Hello")
    draft = build_draft(conversation_id=conversation_id)
    admitted = await admit(stores, draft)
    cancelling = await seize(other, draft.response.id, owner="alice")
    assert (cancelling.ending, list(cancelling.window)) == ("cancelled", [])
    await check_stale(stores, draft.response.id, admitted.epoch)
    found = await take_lost(redis, stores, draft.response.id)
    assert (found.ending, found.attempts) == ("cancelled", 2)
    await check_stale(other, draft.response.id, cancelling.epoch)


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_broken_response_is_marked_to_be_ended(stores: Stores, other: Stores, is_cancelled: bool) -> None:
    draft = build_draft()
    admitted = await admit(stores, draft)
    await stores.responses.release(draft.response.id, epoch=admitted.epoch, is_broken=True)
    assert await is_lost(other, draft.response.id)
    seized = await seize(other, draft.response.id, owner="alice" if is_cancelled else None)
    assert (seized.ending, seized.attempts) == ("cancelled" if is_cancelled else "failed", 1)


# --- what they are given ---


async def check_given_again(redis: Redis, stores: Stores, admitted: Admitted, given: Sequence[Item]) -> None:
    """Check that each takeover gives the model what the first run gave it."""
    for _ in range(2):
        seized = await take_lost(redis, stores, admitted.response.id)
        assert seized.response == admitted.response
        assert list(seized.input) == list(given)
        assert seized.model_input == admitted.model_input
        assert list(seized.window) == list(admitted.window)


async def fork(stores: Stores, origin_id: str, *, side: Any = None, item_id: str = "") -> str:
    """A fork of a conversation."""
    fork_id = ids.new_id(ids.CONVERSATION, ids.get_partition(origin_id))
    await stores.conversations.fork(fork_id, origin_id, owner="alice", side=side, item_id=item_id)
    return fork_id


@pytest.mark.parametrize("budget", [0, 5, 6, 17, 40, HISTORY_TOKENS])
async def test_the_window_of_a_conversation_is_given_again(redis: Redis, stores: Stores, budget: int) -> None:
    conversation_id = await make_conversation(stores, *(f"{number} " * number for number in range(12)))
    draft = build_draft(conversation_id=conversation_id)
    admitted = await admit(stores, draft, history_tokens=budget)
    assert admitted.model_input.history_items == len(admitted.window)
    assert admitted.model_input.history_tokens == sum(map(estimate_tokens, admitted.window)) <= budget
    await check_given_again(redis, stores, admitted, draft.input)


@pytest.mark.parametrize("budget", [0, 12, 40, HISTORY_TOKENS])
async def test_the_window_of_a_fork_of_a_fork_is_given_again(redis: Redis, stores: Stores, budget: int) -> None:
    origin_id = await make_conversation(stores, "One", "Two", "Three")
    middle = await stores.conversations.list_items(origin_id, owner="alice", limit=2, order="asc", after=None)
    assert middle.last_id is not None
    fork_id = await fork(stores, origin_id, side="after", item_id=middle.last_id)
    await take_turn(stores, conversation_id=fork_id)
    fork_of_fork_id = await fork(stores, fork_id)
    await take_turn(stores, conversation_id=fork_of_fork_id)
    draft = build_draft(conversation_id=fork_of_fork_id)
    admitted = await admit(stores, draft, history_tokens=budget)
    assert len(admitted.window) == 6 or budget < HISTORY_TOKENS
    # Items that others add meanwhile are not in its history.
    await take_turn(stores, conversation_id=origin_id)
    await take_turn(stores, conversation_id=fork_id)
    await check_given_again(redis, stores, admitted, draft.input)


async def test_the_window_of_a_chain_and_of_a_branch_of_it_is_given_again(redis: Redis, stores: Stores) -> None:
    first_id = await take_turn(stores)
    drafts = [build_draft(previous_response_id=first_id) for _ in range(2)]
    active = [await admit(stores, draft) for draft in drafts]
    await take_turn(stores, previous_response_id=first_id)
    for draft, admitted in zip(drafts, active, strict=True):
        assert len(admitted.window) == 2
        await check_given_again(redis, stores, admitted, draft.input)


async def test_a_response_that_began_a_chain_is_given_nothing(redis: Redis, stores: Stores) -> None:
    draft = build_draft()
    admitted = await admit(stores, draft)
    assert admitted.model_input.history_items == 0
    await check_given_again(redis, stores, admitted, draft.input)


async def test_an_item_that_was_erased_meanwhile_makes_no_room_for_more_than_was_given(
    redis: Redis, stores: Stores
) -> None:
    conversation_id = await make_conversation(stores, "word " * 500, "One", "Two", "Three")
    draft = build_draft(conversation_id=conversation_id)
    admitted = await admit(stores, draft, history_tokens=30)
    assert len(admitted.window) == 3
    await stores.conversations.delete_item(conversation_id, admitted.window[1].id, owner="alice")
    seized = await take_lost(redis, stores, draft.response.id)
    assert list(seized.window) == [admitted.window[0], admitted.window[2]]


async def test_a_window_may_be_longer_than_lua_can_unpack(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores)
    partition = ids.get_partition(conversation_id)
    for start in range(0, MANY, BATCH):
        items = [build_item(str(start + number), partition) for number in range(BATCH)]
        await stores.conversations.add_items(conversation_id, owner="alice", items=items)
    draft = build_draft(conversation_id=conversation_id)
    admitted = await admit(stores, draft, history_tokens=1_000_000)
    assert len(admitted.window) == MANY
    await check_given_again(redis, stores, admitted, draft.input)
    await stores.conversations.delete(conversation_id, owner="alice")
