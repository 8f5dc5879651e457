"""`ConversationStore`: conversations, their list, and their forks."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from prompts.domain import ids
from prompts.domain.conversations import Conversation
from prompts.domain.items import Message
from prompts.errors import NotFound
from tests.contract.port_turns import (
    OWNER,
    STRANGER,
    UNKNOWN_CONVERSATION,
    UNKNOWN_ITEM,
    begin,
    decode_item,
    end_turn,
    fork,
    read_conversation,
    wait_for_next_millisecond,
)
from tests.support.builders import Stores, build_draft, build_item, make_conversation

Call = Callable[[Stores, str, str], Awaitable[object]]
# Every way to a conversation: each is given the stores, its id, and who asks.
CALLS: dict[str, Call] = {
    "get": lambda stores, key, owner: stores.conversations.get(key, owner=owner),
    "update": lambda stores, key, owner: stores.conversations.update(key, owner=owner, metadata={}),
    "delete": lambda stores, key, owner: stores.conversations.delete(key, owner=owner),
    "fork": lambda stores, key, owner: stores.conversations.fork(new_id(), key, owner=owner, side=None, item_id=""),
    "add items": lambda stores, key, owner: stores.conversations.add_items(key, owner=owner, items=[hello()]),
    "add nothing": lambda stores, key, owner: stores.conversations.add_items(key, owner=owner, items=[]),
    "list items": lambda stores, key, owner: stores.conversations.list_items(
        key, owner=owner, limit=1, order="asc", after=None
    ),
    "get an item": lambda stores, key, owner: stores.conversations.get_item(key, UNKNOWN_ITEM, owner=owner),
    "delete an item": lambda stores, key, owner: stores.conversations.delete_item(key, UNKNOWN_ITEM, owner=owner),
}
PARTITION = "00"


def new_id() -> str:
    """A new conversation id."""
    return ids.new_id(ids.CONVERSATION, PARTITION)


def hello() -> Message:
    """A greeting."""
    return build_item("Hello", PARTITION)


async def get(stores: Stores, conversation_id: str) -> Conversation:
    """A conversation of Alice."""
    return await stores.conversations.get(conversation_id, owner=OWNER)


async def list_ids(stores: Stores, *, owner: str = OWNER, limit: int = 10, after: str | None = None) -> list[str]:
    """One page of an owner's conversations."""
    found, _ = await stores.conversations.list(owner=owner, limit=limit, after=after)
    return [conversation.id for conversation in found]


# --- one conversation ---


async def test_it_works(stores: Stores) -> None:
    conversation_id, before = new_id(), int(time.time())
    items = [hello()]
    made = await stores.conversations.create(
        conversation_id, owner=OWNER, metadata={"topic": "Paris"}, items=items, title="Weather"
    )
    assert made == await get(stores, conversation_id)
    assert (made.id, made.metadata, made.title) == (conversation_id, {"topic": "Paris"}, "Weather")
    assert (made.active_response_id, made.forked_from) == (None, None)
    assert before <= made.created_at <= time.time()
    assert await read_conversation(stores, conversation_id) == ["Hello"]


async def test_creating_again_after_a_lost_answer_creates_once(stores: Stores) -> None:
    conversation_id, items = new_id(), [hello()]
    first, second = [
        await stores.conversations.create(conversation_id, owner=OWNER, metadata={}, items=items) for _ in range(2)
    ]
    assert first == second
    assert await read_conversation(stores, conversation_id) == ["Hello"]
    assert await list_ids(stores) == [conversation_id]


async def test_an_update_replaces_the_metadata_and_leaves_the_rest(stores: Stores) -> None:
    conversation_id = new_id()
    made = await stores.conversations.create(
        conversation_id, owner=OWNER, metadata={"a": "1", "b": "2"}, items=[hello()], title="Weather"
    )
    updated = await stores.conversations.update(conversation_id, owner=OWNER, metadata={"c": "3"})
    assert updated == await get(stores, conversation_id)
    assert (updated.metadata, updated.title, updated.created_at) == ({"c": "3"}, "Weather", made.created_at)
    assert await read_conversation(stores, conversation_id) == ["Hello"]


