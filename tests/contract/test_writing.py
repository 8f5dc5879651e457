"""`ResponseStore.append`: a run writes to the log of its response, in order and under its epoch."""

import asyncio

import pytest

from prompts.domain.signals import Text, pack
from prompts.errors import StaleRun, TailLost
from prompts.ports.event_log import Group
from tests.contract.backends import Backend
from tests.contract.port_turns import (
    LEASE_S,
    UNKNOWN_RESPONSE,
    begin,
    begin_telling,
    end_turn,
    find_log_end,
    is_lost,
    not_stored,
    read_log,
    seize,
    take_turn,
)
from tests.support.builders import Stores, build_draft, build_group, write
from tests.support.sample_turn import LAST_OPENING_NUMBER

RENEWAL = b""
EPOCHS_OF_NOBODY = ["", "0", "2", "1.a", "2.b"]


def word(after: int = LAST_OPENING_NUMBER, packed: bytes | None = None) -> Group:
    """A group after the event of that number: a word, or with `RENEWAL` nothing."""
    return Group(after, after + 1, pack([Text("word")]) if packed is None else packed)


async def test_it_works(stores: Stores) -> None:
    _, admitted = await begin(stores)
    await write(stores, admitted, "One ", "two ", "three")
    assert await read_log(stores, admitted.response.id) == ["One ", "two ", "three"]


async def test_a_group_is_written_once_however_often_it_is_sent(stores: Stores) -> None:
    _, admitted = await begin(stores)
    narration = await write(stores, admitted, "One ")
    group = build_group(narration, [Text("two")])
    for _ in range(3):
        await stores.responses.append(admitted.response.id, group, epoch="1", lease_s=LEASE_S)
    assert await read_log(stores, admitted.response.id) == ["One ", "two"]


async def test_who_hands_a_group_over_is_told_by_a_call_later_and_once(stores: Stores) -> None:
    _, admitted = await begin(stores)
    told: asyncio.Queue[BaseException | None] = asyncio.Queue()

    def hand(group: Group, epoch: str = "1") -> None:
        stores.responses.hand(admitted.response.id, group, epoch=epoch, lease_s=LEASE_S, tell=told.put_nowait)
        assert told.empty()

    hand(word())
    assert await told.get() is None
    hand(word(), epoch="2")
    assert isinstance(await told.get(), StaleRun)
    hand(word(LAST_OPENING_NUMBER + 5))
    lost = await told.get()
    assert isinstance(lost, TailLost)
    assert lost.last_number == LAST_OPENING_NUMBER + 1
    assert told.empty()
    assert await read_log(stores, admitted.response.id) == ["word"]


async def test_an_older_group_that_comes_again_late_changes_nothing(stores: Stores) -> None:
    _, admitted = await begin(stores)
    narration = begin_telling(admitted)
    groups = [build_group(narration, [Text(text)]) for text in ("One ", "two")]
    for group in (*groups, groups[0]):
        await stores.responses.append(admitted.response.id, group, epoch="1", lease_s=LEASE_S)
    assert await read_log(stores, admitted.response.id) == ["One ", "two"]


@pytest.mark.parametrize("packed", [None, RENEWAL], ids=["words", "a renewal"])
async def test_a_group_that_does_not_join_on_is_refused_and_told_where_the_log_ends(
    stores: Stores, packed: bytes | None
) -> None:
    _, admitted = await begin(stores)
    response_id = admitted.response.id
    await write(stores, admitted, "One ")
    ends_at = await find_log_end(stores, response_id)
    late = word(ends_at + 1, packed)
    with pytest.raises(TailLost) as lost:
        await stores.responses.append(response_id, late, epoch="1", lease_s=LEASE_S)
    assert lost.value.last_number == ends_at
    assert await read_log(stores, response_id) == ["One "]
    # What was lost is written again, then the rest.
    for group in (word(ends_at), late):
        await stores.responses.append(response_id, group, epoch="1", lease_s=LEASE_S)
    assert await read_log(stores, response_id) == ["One ", "word", *(["word"] if packed is None else [])]


