"""`Eraser`: what was deleted, or not used for its retention, is erased completely; what was used meanwhile is not."""

from typing import Literal

import pytest

from prompts.domain import ids
from prompts.errors import NotFound, StaleRun
from prompts.run.sweeping import erase_due
from tests.contract.backends import Backend
from tests.contract.port_turns import (
    OWNER,
    begin,
    end_turn,
    fork,
    get_status,
    read_chain,
    read_conversation,
    take_turn,
)
from tests.support.builders import Stores, build_draft, build_item, make_conversation

Use = Literal["a turn", "more items", "a fork", "a branch"]


async def is_there(stores: Stores, public_id: str) -> bool:
    """Whether a conversation or a response of Alice is found."""
    try:
        if ids.is_of_kind(public_id, ids.CONVERSATION):
            await stores.conversations.get(public_id, owner=OWNER)
        else:
            await stores.responses.get(public_id, owner=OWNER)
    except NotFound:
        return False
    return True


async def find_item(stores: Stores, conversation_id: str) -> str:
    """The first item of a conversation."""
    page = await stores.conversations.list_items(conversation_id, owner=OWNER, limit=1, order="asc", after=None)
    return page.first_id or ""


async def is_item_there(stores: Stores, item_id: str) -> bool:
    """Whether an item of Alice is found."""
    return await stores.conversations.find_items([item_id], owner=OWNER) != [None]


async def erase_found(stores: Stores, found: list[str]) -> None:
    """Erase these completely."""
    for due in found:
        while (await stores.eraser.erase_slice(due)).is_more:
            pass


