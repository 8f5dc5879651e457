"""`ResponseStore.commit`: a response ends once, and everything changes in one step."""

import pytest
from msgspec.structs import replace

from prompts.domain.passages import Passage
from prompts.domain.responses import ConversationRef
from prompts.domain.signals import Text
from prompts.errors import NotFound, StaleRun, TailLost
from prompts.ports.responses import Ending, Seized
from tests.contract.backends import Backend
from tests.contract.port_turns import (
    BROKEN,
    LEASE_S,
    OWNER,
    STRANGER,
    End,
    begin,
    build_outcome,
    end_turn,
    fork,
    get_status,
    is_lost,
    not_stored,
    read_chain,
    read_conversation,
    read_log,
    seize,
    take_turn,
    wait_for_next_millisecond,
)
from tests.support.builders import Stores, admit, build_draft, build_group, make_conversation, write

ENDS: list[End] = ["completed", "incomplete", "cancelled", "failed"]


async def get_active(stores: Stores, conversation_id: str) -> str | None:
    """The response that locks a conversation."""
    return (await stores.conversations.get(conversation_id, owner=OWNER)).active_response_id


async def test_it_works(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    draft, admitted = await begin(stores, build_draft("Two", conversation_id=conversation_id))
    narration = await write(stores, admitted, "And ")
    outcome = await end_turn(stores, draft, admitted, narration=narration)
    stored = await stores.responses.get(draft.response.id, owner=OWNER)
    assert (stored.status, stored.body, stored.failure) == ("completed", outcome.result, None)
    assert await read_conversation(stores, conversation_id) == ["One", "Two", "And Hi."]
    assert await get_active(stores, conversation_id) is None
    assert await read_log(stores, draft.response.id) == ["And ", "Hi."]
    assert not await is_lost(stores, draft.response.id)


@pytest.mark.parametrize("end", ENDS)
async def test_every_end_frees_the_conversation_and_only_a_failure_leaves_it_where_it_was(
    stores: Stores, end: End
) -> None:
    conversation_id = await make_conversation(stores, "One")
    response_id = await take_turn(stores, build_draft("Two", conversation_id=conversation_id), end=end)
    assert await get_status(stores, response_id) == end
    assert await get_active(stores, conversation_id) is None
    expected = ["One"] if end == "failed" else ["One", "Two", "Hi."]
    assert await read_conversation(stores, conversation_id) == expected


async def test_a_failure_is_told_again_as_it_was_told(stores: Stores) -> None:
    response_id = await take_turn(stores, end="failed")
    failure = (await stores.responses.get(response_id, owner=OWNER)).failure
    assert failure is not None
    assert (failure.code, failure.type, failure.status) == (BROKEN.code, BROKEN.type, BROKEN.status)
    assert (failure.message, failure.retry_after_s) == (BROKEN.message, None)


@pytest.mark.parametrize("end", ENDS)
async def test_the_log_says_where_it_ends(stores: Stores, end: End) -> None:
    response_id = await take_turn(stores, end=end)
    *before, last = await stores.event_log.read(response_id, after=-1)
    assert [entry.is_last for entry in before] == [False]
    assert last.is_last


async def test_items_are_found_by_their_ids_from_then_on(stores: Stores) -> None:
    draft, admitted = await begin(stores)
    assert await stores.conversations.find_items([draft.input[0].id], owner=OWNER) == [None]
    outcome = await end_turn(stores, draft, admitted)
    item_ids = [item.id for item in outcome.items]
    assert list(await stores.conversations.find_items(item_ids, owner=OWNER)) == list(outcome.items)
    assert list(await stores.conversations.find_items(item_ids, owner=STRANGER)) == [None, None]


async def test_the_same_end_again_changes_nothing(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    draft, admitted = await begin(stores, build_draft("Two", conversation_id=conversation_id))
    for _ in range(2):
        await end_turn(stores, draft, admitted)
    assert await read_conversation(stores, conversation_id) == ["One", "Two", "Hi."]
    assert await read_log(stores, draft.response.id) == ["Hi."]


async def test_another_end_is_refused_and_changes_nothing(stores: Stores) -> None:
    draft, admitted = await begin(stores)
    first = await end_turn(stores, draft, admitted)
    with pytest.raises(StaleRun):
        await end_turn(stores, draft, admitted, end="cancelled")
    stored = await stores.responses.get(draft.response.id, owner=OWNER)
    assert (stored.status, stored.body) == ("completed", first.result)


async def test_a_late_second_end_does_not_free_the_next_turn(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    draft, admitted = await begin(stores, build_draft("Two", conversation_id=conversation_id))
    await end_turn(stores, draft, admitted)
    following, _ = await begin(stores, build_draft("Three", conversation_id=conversation_id))
    await end_turn(stores, draft, admitted)
    assert await get_active(stores, conversation_id) == following.response.id


async def test_an_end_that_does_not_join_on_is_refused_and_changes_nothing(backend: Backend) -> None:
    stores = backend.stores
    conversation_id = await make_conversation(stores, "One")
    draft, admitted = await begin(stores, build_draft("Two", conversation_id=conversation_id))
    response_id = draft.response.id
    narration = await write(stores, admitted, "And ")
    ends_at = narration.next_number - 1
    lost_group = build_group(narration, [Text("so ")])
    outcome, last = build_outcome(draft, admitted, narration=narration)
    await backend.lose_lease(response_id)
    with pytest.raises(TailLost) as lost:
        await stores.responses.commit(outcome, last, owner=OWNER, epoch="1")
    assert lost.value.last_number == ends_at
    assert await get_status(stores, response_id) == "in_progress"
    assert await read_log(stores, response_id) == ["And "]
    assert await is_lost(stores, response_id)
    assert await get_active(stores, conversation_id) == response_id
    assert await read_conversation(stores, conversation_id) == ["One"]

    await stores.responses.append(response_id, lost_group, epoch="1", lease_s=LEASE_S)
    await stores.responses.commit(outcome, last, owner=OWNER, epoch="1")
    assert await read_log(stores, response_id) == ["And ", "so ", "Hi."]


@pytest.mark.parametrize("epoch", ["", "0", "2", "1.a"])
async def test_a_wrong_epoch_ends_nothing(stores: Stores, epoch: str) -> None:
    draft, admitted = await begin(stores)
    with pytest.raises(StaleRun):
        await end_turn(stores, draft, replace(admitted, epoch=epoch))
    assert await get_status(stores, draft.response.id) == "in_progress"


async def test_a_run_whose_response_was_taken_ends_nothing(backend: Backend) -> None:
    draft, admitted = await begin(backend.stores)
    await backend.lose_lease(draft.response.id)
    seized = await seize(backend.stores, draft.response.id)
    with pytest.raises(StaleRun):
        await end_turn(backend.stores, draft, admitted)
    await end_turn(backend.stores, draft, replace(admitted, epoch=seized.epoch))
    with pytest.raises(StaleRun):
        await end_turn(backend.stores, draft, admitted)


async def test_a_deleted_response_is_not_ended(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    draft, admitted = await begin(stores, build_draft("Two", conversation_id=conversation_id))
    await stores.responses.delete(draft.response.id, owner=OWNER)
    with pytest.raises(StaleRun):
        await end_turn(stores, draft, admitted)
    assert await read_conversation(stores, conversation_id) == ["One"]


@pytest.mark.parametrize("place", ["the conversation", "a fork of it", "a branch of it"])
async def test_nothing_ends_in_what_is_being_erased(stores: Stores, place: str) -> None:
    conversation_id = await make_conversation(stores, "One")
    match place:
        case "the conversation":
            draft = build_draft(conversation_id=conversation_id)
        case "a fork of it":
            draft = build_draft(conversation_id=await fork(stores, conversation_id))
        case _:
            first_id = await take_turn(stores, build_draft(conversation_id=conversation_id))
            draft = build_draft(previous_response_id=first_id)
    admitted = await admit(stores, draft)
    await stores.conversations.delete(conversation_id, owner=OWNER)
    with pytest.raises(StaleRun):
        await end_turn(stores, draft, admitted)


async def test_a_fork_grows_alone(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    fork_id = await fork(stores, conversation_id)
    await take_turn(stores, build_draft("Two", conversation_id=fork_id))
    await take_turn(stores, build_draft("Three", conversation_id=conversation_id))
    assert await read_conversation(stores, fork_id) == ["One", "Two", "Hi."]
    assert await read_conversation(stores, conversation_id) == ["One", "Three", "Hi."]


async def test_a_turn_moves_its_conversation_to_the_head_of_the_list(stores: Stores) -> None:
    used_id, other_id = await make_conversation(stores, "One"), await make_conversation(stores, "Two")
    wait_for_next_millisecond()
    draft = build_draft(conversation_id=used_id)
    response = replace(draft.response, conversation=ConversationRef(used_id))
    await take_turn(stores, replace(draft, response=response))
    listed, _ = await stores.conversations.list(owner=OWNER, limit=10, after=None)
    assert [conversation.id for conversation in listed] == [used_id, other_id]


# --- what is not stored ---


@pytest.mark.parametrize("end", ENDS)
async def test_what_is_not_stored_ends_and_is_there_until_it_is_delivered(stores: Stores, end: End) -> None:
    draft, admitted = await begin(stores, not_stored(build_draft()))
    outcome = await end_turn(stores, draft, admitted, end=end)
    stored = await stores.responses.get(draft.response.id, owner=OWNER)
    assert (stored.status, stored.body, stored.is_stored) == (end, outcome.result, False)
    assert not await stores.responses.is_kept(draft.response.id, owner=OWNER)
    assert (stored.failure is not None) == (end == "failed")
    item_ids = [item.id for item in (*draft.input, *outcome.response.output)]
    assert set(await stores.conversations.find_items(item_ids, owner=OWNER)) == {None}
    assert not await is_lost(stores, draft.response.id)
    await stores.responses.discard(draft.response.id)
    with pytest.raises(NotFound):
        await get_status(stores, draft.response.id)


async def test_what_is_not_stored_is_ended_by_its_own_run_only(stores: Stores) -> None:
    draft, admitted = await begin(stores, not_stored(build_draft()))
    with pytest.raises(StaleRun):
        await end_turn(stores, draft, replace(admitted, epoch="2.a"))
    await stores.responses.discard(draft.response.id)
    with pytest.raises(StaleRun):
        await end_turn(stores, draft, admitted)


async def test_a_chain_is_whole_after_many_turns(stores: Stores) -> None:
    previous_id, expected = await take_turn(stores, build_draft("0")), ["0", "Hi."]
    for number in range(1, 6):
        previous_id = await take_turn(stores, build_draft(str(number), previous_response_id=previous_id))
        expected += [str(number), "Hi."]
    assert await read_chain(stores, previous_id) == expected


# --- what the model was given ---


PASSAGES = [
    Passage(
        vector_store_id="vs_1",
        file_id="file-1",
        filename='{"a"} é.md',
        number=number,
        text=f'Text "{number}" 是\n',
        score=0.5,
        attributes={"year": 2024.0, "isNew": True, "city": "Oslo"},
        index=number,
    )
    for number in (1, 2)
]


@pytest.mark.parametrize("end", ENDS)
async def test_what_the_model_was_given_stays_with_the_response(stores: Stores, end: End) -> None:
    draft, admitted = await begin(stores)
    assert await stores.responses.get_passages(draft.response.id, owner=OWNER) == []
    outcome, last = build_outcome(draft, admitted, end=end)
    outcome = replace(outcome, passages=PASSAGES)
    await stores.responses.commit(outcome, last, owner=OWNER, epoch=admitted.epoch)
    assert await stores.responses.get_passages(draft.response.id, owner=OWNER) == PASSAGES
    with pytest.raises(NotFound):
        await stores.responses.get_passages(draft.response.id, owner=STRANGER)
    await stores.responses.delete(draft.response.id, owner=OWNER)
    with pytest.raises(NotFound):
        await stores.responses.get_passages(draft.response.id, owner=OWNER)


async def test_what_a_displaced_response_was_given_stays_with_it(stores: Stores) -> None:
    conversation_id = await make_conversation(stores)
    draft, admitted = await begin(stores, build_draft("One", conversation_id=conversation_id))
    seized = await stores.responses.seize(draft.response.id, owner=OWNER, lease_s=LEASE_S, displaces="any")
    assert isinstance(seized, Seized)
    outcome, last = build_outcome(draft, admitted, end="cancelled")
    ending = Ending(replace(outcome, passages=PASSAGES), last, seized.epoch)
    await stores.responses.admit(
        build_draft("Two", conversation_id=conversation_id),
        owner=OWNER,
        history_tokens=100,
        lease_s=LEASE_S,
        displaces="any",
        ending=ending,
    )
    assert await stores.responses.get_passages(draft.response.id, owner=OWNER) == PASSAGES


async def test_a_response_without_passages_has_none(stores: Stores) -> None:
    response_id = await take_turn(stores)
    assert await stores.responses.get_passages(response_id, owner=OWNER) == []
