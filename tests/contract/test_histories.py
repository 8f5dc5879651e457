"""`Histories`: the history behind an anchor, read without a turn. On Redis alone: there is no fake."""

import pytest
from redis.asyncio import Redis

from prompts.adapters.redis.histories import ITEMS_A_SLICE, MAX_ITEMS, RedisHistories
from prompts.domain import ids
from prompts.domain.anchors import AfterResponse, InConversation
from prompts.domain.items import FunctionCall
from prompts.domain.responses import CONTINUABLE
from prompts.errors import InvalidRequest, NotFound, ResponseNotEnded
from prompts.ports.conversations import Histories
from tests.contract.port_turns import (
    OWNER,
    STRANGER,
    UNKNOWN_CONVERSATION,
    UNKNOWN_RESPONSE,
    End,
    begin,
    end_turn,
    fork,
    not_stored,
    take_turn,
    words_of,
)
from tests.support.builders import Stores, admit, build_draft, build_item, make_conversation

PARTITION = "05"
TOKENS_A_WORD = 5
BATCH = 1_000


@pytest.fixture
def histories(redis: Redis) -> Histories:
    return RedisHistories(redis)


async def read(
    histories: Histories, anchor: InConversation | AfterResponse, *, max_tokens: int | None = None
) -> list[str]:
    """The texts of a history of Alice, oldest first."""
    return words_of(await histories.read(anchor, owner=OWNER, max_tokens=max_tokens))


async def make_long(stores: Stores, count: int) -> str:
    """A conversation with `count` numbered items."""
    conversation_id = await make_conversation(stores, partition=PARTITION)
    items = [build_item(str(number), PARTITION) for number in range(count)]
    for start in range(0, count, BATCH):
        await stores.conversations.add_items(conversation_id, owner=OWNER, items=items[start : start + BATCH])
    return conversation_id


async def test_a_conversation_is_read_to_where_it_stands(redis_stores: Stores, histories: Histories) -> None:
    conversation_id = await make_conversation(redis_stores, "One")
    await take_turn(redis_stores, build_draft("Two", conversation_id=conversation_id))
    await begin(redis_stores, build_draft("Three", conversation_id=conversation_id))
    assert await read(histories, InConversation(conversation_id)) == ["One", "Two", "Hi."]


async def test_a_response_is_read_with_what_it_said_and_no_further(redis_stores: Stores, histories: Histories) -> None:
    conversation_id = await make_conversation(redis_stores, "One")
    first_id = await take_turn(redis_stores, build_draft("Two", conversation_id=conversation_id))
    await take_turn(redis_stores, build_draft("Three", conversation_id=conversation_id))
    branch_id = await take_turn(redis_stores, build_draft("Four", previous_response_id=first_id))
    assert await read(histories, AfterResponse(first_id)) == ["One", "Two", "Hi."]
    assert await read(histories, AfterResponse(branch_id)) == ["One", "Two", "Hi.", "Four", "Hi."]


@pytest.mark.parametrize("count", [0, 1, ITEMS_A_SLICE, 3 * ITEMS_A_SLICE + 7])
async def test_a_history_is_read_whole_over_its_slices_and_forks(
    redis_stores: Stores, histories: Histories, count: int
) -> None:
    conversation_id = await make_long(redis_stores, count)
    numbers = [str(number) for number in range(count)]
    fork_id = await fork(redis_stores, conversation_id)
    more = build_item("more", PARTITION)
    await redis_stores.conversations.add_items(fork_id, owner=OWNER, items=[more])
    assert await read(histories, InConversation(conversation_id)) == numbers
    assert await read(histories, InConversation(fork_id)) == [*numbers, "more"]


@pytest.mark.parametrize(
    ("max_tokens", "first"),
    [(0, 20), (TOKENS_A_WORD - 1, 20), (5 * TOKENS_A_WORD, 15), (6 * TOKENS_A_WORD - 1, 15), (10_000, 0)],
)
async def test_a_history_is_read_up_to_its_tokens_newest_first(
    redis_stores: Stores, histories: Histories, max_tokens: int, first: int
) -> None:
    conversation_id = await make_long(redis_stores, 20)
    expected = [str(number) for number in range(first, 20)]
    assert await read(histories, InConversation(conversation_id), max_tokens=max_tokens) == expected


@pytest.mark.parametrize("budget", [0, 12, 40, 8_000])
async def test_it_reads_the_window_of_a_turn(redis_stores: Stores, histories: Histories, budget: int) -> None:
    conversation_id = await make_conversation(redis_stores, "One", "word " * 20, "Three", "Four")
    admitted = await admit(redis_stores, build_draft(conversation_id=conversation_id), history_tokens=budget)
    expected = words_of(admitted.window)
    assert await read(histories, InConversation(conversation_id), max_tokens=budget) == expected