@pytest.mark.parametrize(("title", "expected"), [(None, "Weather"), ("Paris", "Paris"), ("", None)])
async def test_a_title_stays_is_replaced_or_taken_away(stores: Stores, title: str | None, expected: str | None) -> None:
    conversation_id = new_id()
    await stores.conversations.create(conversation_id, owner=OWNER, metadata={}, items=[], title="Weather")
    updated = await stores.conversations.update(conversation_id, owner=OWNER, metadata={}, title=title)
    assert updated.title == expected


async def test_a_conversation_names_its_active_response(stores: Stores) -> None:
    conversation_id = await make_conversation(stores)
    draft, admitted = await begin(stores, build_draft(conversation_id=conversation_id))
    assert (await get(stores, conversation_id)).active_response_id == draft.response.id
    updated = await stores.conversations.update(conversation_id, owner=OWNER, metadata={})
    assert updated.active_response_id == draft.response.id
    await end_turn(stores, draft, admitted)
    assert (await get(stores, conversation_id)).active_response_id is None


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("fate", ["unknown", "a stranger's", "deleted"])
async def test_a_conversation_that_alice_does_not_have_is_not_found(stores: Stores, name: str, fate: str) -> None:
    conversation_id = UNKNOWN_CONVERSATION
    if fate != "unknown":
        owner = STRANGER if fate == "a stranger's" else OWNER
        conversation_id = await make_conversation(stores, "Hello", owner=owner, partition=PARTITION)
    if fate == "deleted":
        await stores.conversations.delete(conversation_id, owner=OWNER)
    with pytest.raises(NotFound) as refused:
        await CALLS[name](stores, conversation_id, OWNER)
    assert refused.value.code == "conversation_not_found"
    assert conversation_id in refused.value.message


