"""`ResponseStore.seize`, `release` and `list_lost`: who may take a response from its run, and what they get."""

import asyncio

import pytest
from msgspec.structs import replace

from prompts.errors import ConversationLocked, NotFound, StaleRun
from prompts.ports.event_log import Group
from prompts.ports.responses import Admitted, Seized
from tests.contract.backends import Backend
from tests.contract.port_turns import (
    LEASE_S,
    OWNER,
    STRANGER,
    UNKNOWN_RESPONSE,
    End,
    begin,
    end_turn,
    fork,
    get_status,
    is_lost,
    not_stored,
    read_conversation,
    read_log,
    seize,
    take_turn,
    words_of,
)
from tests.support.builders import Stores, admit, build_draft, make_conversation, write
from tests.support.sample_turn import LAST_OPENING_NUMBER


async def take_lost(backend: Backend, response_id: str) -> Seized:
    """Let its lease expire, and seize it as another replica does."""
    await backend.lose_lease(response_id)
    return await seize(backend.stores, response_id)


async def try_to_take(stores: Stores, response_id: str) -> object:
    """The answer to a replica that takes it for lost."""
    return await stores.responses.seize(response_id, owner=None, lease_s=LEASE_S)


def admitted_again(seized: Seized) -> Admitted:
    """What admission would give to the run that continues it."""
    return Admitted(seized.response, seized.epoch, seized.window, seized.model_input)


async def check_stale(stores: Stores, response_id: str, epoch: str) -> None:
    """Check that this epoch can neither write, nor renew the lease, nor hand over."""
    for packed in (b'["word"]', b""):
        group = Group(LAST_OPENING_NUMBER, LAST_OPENING_NUMBER + 3, packed)
        with pytest.raises(StaleRun):
            await stores.responses.append(response_id, group, epoch=epoch, lease_s=LEASE_S)
    with pytest.raises(StaleRun):
        await stores.responses.release(response_id, epoch=epoch, is_broken=False)


# --- by a replica that finds it lost ---


async def test_it_works(backend: Backend) -> None:
    stores = backend.stores
    conversation_id = await make_conversation(stores, "One")
    draft, admitted = await begin(stores, build_draft("Two", conversation_id=conversation_id))
    seized = await take_lost(backend, draft.response.id)
    assert seized.response == admitted.response
    assert (seized.owner, list(seized.input), seized.model_request) == (OWNER, draft.input, draft.model_request)
    assert (list(seized.window), seized.model_input) == (list(admitted.window), admitted.model_input)
    assert (seized.attempts, seized.ending) == (2, "")
    await end_turn(stores, draft, admitted_again(seized))
    assert await read_conversation(stores, conversation_id) == ["One", "Two", "Hi."]


async def test_a_response_whose_lease_is_alive_is_left_alone(stores: Stores) -> None:
    draft, admitted = await begin(stores)
    assert not await is_lost(stores, draft.response.id)
    assert await try_to_take(stores, draft.response.id) is None
    await write(stores, admitted, "One")


async def test_a_lost_response_is_taken_once(backend: Backend) -> None:
    draft, _ = await begin(backend.stores)
    await backend.lose_lease(draft.response.id)
    assert await is_lost(backend.stores, draft.response.id)
    taken = await asyncio.gather(*(try_to_take(backend.stores, draft.response.id) for _ in range(2)))
    assert [isinstance(each, Seized) for each in taken].count(True) == 1
    assert None in taken
    assert not await is_lost(backend.stores, draft.response.id)


@pytest.mark.parametrize("end", ["completed", "incomplete", "cancelled", "failed"])
async def test_what_has_ended_is_not_taken(stores: Stores, end: End) -> None:
    response_id = await take_turn(stores, end=end)
    assert await try_to_take(stores, response_id) == end
    assert await stores.responses.seize(response_id, owner=OWNER, lease_s=LEASE_S) == end


async def test_what_is_not_there_is_not_taken(stores: Stores) -> None:
    draft, _ = await begin(stores)
    await stores.responses.delete(draft.response.id, owner=OWNER)
    for response_id in (draft.response.id, UNKNOWN_RESPONSE):
        assert await try_to_take(stores, response_id) is None


async def test_what_was_deleted_while_it_was_lost_is_lost_no_more(backend: Backend) -> None:
    draft, _ = await begin(backend.stores)
    await backend.lose_lease(draft.response.id)
    await backend.stores.responses.delete(draft.response.id, owner=OWNER)
    assert not await is_lost(backend.stores, draft.response.id)