async def test_a_deleted_item_is_not_read(redis_stores: Stores, histories: Histories) -> None:
    conversation_id = await make_conversation(redis_stores, "One", "Two")
    page = await redis_stores.conversations.list_items(conversation_id, owner=OWNER, limit=1, order="asc", after=None)
    await redis_stores.conversations.delete_item(conversation_id, page.first_id or "", owner=OWNER)
    assert await read(histories, InConversation(conversation_id)) == ["Two"]


async def test_what_is_kept_with_a_call_is_read(redis_stores: Stores, histories: Histories) -> None:
    call = FunctionCall(ids.new_id(ids.FUNCTION_CALL, PARTITION), "completed", "call_1", "ping", "{}", kept=["sealed"])
    conversation_id = await make_conversation(redis_stores, partition=PARTITION)
    await redis_stores.conversations.add_items(conversation_id, owner=OWNER, items=[call])
    assert await histories.read(InConversation(conversation_id), owner=OWNER, max_tokens=None) == [call]


async def test_a_history_that_is_too_long_to_be_read_at_once_is_refused(
    redis_stores: Stores, histories: Histories
) -> None:
    conversation_id = await make_long(redis_stores, MAX_ITEMS + 1)
    with pytest.raises(InvalidRequest, match="5,000 items"):
        await read(histories, InConversation(conversation_id))
    assert len(await read(histories, InConversation(conversation_id), max_tokens=20 * TOKENS_A_WORD)) == 20


@pytest.mark.parametrize("end", sorted(CONTINUABLE))
async def test_a_response_that_joined_its_history_is_read(redis_stores: Stores, histories: Histories, end: End) -> None:
    response_id = await take_turn(redis_stores, build_draft("One"), end=end)
    assert await read(histories, AfterResponse(response_id)) == ["One", "Hi."]


async def test_an_active_or_failed_response_is_refused(redis_stores: Stores, histories: Histories) -> None:
    draft, _ = await begin(redis_stores)
    failed_id = await take_turn(redis_stores, end="failed")
    for response_id in (draft.response.id, failed_id):
        with pytest.raises(ResponseNotEnded) as refused:
            await read(histories, AfterResponse(response_id))
        assert refused.value.param == "previous_response_id"


async def find_anchor(stores: Stores, fate: str) -> InConversation | AfterResponse:
    """An anchor that Alice cannot read."""
    match fate:
        case "an unknown conversation":
            return InConversation(UNKNOWN_CONVERSATION)
        case "a stranger's conversation":
            return InConversation(await make_conversation(stores, "One", owner=STRANGER))
        case "a deleted conversation":
            conversation_id = await make_conversation(stores, "One")
            await stores.conversations.delete(conversation_id, owner=OWNER)
            return InConversation(conversation_id)
        case "a response of a deleted conversation":
            conversation_id = await make_conversation(stores, "One")
            response_id = await take_turn(stores, build_draft(conversation_id=conversation_id))
            await stores.conversations.delete(conversation_id, owner=OWNER)
            return AfterResponse(response_id)
        case "an unknown response":
            return AfterResponse(UNKNOWN_RESPONSE)
    owner = STRANGER if fate == "a stranger's response" else OWNER
    draft = not_stored(build_draft()) if fate == "an unstored response" else build_draft()
    await end_turn(stores, draft, await admit(stores, draft, owner=owner), owner=owner)
    if fate == "a deleted response":
        await stores.responses.delete(draft.response.id, owner=OWNER)
    return AfterResponse(draft.response.id)


@pytest.mark.parametrize(
    "fate",
    [
        "an unknown conversation",
        "a stranger's conversation",
        "a deleted conversation",
        "an unknown response",
        "a stranger's response",
        "a deleted response",
        "an unstored response",
        "a response of a deleted conversation",
    ],
)
async def test_an_anchor_that_alice_does_not_have_is_not_found(
    redis_stores: Stores, histories: Histories, fate: str
) -> None:
    anchor = await find_anchor(redis_stores, fate)
    with pytest.raises(NotFound) as refused:
        await read(histories, anchor)
    code = "conversation_not_found" if isinstance(anchor, InConversation) else "previous_response_not_found"
    assert refused.value.code == code


async def test_reading_writes_nothing(redis_stores: Stores, histories: Histories, redis: Redis) -> None:
    response_id = await take_turn(redis_stores, build_draft("One"))
    before = set(await redis.keys())
    await read(histories, AfterResponse(response_id))
    assert set(await redis.keys()) == before
