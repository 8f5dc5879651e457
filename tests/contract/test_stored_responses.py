"""`ResponseStore.get`, `delete` and `discard`: who can read a response, and until when."""

import msgspec
import pytest

from prompts.domain.responses import Response
from prompts.errors import NotFound
from tests.contract.backends import Backend
from tests.contract.port_turns import (
    OWNER,
    STRANGER,
    UNKNOWN_RESPONSE,
    begin,
    end_turn,
    get_status,
    is_lost,
    not_stored,
    read_conversation,
    read_log,
    take_turn,
    words_of,
)
from tests.support.builders import Stores, build_draft, make_conversation, write

decode_response = msgspec.json.Decoder(Response).decode


async def check_unknown(stores: Stores, response_id: str, owner: str = OWNER) -> None:
    """Check that the owner can neither read nor delete it."""
    for call in (
        stores.responses.get(response_id, owner=owner),
        stores.responses.delete(response_id, owner=owner),
        stores.event_log.get_echo(response_id, owner=owner),
    ):
        with pytest.raises(NotFound) as refused:
            await call
        assert (refused.value.code, refused.value.param) == ("response_not_found", "response_id")
        assert response_id in refused.value.message
    assert not await stores.responses.is_kept(response_id, owner=owner)


async def test_an_active_response_is_shown_as_it_was_created(stores: Stores) -> None:
    draft, admitted = await begin(stores)
    await write(stores, admitted, "One ")
    stored = await stores.responses.get(draft.response.id, owner=OWNER)
    assert (stored.status, stored.failure, stored.is_stored) == ("in_progress", None, True)
    assert decode_response(stored.body) == admitted.response
    assert await stores.responses.is_kept(draft.response.id, owner=OWNER)


async def test_an_ended_response_is_shown_as_it_ended(stores: Stores) -> None:
    draft, admitted = await begin(stores)
    outcome = await end_turn(stores, draft, admitted)
    stored = await stores.responses.get(draft.response.id, owner=OWNER)
    assert (stored.status, stored.body, stored.is_stored) == ("completed", outcome.result, True)
    assert await stores.responses.is_kept(draft.response.id, owner=OWNER)


async def test_an_unknown_id_is_not_found(stores: Stores) -> None:
    await check_unknown(stores, UNKNOWN_RESPONSE)


@pytest.mark.parametrize("is_ended", [True, False])
async def test_a_stranger_gets_not_found(stores: Stores, is_ended: bool) -> None:
    draft, admitted = await begin(stores)
    if is_ended:
        await end_turn(stores, draft, admitted)
    await check_unknown(stores, draft.response.id, STRANGER)
    assert await get_status(stores, draft.response.id) == ("completed" if is_ended else "in_progress")


@pytest.mark.parametrize("is_ended", [True, False])
async def test_a_deleted_response_is_unknown_with_its_log(stores: Stores, is_ended: bool) -> None:
    draft, admitted = await begin(stores)
    narration = await write(stores, admitted, "One ")
    if is_ended:
        await end_turn(stores, draft, admitted, narration=narration)
    await stores.responses.delete(draft.response.id, owner=OWNER)
    await check_unknown(stores, draft.response.id)
    assert await stores.event_log.read(draft.response.id, after=-1) == []
    assert not await is_lost(stores, draft.response.id)


async def test_the_items_of_a_deleted_response_stay_in_their_history(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    response_id = await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    await stores.responses.delete(response_id, owner=OWNER)
    assert await read_conversation(stores, conversation_id) == ["One", "Two", "Hi."]
    _, admitted = await begin(stores, build_draft(conversation_id=conversation_id))
    assert words_of(admitted.window) == ["One", "Two", "Hi."]


async def test_deleting_an_active_response_frees_its_conversation_and_tells_its_replica(backend: Backend) -> None:
    stores = backend.stores
    conversation_id = await make_conversation(stores, "One")
    draft, _ = await begin(stores, build_draft(conversation_id=conversation_id))
    await stores.responses.delete(draft.response.id, owner=OWNER)
    assert await backend.told.wait_for(draft.response.id) == ""
    _, admitted = await begin(stores, build_draft(conversation_id=conversation_id))
    assert words_of(admitted.window) == ["One"]


async def test_deleting_an_earlier_response_leaves_the_active_one_alone(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    earlier_id = await take_turn(stores, build_draft(conversation_id=conversation_id))
    draft, _ = await begin(stores, build_draft(conversation_id=conversation_id))
    await stores.responses.delete(earlier_id, owner=OWNER)
    conversation = await stores.conversations.get(conversation_id, owner=OWNER)
    assert conversation.active_response_id == draft.response.id


async def test_deleting_one_of_a_chain_leaves_the_others(stores: Stores) -> None:
    first_id = await take_turn(stores, build_draft("One"))
    second_id = await take_turn(stores, build_draft("Two", previous_response_id=first_id))
    await stores.responses.delete(first_id, owner=OWNER)
    _, admitted = await begin(stores, build_draft(previous_response_id=second_id))
    assert words_of(admitted.window) == ["One", "Hi.", "Two", "Hi."]


async def test_the_answer_of_a_deleted_conversation_is_unknown_at_once(backend: Backend) -> None:
    stores = backend.stores
    conversation_id = await make_conversation(stores)
    draft, _ = await begin(stores, build_draft(conversation_id=conversation_id))
    await stores.conversations.delete(conversation_id, owner=OWNER)
    await check_unknown(stores, draft.response.id)
    assert await backend.told.wait_for(draft.response.id) == ""


# --- what is not stored ---


async def test_what_is_not_stored_cannot_be_deleted(stores: Stores) -> None:
    draft, _ = await begin(stores, not_stored(build_draft()))
    with pytest.raises(NotFound):
        await stores.responses.delete(draft.response.id, owner=OWNER)
    assert not (await stores.responses.get(draft.response.id, owner=OWNER)).is_stored


async def test_a_stranger_does_not_get_what_is_not_stored(stores: Stores) -> None:
    draft, _ = await begin(stores, not_stored(build_draft()))
    with pytest.raises(NotFound):
        await stores.responses.get(draft.response.id, owner=STRANGER)


@pytest.mark.parametrize("is_ended", [True, False])
async def test_discarding_leaves_nothing(stores: Stores, is_ended: bool) -> None:
    draft, admitted = await begin(stores, not_stored(build_draft()))
    narration = await write(stores, admitted, "One ")
    if is_ended:
        await end_turn(stores, draft, admitted, narration=narration)
    for _ in range(2):  # a client that leaves while it is delivered
        await stores.responses.discard(draft.response.id)
    await check_unknown(stores, draft.response.id)
    assert await read_log(stores, draft.response.id) == []
    assert not await is_lost(stores, draft.response.id)