async def test_the_answer_of_a_deleted_conversation_is_not_taken(backend: Backend) -> None:
    stores = backend.stores
    conversation_id = await make_conversation(stores)
    draft, admitted = await begin(stores, build_draft(conversation_id=conversation_id))
    await backend.lose_lease(draft.response.id)
    await stores.conversations.delete(conversation_id, owner=OWNER)
    assert not await is_lost(stores, draft.response.id)
    assert await try_to_take(stores, draft.response.id) is None
    await check_stale(stores, draft.response.id, admitted.epoch)


async def test_what_is_not_stored_can_be_taken_for_lost_too(backend: Backend) -> None:
    """Whoever finds it erases it: its client was connected to the lost replica."""
    draft, _ = await begin(backend.stores, not_stored(build_draft()))
    seized = await take_lost(backend, draft.response.id)
    assert not seized.response.store


async def test_a_conversation_is_locked_until_what_was_taken_over_has_ended(backend: Backend) -> None:
    stores = backend.stores
    conversation_id = await make_conversation(stores)
    draft, _ = await begin(stores, build_draft(conversation_id=conversation_id))
    await backend.lose_lease(draft.response.id)
    with pytest.raises(ConversationLocked):
        await begin(stores, build_draft(conversation_id=conversation_id))
    seized = await seize(stores, draft.response.id)
    with pytest.raises(ConversationLocked) as refused:
        await begin(stores, build_draft(conversation_id=conversation_id))
    assert refused.value.active_response_id == draft.response.id
    await end_turn(stores, draft, admitted_again(seized))
    await begin(stores, build_draft(conversation_id=conversation_id))


# --- by its owner, who cancels it ---