async def test_a_stranger_changes_nothing(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One", partition=PARTITION)
    before = await get(stores, conversation_id)
    for call in CALLS.values():
        with pytest.raises(NotFound):
            await call(stores, conversation_id, STRANGER)
    assert await get(stores, conversation_id) == before
    assert await read_conversation(stores, conversation_id) == ["One"]
    assert await list_ids(stores, owner=STRANGER) == []


async def test_a_late_second_try_does_not_restore_a_deleted_conversation(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    await stores.conversations.delete(conversation_id, owner=OWNER)
    await stores.conversations.create(conversation_id, owner=OWNER, metadata={}, items=[hello()])
    with pytest.raises(NotFound):
        await get(stores, conversation_id)
    assert await list_ids(stores) == []


async def test_the_items_of_a_deleted_conversation_are_not_found(stores: Stores) -> None:
    conversation_id, item = new_id(), hello()
    await stores.conversations.create(conversation_id, owner=OWNER, metadata={}, items=[item])
    await stores.conversations.delete(conversation_id, owner=OWNER)
    assert await stores.conversations.find_items([item.id], owner=OWNER) == [None]


# --- the list ---


async def make_several(stores: Stores, count: int) -> list[str]:
    """Conversations of Alice, oldest first."""
    made = []
    for _ in range(count):
        made.append(await make_conversation(stores, partition=PARTITION))
        wait_for_next_millisecond()
    return made


async def test_a_list_begins_with_what_was_used_last(stores: Stores) -> None:
    made = await make_several(stores, 3)
    assert await list_ids(stores) == made[::-1]
    await stores.conversations.add_items(made[0], owner=OWNER, items=[hello()])
    assert await list_ids(stores) == [made[0], made[2], made[1]]


async def test_reading_and_renaming_do_not_count_as_use(stores: Stores) -> None:
    made = await make_several(stores, 2)
    await get(stores, made[0])
    await read_conversation(stores, made[0])
    await stores.conversations.update(made[0], owner=OWNER, metadata={}, title="Weather")
    assert await list_ids(stores) == made[::-1]


async def test_a_fork_comes_first(stores: Stores) -> None:
    made = await make_several(stores, 2)
    fork_id = await fork(stores, made[0])
    assert await list_ids(stores) == [fork_id, made[1], made[0]]


async def test_a_list_is_read_in_pages(stores: Stores) -> None:
    newest_first = (await make_several(stores, 5))[::-1]
    pages, after = [], None
    while True:
        found, has_more = await stores.conversations.list(owner=OWNER, limit=2, after=after)
        pages.append([conversation.id for conversation in found])
        if not has_more:
            break
        after = found[-1].id
    assert pages == [newest_first[:2], newest_first[2:4], newest_first[4:]]
    assert await list_ids(stores, after=newest_first[-1]) == []


async def test_a_list_shows_what_a_conversation_is(stores: Stores) -> None:
    conversation_id = await make_conversation(stores)
    await begin(stores, build_draft(conversation_id=conversation_id))
    found, _ = await stores.conversations.list(owner=OWNER, limit=1, after=None)
    assert [replace(each, last_used_ms=None) for each in found] == [await get(stores, conversation_id)]


async def test_a_list_tells_when_each_was_used_last(stores: Stores) -> None:
    await make_several(stores, 3)
    found, _ = await stores.conversations.list(owner=OWNER, limit=3, after=None)
    used = [each.last_used_ms or 0 for each in found]
    assert used == sorted(used, reverse=True)
    assert all(each.created_at <= (each.last_used_ms or 0) // 1000 <= each.created_at + 120 for each in found)


async def test_a_list_is_its_owners(stores: Stores) -> None:
    mine = await make_conversation(stores)
    theirs = await make_conversation(stores, owner=STRANGER)
    assert await list_ids(stores) == [mine]
    assert await list_ids(stores, owner=STRANGER) == [theirs]
    assert await list_ids(stores, owner="carol") == []


async def test_what_is_deleted_leaves_the_list(stores: Stores) -> None:
    made = await make_several(stores, 3)
    await stores.conversations.delete(made[1], owner=OWNER)
    assert await list_ids(stores, limit=2) == [made[2], made[0]]


@pytest.mark.parametrize("fate", ["unknown", "a stranger's", "deleted"])
async def test_a_page_after_an_unknown_conversation_is_refused(stores: Stores, fate: str) -> None:
    after = UNKNOWN_CONVERSATION
    if fate != "unknown":
        after = await make_conversation(stores, owner=STRANGER if fate == "a stranger's" else OWNER)
    if fate == "deleted":
        await stores.conversations.delete(after, owner=OWNER)
    with pytest.raises(NotFound) as refused:
        await list_ids(stores, after=after)
    assert (refused.value.code, refused.value.param) == ("conversation_not_found", "after")


# --- titles ---


async def test_a_search_finds_the_titles_that_have_all_the_words(stores: Stores) -> None:
    made = {}
    for title in ("The lease in Berlin", "Berlin by night", None, "Größe der Büros in BERLIN"):
        made[title] = new_id()
        await stores.conversations.create(made[title], owner=OWNER, metadata={}, items=[], title=title)
        wait_for_next_millisecond()

    async def search(*words: str, limit: int = 10, after: str | None = None) -> list[str | None]:
        found, _ = await stores.conversations.list(owner=OWNER, limit=limit, after=after, words=words)
        return [conversation.title for conversation in found]

    newest_first = ["Größe der Büros in BERLIN", "Berlin by night", "The lease in Berlin"]
    assert await search("berlin") == newest_first
    assert await search("BERLIN", "leas") == ["The lease in Berlin"]
    assert await search("größe") == newest_first[:1]
    assert await search("Oslo") == []
    assert await search("berlin", limit=2) == newest_first[:2]
    assert await search("berlin", limit=2, after=made[newest_first[1]]) == newest_first[2:]
    found, has_more = await stores.conversations.list(owner=OWNER, limit=2, after=None, words=["berlin"])
    assert (len(found), has_more) == (2, True)


# --- forks ---


async def list_forks(stores: Stores, origin_id: str, *, owner: str = OWNER, limit: int = 10) -> list[str]:
    """The forks of a conversation."""
    found, _ = await stores.conversations.list(owner=owner, limit=limit, after=None, forked_from=origin_id)
    return [conversation.id for conversation in found]


async def test_the_forks_of_a_conversation_are_listed_newest_first(stores: Stores) -> None:
    origin_id = await make_conversation(stores, "One", partition=PARTITION)
    forks = []
    for _ in range(3):
        forks.append(await fork(stores, origin_id))
        wait_for_next_millisecond()
    of_a_fork = await fork(stores, forks[0])
    assert await list_forks(stores, origin_id) == forks[::-1]
    assert await list_forks(stores, origin_id, limit=2) == forks[:0:-1]
    assert await list_forks(stores, forks[0]) == [of_a_fork]
    assert await list_forks(stores, of_a_fork) == []
    await stores.conversations.delete(forks[1], owner=OWNER)
    assert await list_forks(stores, origin_id) == [forks[2], forks[0]]


async def test_the_forks_of_what_alice_does_not_have_are_not_found(stores: Stores) -> None:
    theirs = await make_conversation(stores, owner=STRANGER)
    for origin_id in (theirs, UNKNOWN_CONVERSATION):
        with pytest.raises(NotFound) as refused:
            await list_forks(stores, origin_id)
        assert (refused.value.code, refused.value.param) == ("conversation_not_found", "forked_from")


async def test_a_fork_may_have_metadata_and_a_title_of_its_own(stores: Stores) -> None:
    origin_id, _ = await make_origin(stores)
    for title, expected in (("Another", "Another"), ("", None), (None, "Weather")):
        forked = await stores.conversations.fork(
            new_id(), origin_id, owner=OWNER, side=None, item_id="", metadata={"place": "1"}, title=title
        )
        assert (forked.metadata, forked.title) == ({"place": "1"}, expected)
    assert (await get(stores, origin_id)).metadata == {"topic": "Paris"}


async def make_origin(stores: Stores) -> tuple[str, list[str]]:
    """A conversation with three items, and their ids."""
    items = [build_item(text, PARTITION) for text in ("One", "Two", "Three")]
    conversation_id = new_id()
    await stores.conversations.create(
        conversation_id, owner=OWNER, metadata={"topic": "Paris"}, items=items, title="Weather"
    )
    return conversation_id, [item.id for item in items]


async def test_a_fork_has_the_history_the_metadata_and_the_title_of_its_origin(stores: Stores) -> None:
    origin_id, _ = await make_origin(stores)
    forked = await get(stores, await fork(stores, origin_id))
    assert (forked.forked_from, forked.metadata, forked.title) == (origin_id, {"topic": "Paris"}, "Weather")
    assert forked.active_response_id is None
    assert await read_conversation(stores, forked.id) == ["One", "Two", "Three"]


@pytest.mark.parametrize(
    ("side", "expected"), [("before", ["One"]), ("after", ["One", "Two"])], ids=["before", "after"]
)
async def test_a_fork_may_end_at_any_item(stores: Stores, side: Any, expected: list[str]) -> None:
    origin_id, item_ids = await make_origin(stores)
    assert await read_conversation(stores, await fork(stores, origin_id, side=side, item_id=item_ids[1])) == expected


async def test_a_fork_may_have_nothing(stores: Stores) -> None:
    origin_id, item_ids = await make_origin(stores)
    fork_id = await fork(stores, origin_id, side="before", item_id=item_ids[0])
    assert await read_conversation(stores, fork_id) == []
    await stores.conversations.add_items(fork_id, owner=OWNER, items=[hello()])
    assert await read_conversation(stores, fork_id) == ["Hello"]


async def test_a_fork_of_a_fork_may_end_in_what_both_share(stores: Stores) -> None:
    origin_id, item_ids = await make_origin(stores)
    fork_id = await fork(stores, origin_id, side="after", item_id=item_ids[1])
    await stores.conversations.add_items(fork_id, owner=OWNER, items=[build_item("Other", PARTITION)])
    assert await read_conversation(stores, await fork(stores, fork_id)) == ["One", "Two", "Other"]
    shared_id = await fork(stores, fork_id, side="after", item_id=item_ids[0])
    assert await read_conversation(stores, shared_id) == ["One"]


async def test_a_fork_and_its_origin_go_on_separately(stores: Stores) -> None:
    origin_id, _ = await make_origin(stores)
    fork_id = await fork(stores, origin_id)
    await stores.conversations.update(fork_id, owner=OWNER, metadata={}, title="Another")
    for conversation_id, text in ((origin_id, "Four"), (fork_id, "Vier")):
        await stores.conversations.add_items(conversation_id, owner=OWNER, items=[build_item(text, PARTITION)])
    assert await read_conversation(stores, origin_id) == ["One", "Two", "Three", "Four"]
    assert await read_conversation(stores, fork_id) == ["One", "Two", "Three", "Vier"]
    assert (await get(stores, origin_id)).title == "Weather"


async def test_forking_again_after_a_lost_answer_forks_once(stores: Stores) -> None:
    origin_id, _ = await make_origin(stores)
    fork_id = new_id()
    forking: Any = {"owner": OWNER, "side": None, "item_id": ""}
    first, second = [await stores.conversations.fork(fork_id, origin_id, **forking) for _ in range(2)]
    assert first == second
    assert len(await list_ids(stores)) == 2


async def find_strange_item(stores: Stores, fate: str, origin_id: str, item_ids: list[str]) -> str:
    """An item that is not in the origin."""
    match fate:
        case "another conversation's":
            item = hello()
            await stores.conversations.create(new_id(), owner=OWNER, metadata={}, items=[item])
            return item.id
        case "deleted":
            await stores.conversations.delete_item(origin_id, item_ids[0], owner=OWNER)
            return item_ids[0]
        case "a fork's own":
            fork_id, item = await fork(stores, origin_id), hello()
            await stores.conversations.add_items(fork_id, owner=OWNER, items=[item])
            return item.id
    return UNKNOWN_ITEM


@pytest.mark.parametrize("fate", ["unknown", "another conversation's", "deleted", "a fork's own"])
@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_fork_at_an_item_outside_the_history_is_refused(stores: Stores, fate: str, side: Any) -> None:
    origin_id, item_ids = await make_origin(stores)
    item_id = await find_strange_item(stores, fate, origin_id, item_ids)
    before = await list_ids(stores)
    with pytest.raises(NotFound) as refused:
        await fork(stores, origin_id, side=side, item_id=item_id)
    assert (refused.value.code, refused.value.param) == ("item_not_found", side)
    assert await list_ids(stores) == before


async def test_a_fork_at_a_later_item_of_its_origin_is_refused(stores: Stores) -> None:
    origin_id, _ = await make_origin(stores)
    fork_id, item = await fork(stores, origin_id), hello()
    await stores.conversations.add_items(origin_id, owner=OWNER, items=[item])
    with pytest.raises(NotFound):
        await fork(stores, fork_id, side="after", item_id=item.id)


async def test_a_fork_of_a_deleted_conversation_cannot_be_forked(stores: Stores) -> None:
    origin_id, _ = await make_origin(stores)
    fork_id = await fork(stores, origin_id)
    await stores.conversations.delete(origin_id, owner=OWNER)
    with pytest.raises(NotFound) as refused:
        await fork(stores, fork_id)
    assert refused.value.code == "conversation_not_found"


async def test_a_fork_that_is_deleted_takes_nothing_with_it(stores: Stores) -> None:
    origin_id, item_ids = await make_origin(stores)
    await stores.conversations.delete(await fork(stores, origin_id), owner=OWNER)
    assert await read_conversation(stores, origin_id) == ["One", "Two", "Three"]
    assert decode_item(await stores.conversations.get_item(origin_id, item_ids[0], owner=OWNER)).id == item_ids[0]
