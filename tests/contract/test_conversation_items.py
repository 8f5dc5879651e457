"""`ConversationStore`: the items of a conversation, one by one and in pages."""

from collections.abc import Sequence
from typing import Literal

import pytest
from msgspec.structs import replace

from prompts.answer.events import encode
from prompts.domain import ids
from prompts.domain.items import FunctionCall, FunctionCallOutput, Item, Message, OutputText, Reasoning, SummaryText
from prompts.errors import ConversationLocked, NotFound, UnknownCall
from tests.contract.port_turns import (
    OWNER,
    STRANGER,
    UNKNOWN_ITEM,
    begin,
    end_turn,
    fork,
    read_conversation,
)
from tests.support.builders import Stores, build_draft, build_item, make_conversation

PARTITION = "00"
Order = Literal["asc", "desc"]


async def make(stores: Stores, *items: Item) -> str:
    """A conversation of Alice with these items."""
    conversation_id = ids.new_id(ids.CONVERSATION, PARTITION)
    await stores.conversations.create(conversation_id, owner=OWNER, metadata={}, items=items)
    return conversation_id


def number_items(count: int) -> list[Message]:
    """Items that say 0, 1, 2 …"""
    return [build_item(str(number), PARTITION) for number in range(count)]


def one_of_each_kind() -> list[Item]:
    """Items of several kinds, with text that JSON must escape."""
    text = 'Ünïcode 🦀, "quotes", \\ and \x00 \u2028'
    return [
        build_item(text, PARTITION),
        Message(ids.new_id(ids.MESSAGE, PARTITION), "incomplete", "assistant", [OutputText(text)]),
        FunctionCall(ids.new_id(ids.FUNCTION_CALL, PARTITION), "completed", "call_1", "ping", '{"a": "ü"}'),
        FunctionCallOutput(ids.new_id("fco", PARTITION), "completed", "call_1", text),
        Reasoning(ids.new_id("rs", PARTITION), "completed", [SummaryText(text)]),
    ]


async def add(stores: Stores, conversation_id: str, items: Sequence[Item], **more: Sequence[str]) -> None:
    """Alice adds items."""
    await stores.conversations.add_items(conversation_id, owner=OWNER, items=items, **more)


async def find(stores: Stores, *item_ids: str, owner: str = OWNER) -> list[Item | None]:
    """Items by their ids."""
    return list(await stores.conversations.find_items(item_ids, owner=owner))


# --- adding ---


async def test_it_works(stores: Stores) -> None:
    conversation_id = await make(stores, *number_items(2))
    items = one_of_each_kind()
    await add(stores, conversation_id, items)
    page = await stores.conversations.list_items(conversation_id, owner=OWNER, limit=10, order="asc", after=None)
    assert page.data[2:] == [encode(item) for item in items]
    assert await find(stores, *(item.id for item in items)) == items
    for item in items:
        assert await stores.conversations.get_item(conversation_id, item.id, owner=OWNER) == encode(item)


async def test_what_is_kept_with_a_call_is_found_and_not_shown(stores: Stores) -> None:
    secret = 'sealed "\\ \x00 ü'
    shown = FunctionCall(ids.new_id(ids.FUNCTION_CALL, PARTITION), "completed", "call_1", "ping", "{}")
    call = replace(shown, kept=[secret, "more"])
    conversation_id = await make(stores, call, *number_items(1))
    page = await stores.conversations.list_items(conversation_id, owner=OWNER, limit=10, order="asc", after=None)
    assert page.data[0] == encode(shown) == await stores.conversations.get_item(conversation_id, call.id, owner=OWNER)
    assert await find(stores, call.id) == [call]
    forked_id = await fork(stores, conversation_id)
    for each_id in (conversation_id, forked_id):
        _, admitted = await begin(stores, build_draft(conversation_id=each_id))
        assert admitted.window[0] == call


async def test_adding_again_after_a_lost_answer_adds_once(stores: Stores) -> None:
    conversation_id = await make(stores)
    items = number_items(2)
    for _ in range(2):
        await add(stores, conversation_id, items)
    assert await read_conversation(stores, conversation_id) == ["0", "1"]


async def test_nothing_is_added_while_a_response_is_active(stores: Stores) -> None:
    conversation_id = await make(stores)
    draft, admitted = await begin(stores, build_draft("Two", conversation_id=conversation_id))
    items = number_items(1)
    with pytest.raises(ConversationLocked) as refused:
        await add(stores, conversation_id, items)
    assert refused.value.active_response_id == draft.response.id
    assert await find(stores, items[0].id) == [None]
    await end_turn(stores, draft, admitted)
    await add(stores, conversation_id, items)
    assert await read_conversation(stores, conversation_id) == ["Two", "Hi.", "0"]


async def test_the_output_of_a_call_needs_the_call(stores: Stores) -> None:
    conversation_id = await make(stores, *number_items(1))
    _, _, call, output, _ = one_of_each_kind()
    with pytest.raises(UnknownCall) as refused:
        await add(stores, conversation_id, [output], unanswered=["call_1"])
    assert refused.value.call_id == "call_1"
    await add(stores, conversation_id, [call])
    await add(stores, conversation_id, [output], unanswered=["call_1"])
    assert await find(stores, output.id) == [output]


async def test_a_fork_answers_the_calls_it_shares_and_no_others(stores: Stores) -> None:
    _, _, call, output, _ = one_of_each_kind()
    conversation_id = await make(stores, *number_items(1))
    early_id = await fork(stores, conversation_id)
    await add(stores, conversation_id, [call])
    late_id = await fork(stores, conversation_id)
    with pytest.raises(UnknownCall):
        await add(stores, early_id, [output], unanswered=["call_1"])
    await add(stores, late_id, [output], unanswered=["call_1"])