async def test_its_owner_takes_a_response_whose_lease_is_alive(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    draft, admitted = await begin(stores, build_draft("Two", conversation_id=conversation_id))
    narration = await write(stores, admitted, "And ")
    seized = await seize(stores, draft.response.id, owner=OWNER)
    assert (seized.attempts, seized.ending, list(seized.window)) == (1, "cancelled", [])
    assert (list(seized.input), seized.model_input) == (draft.input, admitted.model_input)
    await check_stale(stores, draft.response.id, admitted.epoch)
    await end_turn(stores, draft, admitted_again(seized), end="cancelled", narration=narration)
    assert await read_conversation(stores, conversation_id) == ["One", "Two", "And Hi."]


async def test_whoever_takes_over_a_cancelled_response_is_to_end_it_so(backend: Backend) -> None:
    """The replica that cancelled it may die before it has ended it."""
    draft, _ = await begin(backend.stores)
    await seize(backend.stores, draft.response.id, owner=OWNER)
    seized = await take_lost(backend, draft.response.id)
    assert seized.ending == "cancelled"


async def test_a_stranger_gets_not_found(stores: Stores) -> None:
    draft, admitted = await begin(stores)
    with pytest.raises(NotFound) as refused:
        await stores.responses.seize(draft.response.id, owner=STRANGER, lease_s=LEASE_S)
    assert refused.value.code == "response_not_found"
    await write(stores, admitted, "One")


async def test_what_is_not_there_is_not_cancelled(stores: Stores) -> None:
    deleted, _ = await begin(stores)
    await stores.responses.delete(deleted.response.id, owner=OWNER)
    unstored, _ = await begin(stores, not_stored(build_draft()))
    for response_id in (deleted.response.id, unstored.response.id, UNKNOWN_RESPONSE):
        with pytest.raises(NotFound):
            await stores.responses.seize(response_id, owner=OWNER, lease_s=LEASE_S)


# --- epochs ---


async def test_each_epoch_is_one_more_and_only_the_last_one_writes(backend: Backend) -> None:
    stores = backend.stores
    draft, admitted = await begin(stores)
    epochs = [admitted.epoch]
    for number in range(2, 5):
        seized = await take_lost(backend, draft.response.id)
        assert int(seized.epoch.partition(".")[0]) == seized.attempts == number
        for epoch in epochs:
            await check_stale(stores, draft.response.id, epoch)
        epochs.append(seized.epoch)
    await write(stores, replace(admitted, epoch=epochs[-1]), "One")
    assert await read_log(stores, draft.response.id) == ["One"]


async def test_two_epochs_of_one_count_are_not_the_same(backend: Backend) -> None:
    """A fail-over may lose the first of two seizures; then both runs believe that they have the response."""
    epochs = set()
    for _ in range(2):
        draft, _ = await begin(backend.stores)
        epochs.add((await take_lost(backend, draft.response.id)).epoch)
    assert len(epochs) == 2


async def test_admitting_again_gives_no_right_to_write_what_was_taken(backend: Backend) -> None:
    """The client library may try again late; the run that begins then must not write."""
    stores = backend.stores
    draft, admitted = await begin(stores)
    await take_lost(backend, draft.response.id)
    assert await admit(stores, draft) == admitted
    await check_stale(stores, draft.response.id, admitted.epoch)


async def test_its_replica_is_told_to_let_go(backend: Backend) -> None:
    lost, _ = await begin(backend.stores)
    cancelled, _ = await begin(backend.stores)
    taken = [
        await take_lost(backend, lost.response.id),
        await seize(backend.stores, cancelled.response.id, owner=OWNER),
    ]
    for seized in taken:
        assert await backend.told.wait_for(seized.response.id) == seized.epoch


# --- handing over ---


async def test_a_response_that_is_handed_over_can_be_taken_at_once_and_it_counts_as_no_loss(stores: Stores) -> None:
    draft, admitted = await begin(stores)
    await stores.responses.release(draft.response.id, epoch=admitted.epoch, is_broken=False)
    assert await is_lost(stores, draft.response.id)
    seized = await seize(stores, draft.response.id)
    assert (seized.attempts, seized.ending) == (1, "")


async def test_a_response_that_is_handed_over_as_broken_is_to_end_as_failed(stores: Stores) -> None:
    draft, admitted = await begin(stores)
    await stores.responses.release(draft.response.id, epoch=admitted.epoch, is_broken=True)
    assert (await seize(stores, draft.response.id)).ending == "failed"


async def test_a_replica_that_is_lost_after_a_hand_over_counts(backend: Backend) -> None:
    draft, admitted = await begin(backend.stores)
    await backend.stores.responses.release(draft.response.id, epoch=admitted.epoch, is_broken=False)
    await seize(backend.stores, draft.response.id)
    assert (await take_lost(backend, draft.response.id)).attempts == 2


async def test_a_run_may_go_on_until_another_has_taken_what_it_handed_over(stores: Stores) -> None:
    """The answer to a release may be lost; the run tries again, or ends the response itself."""
    draft, admitted = await begin(stores)
    for _ in range(2):
        await stores.responses.release(draft.response.id, epoch=admitted.epoch, is_broken=False)
    await end_turn(stores, draft, admitted)
    assert await get_status(stores, draft.response.id) == "completed"


async def test_only_the_run_that_may_write_hands_over(stores: Stores) -> None:
    ended_id = await take_turn(stores)
    draft, _ = await begin(stores)
    for response_id, epoch in ((ended_id, "1"), (UNKNOWN_RESPONSE, "1"), (draft.response.id, "2")):
        with pytest.raises(StaleRun):
            await stores.responses.release(response_id, epoch=epoch, is_broken=False)
        assert not await is_lost(stores, response_id)


# --- the window ---


@pytest.mark.parametrize("budget", [0, 12, 40, 8000])
async def test_the_window_of_admission_is_given_again(backend: Backend, budget: int) -> None:
    stores = backend.stores
    conversation_id = await make_conversation(stores, "One", "Two", "word " * 20, "Four")
    fork_id = await fork(stores, conversation_id)
    draft = build_draft(conversation_id=fork_id)
    admitted = await admit(stores, draft, history_tokens=budget)
    await take_turn(stores, build_draft("Elsewhere", conversation_id=conversation_id))
    seized = await take_lost(backend, draft.response.id)
    assert list(seized.window) == list(admitted.window)
    assert seized.model_input == admitted.model_input


async def test_an_item_that_was_erased_meanwhile_makes_no_room_for_more_than_was_given(backend: Backend) -> None:
    stores = backend.stores
    conversation_id = await make_conversation(stores, "word " * 500, "One", "Two", "Three")
    draft = build_draft(conversation_id=conversation_id)
    admitted = await admit(stores, draft, history_tokens=30)
    await stores.conversations.delete_item(conversation_id, admitted.window[1].id, owner=OWNER)
    seized = await take_lost(backend, draft.response.id)
    assert words_of(seized.window) == ["One", "Three"]