async def test_a_refused_group_renews_no_lease(backend: Backend) -> None:
    _, admitted = await begin(backend.stores)
    await backend.lose_lease(admitted.response.id)
    with pytest.raises(TailLost):
        await backend.stores.responses.append(admitted.response.id, word(50), epoch="1", lease_s=LEASE_S)
    assert await is_lost(backend.stores, admitted.response.id)


async def test_a_log_without_words_tells_where_its_opening_ends(stores: Stores) -> None:
    _, admitted = await begin(stores)
    with pytest.raises(TailLost) as lost:
        await stores.responses.append(admitted.response.id, word(5), epoch="1", lease_s=LEASE_S)
    assert lost.value.last_number == LAST_OPENING_NUMBER


async def test_groups_lost_in_a_fail_over_are_noticed_and_written_again(backend: Backend) -> None:
    stores = backend.stores
    _, admitted = await begin(stores)
    response_id, narration = admitted.response.id, begin_telling(admitted)
    groups = [build_group(narration, [Text(text)]) for text in ("One ", "two ", "three ")]
    for group in groups:
        await stores.responses.append(response_id, group, epoch="1", lease_s=LEASE_S)
    await backend.lose_tail(response_id, groups[0].last_number)
    last = build_group(narration, [Text("four")])
    with pytest.raises(TailLost) as lost:
        await stores.responses.append(response_id, last, epoch="1", lease_s=LEASE_S)
    assert lost.value.last_number == groups[0].last_number
    for group in (*groups[1:], last):
        await stores.responses.append(response_id, group, epoch="1", lease_s=LEASE_S)
    assert await read_log(stores, response_id) == ["One ", "two ", "three ", "four"]


@pytest.mark.parametrize("packed", [None, RENEWAL], ids=["words", "a renewal"])
async def test_every_append_renews_the_lease(backend: Backend, packed: bytes | None) -> None:
    _, admitted = await begin(backend.stores)
    response_id = admitted.response.id
    await backend.lose_lease(response_id)
    assert await is_lost(backend.stores, response_id)
    await backend.stores.responses.append(response_id, word(packed=packed), epoch="1", lease_s=LEASE_S)
    assert not await is_lost(backend.stores, response_id)
    assert await read_log(backend.stores, response_id) == ([] if packed == RENEWAL else ["word"])


@pytest.mark.parametrize("epoch", EPOCHS_OF_NOBODY)
async def test_a_wrong_epoch_writes_nothing(stores: Stores, epoch: str) -> None:
    _, admitted = await begin(stores)
    for packed in (None, RENEWAL):
        with pytest.raises(StaleRun):
            await stores.responses.append(admitted.response.id, word(packed=packed), epoch=epoch, lease_s=LEASE_S)
    assert await read_log(stores, admitted.response.id) == []


async def test_a_stale_run_learns_that_it_is_stale_whatever_its_log_lacks(backend: Backend) -> None:
    """TailLost would make it write again what another run may have written differently."""
    _, admitted = await begin(backend.stores)
    await backend.lose_lease(admitted.response.id)
    await seize(backend.stores, admitted.response.id)
    with pytest.raises(StaleRun):
        await backend.stores.responses.append(admitted.response.id, word(50), epoch="1", lease_s=LEASE_S)


async def test_an_ended_response_takes_nothing_more(stores: Stores) -> None:
    response_id = await take_turn(stores)
    ends_at = await find_log_end(stores, response_id)
    with pytest.raises(StaleRun):
        await stores.responses.append(response_id, word(ends_at), epoch="1", lease_s=LEASE_S)
    assert await find_log_end(stores, response_id) == ends_at
    assert not await is_lost(stores, response_id)


async def test_a_response_that_is_gone_takes_nothing_more(stores: Stores) -> None:
    draft, _ = await begin(stores)
    await stores.responses.delete(draft.response.id, owner="alice")
    for response_id in (draft.response.id, UNKNOWN_RESPONSE):
        with pytest.raises(StaleRun):
            await stores.responses.append(response_id, word(), epoch="1", lease_s=LEASE_S)


async def test_what_is_not_stored_has_a_log_until_it_is_delivered(stores: Stores) -> None:
    draft, admitted = await begin(stores, not_stored(build_draft()))
    narration = await write(stores, admitted, "One ")
    await end_turn(stores, draft, admitted, narration=narration)
    assert await read_log(stores, draft.response.id) == ["One ", "Hi."]