async def test_nothing_is_added_to_a_fork_of_a_deleted_conversation(stores: Stores) -> None:
    conversation_id = await make(stores, *number_items(1))
    fork_id = await fork(stores, conversation_id)
    await stores.conversations.delete(conversation_id, owner=OWNER)
    with pytest.raises(NotFound) as refused:
        await add(stores, fork_id, number_items(1))
    assert refused.value.code == "conversation_not_found"


# --- pages ---


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("is_fork", [True, False])
async def test_pages_give_every_item_once_and_in_order(stores: Stores, order: Order, limit: int, is_fork: bool) -> None:
    items = number_items(7)
    conversation_id = await make(stores, *items[:4])
    if is_fork:
        conversation_id = await fork(stores, conversation_id)
    await add(stores, conversation_id, items[4:])
    found: list[bytes] = []
    after = None
    while True:
        page = await stores.conversations.list_items(
            conversation_id, owner=OWNER, limit=limit, order=order, after=after
        )
        found += page.data
        after = page.last_id
        if not page.has_more:
            break
        assert len(page.data) == limit
    expected = items if order == "asc" else items[::-1]
    assert found == [encode(item) for item in expected]
    assert after == expected[-1].id


async def test_a_page_names_its_first_and_its_last_item(stores: Stores) -> None:
    items = number_items(5)
    conversation_id = await make(stores, *items)
    page = await stores.conversations.list_items(conversation_id, owner=OWNER, limit=2, order="desc", after=items[4].id)
    assert (page.first_id, page.last_id, page.has_more) == (items[3].id, items[2].id, True)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_an_empty_page_names_nothing(stores: Stores, order: Order) -> None:
    items = number_items(1)
    conversation_id = await make(stores, *items)
    for key, after in ((await make(stores), None), (conversation_id, items[0].id)):
        page = await stores.conversations.list_items(key, owner=OWNER, limit=2, order=order, after=after)
        assert (list(page.data), page.first_id, page.last_id, page.has_more) == ([], None, None, False)


async def find_strange_item(stores: Stores, fate: str, conversation_id: str, items: Sequence[Item]) -> str:
    """An item that is not in the conversation."""
    elsewhere = number_items(1)[0]
    match fate:
        case "another conversation's":
            await make(stores, elsewhere)
        case "another partition's":
            elsewhere = build_item("Elsewhere", "01")
            other_id = ids.new_id(ids.CONVERSATION, "01")
            await stores.conversations.create(other_id, owner=OWNER, metadata={}, items=[elsewhere])
        case "its fork's":
            await add(stores, await fork(stores, conversation_id), [elsewhere])
        case "deleted":
            await stores.conversations.delete_item(conversation_id, items[0].id, owner=OWNER)
            return items[0].id
        case _:
            return UNKNOWN_ITEM
    return elsewhere.id


STRANGE = ["unknown", "another conversation's", "another partition's", "its fork's", "deleted"]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("fate", STRANGE)
async def test_a_page_after_an_item_outside_the_conversation_is_refused(
    stores: Stores, fate: str, order: Order
) -> None:
    items = number_items(2)
    conversation_id = await make(stores, *items)
    after = await find_strange_item(stores, fate, conversation_id, items)
    with pytest.raises(NotFound) as refused:
        await stores.conversations.list_items(conversation_id, owner=OWNER, limit=1, order=order, after=after)
    assert (refused.value.code, refused.value.param) == ("item_not_found", "after")


# --- one item ---


@pytest.mark.parametrize("fate", STRANGE)
async def test_an_item_outside_the_conversation_is_neither_read_nor_deleted(stores: Stores, fate: str) -> None:
    items = number_items(2)
    conversation_id = await make(stores, *items)
    item_id = await find_strange_item(stores, fate, conversation_id, items)
    for call in (
        stores.conversations.get_item(conversation_id, item_id, owner=OWNER),
        stores.conversations.delete_item(conversation_id, item_id, owner=OWNER),
    ):
        with pytest.raises(NotFound) as refused:
            await call
        assert (refused.value.code, refused.value.param) == ("item_not_found", "item_id")


async def test_a_deleted_item_leaves_the_history_and_every_fork_of_it(stores: Stores) -> None:
    items = number_items(3)
    conversation_id = await make(stores, *items)
    fork_id = await fork(stores, conversation_id)
    await stores.conversations.delete_item(fork_id, items[1].id, owner=OWNER)
    for key in (conversation_id, fork_id):
        assert await read_conversation(stores, key) == ["0", "2"]
    assert await find(stores, items[1].id) == [None]


async def test_a_fork_has_the_items_it_shares(stores: Stores) -> None:
    items = number_items(1)
    fork_id = await fork(stores, await make(stores, *items))
    assert await stores.conversations.get_item(fork_id, items[0].id, owner=OWNER) == encode(items[0])


# --- items by their ids ---


async def test_items_are_found_in_the_order_they_are_asked_for(stores: Stores) -> None:
    items = [build_item(str(number), f"{number:02x}") for number in range(3)]
    for item in items:
        conversation_id = ids.new_id(ids.CONVERSATION, ids.get_partition(item.id))
        await stores.conversations.create(conversation_id, owner=OWNER, metadata={}, items=[item])
    asked = [items[2].id, UNKNOWN_ITEM, items[0].id, items[2].id]
    assert await find(stores, *asked) == [items[2], None, items[0], items[2]]
    assert await find(stores) == []


async def test_a_strangers_items_are_not_found(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One", owner=STRANGER)
    page = await stores.conversations.list_items(conversation_id, owner=STRANGER, limit=1, order="asc", after=None)
    item_id = page.first_id or ""
    assert await find(stores, item_id) == [None]
    assert await find(stores, item_id, owner=STRANGER) != [None]