async def test_it_works(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    item_id = await find_item(stores, conversation_id)
    response_id = await take_turn(stores, build_draft(conversation_id=conversation_id))
    await stores.conversations.delete(conversation_id, owner=OWNER)
    await erase_due(stores.eraser)
    assert not await is_there(stores, response_id)
    assert not await is_item_there(stores, item_id)
    assert list(await stores.eraser.list_due()) == []
    assert list(await stores.event_log.read(response_id, after=-1)) == []


async def test_what_is_in_use_is_not_due(stores: Stores) -> None:
    await take_turn(stores)
    conversation_id = await make_conversation(stores, "One")
    await begin(stores, build_draft(conversation_id=conversation_id))
    assert list(await stores.eraser.list_due()) == []


async def test_turns_branches_and_forks_are_erased_with_their_conversation(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    response_id = await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    branch_id = await take_turn(stores, build_draft("Three", previous_response_id=response_id))
    fork_id = await fork(stores, conversation_id)
    fork_of_fork_id = await fork(stores, fork_id)
    fork_response_id = await take_turn(stores, build_draft("Four", conversation_id=fork_of_fork_id))
    await stores.conversations.delete(conversation_id, owner=OWNER)
    await erase_due(stores.eraser)
    for gone in (response_id, branch_id, fork_id, fork_of_fork_id, fork_response_id):
        assert not await is_there(stores, gone)
    assert await stores.conversations.list(owner=OWNER, limit=10, after=None) == ([], False)


async def test_a_fork_that_is_deleted_alone_leaves_its_origin(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    item_id = await find_item(stores, conversation_id)
    fork_id = await fork(stores, conversation_id)
    response_id = await take_turn(stores, build_draft(conversation_id=fork_id))
    await stores.conversations.delete(fork_id, owner=OWNER)
    await erase_due(stores.eraser)
    assert not await is_there(stores, response_id)
    assert await read_conversation(stores, conversation_id) == ["One"]
    assert await is_item_there(stores, item_id)


async def test_a_run_in_what_is_erased_is_let_go_and_writes_nothing_more(backend: Backend) -> None:
    stores = backend.stores
    conversation_id = await make_conversation(stores, "One")
    first_id = await take_turn(stores, build_draft(conversation_id=conversation_id))
    draft, admitted = await begin(stores, build_draft(previous_response_id=first_id))
    await stores.conversations.delete(conversation_id, owner=OWNER)
    await erase_due(stores.eraser)
    assert await backend.told.wait_for(draft.response.id) == ""
    with pytest.raises(StaleRun):
        await end_turn(stores, draft, admitted)
    assert draft.response.id not in await stores.responses.list_lost()


async def test_due_is_listed_by_partition(stores: Stores) -> None:
    deleted_ids = [await make_conversation(stores, "One", partition=partition) for partition in ("05", "06")]
    for conversation_id in deleted_ids:
        await stores.conversations.delete(conversation_id, owner=OWNER)
    near = [list(await stores.eraser.list_due(near=each)) for each in deleted_ids]
    assert [len(found) for found in near] == [1, 1]
    assert sorted([*near[0], *near[1]]) == sorted(await stores.eraser.list_due())
    await erase_found(stores, near[0])
    assert list(await stores.eraser.list_due()) == near[1]


async def test_erasing_what_another_replica_has_erased_is_no_error(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    await stores.conversations.delete(conversation_id, owner=OWNER)
    found = list(await stores.eraser.list_due())
    for _ in range(2):
        await erase_found(stores, found)


# --- chains ---


async def test_a_chain_is_erased_with_its_last_response(stores: Stores) -> None:
    draft = build_draft("One")
    first_id = await take_turn(stores, draft)
    second_id = await take_turn(stores, build_draft("Two", previous_response_id=first_id))
    await stores.responses.delete(first_id, owner=OWNER)
    await erase_due(stores.eraser)
    assert await read_chain(stores, second_id) == ["One", "Hi.", "Two", "Hi."]
    await stores.responses.delete(second_id, owner=OWNER)
    await erase_due(stores.eraser)
    assert not await is_item_there(stores, draft.input[0].id)


async def test_a_conversation_outlives_its_last_response(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    response_id = await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    await stores.responses.delete(response_id, owner=OWNER)
    await erase_due(stores.eraser)
    assert await read_conversation(stores, conversation_id) == ["One", "Two", "Hi."]


# --- the end of a retention ---


async def test_a_conversation_is_erased_after_its_retention(backend: Backend) -> None:
    stores = backend.stores
    conversation_id = await make_conversation(stores, "One")
    fork_id = await fork(stores, conversation_id)
    response_id = await take_turn(stores, build_draft(conversation_id=conversation_id))
    await backend.end_retention(conversation_id)
    await erase_due(stores.eraser)
    for gone in (conversation_id, fork_id, response_id):
        assert not await is_there(stores, gone)
    assert await stores.conversations.list(owner=OWNER, limit=10, after=None) == ([], False)


async def test_a_chain_is_erased_after_its_retention(backend: Backend) -> None:
    stores = backend.stores
    first_id = await take_turn(stores)
    second_id = await take_turn(stores, build_draft(previous_response_id=first_id))
    kept_id = await take_turn(stores)
    await backend.end_retention(second_id)
    await erase_due(stores.eraser)
    assert [await is_there(stores, each) for each in (first_id, second_id, kept_id)] == [False, False, True]


async def use(stores: Stores, conversation_id: str, response_id: str, how: Use) -> None:
    """Use a conversation in this way."""
    match how:
        case "a turn":
            await begin(stores, build_draft(conversation_id=conversation_id))
        case "more items":
            item = build_item("More", ids.get_partition(conversation_id))
            await stores.conversations.add_items(conversation_id, owner=OWNER, items=[item])
        case "a fork":
            await fork(stores, conversation_id)
        case "a branch":
            await begin(stores, build_draft(previous_response_id=response_id))


@pytest.mark.parametrize("is_found", [False, True], ids=["not listed yet", "already listed"])
@pytest.mark.parametrize("how", ["a turn", "more items", "a fork", "a branch"])
async def test_using_a_conversation_after_its_retention_keeps_it(backend: Backend, how: Use, is_found: bool) -> None:
    stores = backend.stores
    conversation_id = await make_conversation(stores, "One")
    response_id = await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    await backend.end_retention(conversation_id)
    found = list(await stores.eraser.list_due()) if is_found else []
    assert len(found) == is_found
    await use(stores, conversation_id, response_id, how)
    await erase_found(stores, found)
    assert (await read_conversation(stores, conversation_id))[:3] == ["One", "Two", "Hi."]
    assert list(await stores.eraser.list_due()) == []


async def test_a_fork_is_kept_for_as_long_as_its_origin(backend: Backend) -> None:
    """A turn in either starts the retention of both again."""
    stores = backend.stores
    conversation_id = await make_conversation(stores, "One")
    fork_id = await fork(stores, conversation_id)
    await backend.end_retention(conversation_id)
    await take_turn(stores, build_draft("Two", conversation_id=fork_id))
    await erase_due(stores.eraser)
    assert await read_conversation(stores, fork_id) == ["One", "Two", "Hi."]
    assert await read_conversation(stores, conversation_id) == ["One"]


async def test_the_end_of_an_answer_counts_as_use(backend: Backend) -> None:
    stores = backend.stores
    conversation_id = await make_conversation(stores, "One")
    draft, admitted = await begin(stores, build_draft("Two", conversation_id=conversation_id))
    await backend.end_retention(conversation_id)
    await end_turn(stores, draft, admitted)
    await erase_due(stores.eraser)
    assert await get_status(stores, draft.response.id) == "completed"


async def test_reading_does_not_count_as_use(backend: Backend) -> None:
    stores = backend.stores
    conversation_id = await make_conversation(stores, "One")
    response_id = await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    await backend.end_retention(conversation_id)
    await read_conversation(stores, conversation_id)
    await read_chain(stores, response_id)
    await erase_due(stores.eraser)
    assert not await is_there(stores, conversation_id)
