"""Many and large items: they come in slices, Redis is held for milliseconds, and nothing of them is left behind."""

import asyncio
from functools import partial
from typing import Any, Literal, cast

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.compactions import RedisCompactions
from prompts.adapters.redis.echoes import MIN_SHORTENED_BYTES, read_echo
from prompts.adapters.redis.histories import RedisHistories
from prompts.adapters.redis.items import decode_item
from prompts.adapters.redis.response_store import HISTORY_BYTES, RedisResponseStore, Retention
from prompts.adapters.redis.scripts import read_fields
from prompts.adapters.redis.staging import Staging
from prompts.domain import ids
from prompts.domain.anchors import AfterResponse, InConversation
from prompts.domain.items import FunctionCall, FunctionCallOutput, InputImage, Item, Message
from prompts.domain.responses import CompactedHistory
from prompts.domain.tools import FunctionTool
from prompts.domain.usage import Usage
from prompts.errors import BodyTooLarge, HistoryTooDeep, StaleRun, UnknownCall
from prompts.ports.pages import MAX_PAGE_BYTES
from prompts.ports.responses import Attached, Claim, Draft, Seized
from prompts.run.sweeping import erase_due
from prompts.usecases.conversations import delete_conversation
from prompts.usecases.items import StoredItem, build_items
from tests.support import builders
from tests.support.builders import (
    RetryingRedis,
    Stores,
    admit,
    build_draft,
    build_item,
    commit,
    lose_lease,
    make_conversation,
    open_stores,
    take_turn,
)
from tests.support.slowest import TRIES, Slowest, find_bar_us, find_slowest

OWNER = "alice"
PARTITION = "05"
MANY = 250
# One value of 10 MB: 1 to 2 ms, unless the machine is short of memory and must find it first.
MAX_PLAIN_US = 50_000
IMAGE_BYTES = 9_000_000
# What Redis holds of "hi" and its answer once the log has expired.
MAX_TURN_BYTES = 5_000


def build_many(count: int = MANY, *, name: str = "Item") -> list[Item]:
    return [build_item(f"{name} {number}", PARTITION) for number in range(count)]


def build_image(size: int = IMAGE_BYTES) -> Message:
    """A message of few tokens and many bytes."""
    image = InputImage("data:image/png;base64," + "A" * size, "low")
    return Message(ids.new_id(ids.MESSAGE, PARTITION), "completed", "user", [image])


def with_input(draft: Draft, *items: Item) -> Draft:
    return builders.replace_input(draft, items)


async def take_large_turn(stores: Stores, items: list[Item], **anchor: Any) -> str:
    """A turn whose input is many items. Returns the response's id."""
    draft = with_input(build_draft(**anchor), *items)
    await commit(stores, await admit(stores, draft), *draft.input)
    return draft.response.id


async def read_all(stores: Stores, conversation_id: str, order: Literal["asc", "desc"] = "asc") -> list[str]:
    """The ids of the conversation's items, page by page."""
    found: list[str] = []
    after = None
    while True:
        page = await stores.conversations.list_items(conversation_id, owner=OWNER, limit=100, order=order, after=after)
        found += [decode_item(item).id for item in page.data]
        after = page.last_id
        if not page.has_more:
            return found


async def find_left(redis: Redis) -> list[str]:
    """All keys except those that expire by themselves."""
    return [key.decode() async for key in redis.scan_iter(count=1000) if await redis.ttl(key) < 0]


def list_ids(items: list[Item]) -> list[str]:
    return [item.id for item in items]


async def test_many_items_stand_in_a_conversation_as_few_do(redis: Redis, stores: Stores) -> None:
    conversation_id = ids.new_id(ids.CONVERSATION, PARTITION)
    first, second, third = build_many(), build_many(), build_many()
    await stores.conversations.create(conversation_id, owner=OWNER, metadata={}, items=first)
    await stores.conversations.add_items(conversation_id, owner=OWNER, items=second)
    response_id = await take_large_turn(stores, third, conversation_id=conversation_id)
    last = build_item("Last", PARTITION)
    await stores.conversations.add_items(conversation_id, owner=OWNER, items=[last])
    all_ids = await read_all(stores, conversation_id)
    assert all_ids[: 3 * MANY] == list_ids([*first, *second, *third])
    assert all_ids[-1] == last.id
    assert await read_all(stores, conversation_id, "desc") == all_ids[::-1]
    assert await stores.conversations.get_item(conversation_id, second[7].id, owner=OWNER)
    assert await stores.conversations.find_items([third[7].id], owner=OWNER) == [third[7]]
    window = (await admit(stores, build_draft(previous_response_id=response_id))).window
    assert [item.id for item in window][-2] == third[-1].id
    fork_id = ids.new_id(ids.CONVERSATION, PARTITION)
    await stores.conversations.fork(fork_id, conversation_id, owner=OWNER, side="after", item_id=second[3].id)
    assert await read_all(stores, fork_id) == list_ids([*first, *second[:4]])
    await stores.conversations.delete_item(conversation_id, second[3].id, owner=OWNER)
    assert second[3].id not in await read_all(stores, conversation_id)
    await delete_conversation(conversation_id, owner=OWNER, store=stores.conversations, eraser=stores.eraser)
    assert await find_left(redis) == []


async def test_many_items_of_a_chain_and_its_branches_are_erased_with_it(redis: Redis, stores: Stores) -> None:
    first = await take_large_turn(stores, build_many(), partition=PARTITION)
    items = build_many()
    second = await take_large_turn(stores, items, previous_response_id=first)
    branch = await take_large_turn(stores, build_many(), previous_response_id=first)
    last = await take_turn(stores, previous_response_id=second)
    history = await RedisHistories(redis).read(AfterResponse(last), owner=OWNER, max_tokens=None)
    assert [item.id for item in history][MANY + 1 : 2 * MANY + 1] == list_ids(items)
    for response_id in (first, second, branch, last):
        await stores.responses.delete(response_id, owner=OWNER)
    await erase_due(stores.eraser)
    assert await find_left(redis) == []


async def test_what_never_joined_a_history_is_erased(redis: Redis, stores: Stores) -> None:
    staged = await Staging(redis).prepare([*build_many(), build_image(100_000)], PARTITION)
    assert await find_left(redis) != []
    assert list(await stores.eraser.list_due()) == []
    await redis.zadd(keys.expiry(PARTITION), {f"chain:{staged.staged}": 1})
    await erase_due(stores.eraser)
    assert await find_left(redis) == []


async def test_what_is_refused_is_erased_at_once_and_of_anothers_conversation_nothing_is_written(
    redis: Redis, stores: Stores
) -> None:
    conversation_id = await make_conversation(stores, partition=PARTITION)
    kept = set(await find_left(redis))
    output = FunctionCallOutput(ids.new_id("fco", PARTITION), "completed", "call_1", "")
    with pytest.raises(UnknownCall):
        await stores.conversations.add_items(
            conversation_id, owner=OWNER, items=[*build_many(), output], unanswered=["call_1"]
        )
    await erase_due(stores.eraser)
    assert set(await find_left(redis)) == kept
    await redis.config_resetstat()
    with pytest.raises(Exception, match="not found"):
        await stores.conversations.add_items(conversation_id, owner="bob", items=build_many())
    assert "cmdstat_xadd" not in await redis.info("commandstats")


async def test_those_who_add_at_once_all_add(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, partition=PARTITION)
    batches = [build_many(name=name) for name in ("One", "Two")]
    await asyncio.gather(
        *(stores.conversations.add_items(conversation_id, owner=OWNER, items=items) for items in batches)
    )
    found = await read_all(stores, conversation_id)
    assert sorted(found) == sorted(list_ids([*batches[0], *batches[1]]))


async def test_the_same_calls_again_change_nothing(redis: Redis) -> None:
    stores = open_stores(RetryingRedis.of(redis))
    conversation_id = await make_conversation(stores, *map(str, range(MANY)), partition=PARTITION)
    await stores.conversations.add_items(conversation_id, owner=OWNER, items=build_many())
    await take_large_turn(stores, build_many(), conversation_id=conversation_id)
    assert len(await read_all(stores, conversation_id)) == 3 * MANY + 1


async def test_calls_of_a_large_input_are_found(stores: Stores) -> None:
    conversation_id = await make_conversation(stores, partition=PARTITION)
    call = FunctionCall(ids.new_id("fc", PARTITION), "completed", "call_1", "f", "{}")
    await stores.conversations.add_items(conversation_id, owner=OWNER, items=[call, *build_many()])
    output = FunctionCallOutput(ids.new_id("fco", PARTITION), "completed", "call_1", "")
    await stores.conversations.add_items(conversation_id, owner=OWNER, items=[output], unanswered=["call_1"])


async def test_a_large_turn_ends_once_whoever_ends_it(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One", partition=PARTITION)
    draft = with_input(build_draft(conversation_id=conversation_id), *build_many())
    admitted = await admit(stores, draft)
    await lose_lease(redis, draft.response.id)
    seized = await stores.responses.seize(draft.response.id, owner=None, lease_s=60)
    assert isinstance(seized, Seized)
    assert list(seized.input) == list(draft.input)
    with pytest.raises(StaleRun):
        await commit(stores, admitted, *draft.input)
    assert len(await read_all(stores, conversation_id)) == 1


async def test_a_history_of_too_many_pieces_takes_no_more_large_inputs_but_small_ones(
    redis: Redis, stores: Stores
) -> None:
    conversation_id = await make_conversation(stores, "One", partition=PARTITION)
    await stores.conversations.add_items(conversation_id, owner=OWNER, items=build_many())
    [timeline] = await read_fields(redis, keys.conversation(conversation_id), ["timeline"])
    await redis.hset(keys.timeline_meta((timeline or b"").decode()), "depth", "256")
    with pytest.raises(HistoryTooDeep):
        await stores.conversations.add_items(conversation_id, owner=OWNER, items=build_many())
    with pytest.raises(HistoryTooDeep):
        await take_large_turn(stores, build_many(), conversation_id=conversation_id)
    await take_turn(stores, conversation_id=conversation_id)


# --- bytes ---


async def test_a_window_is_bounded_in_bytes(redis: Redis, stores: Stores) -> None:
    first = await take_large_turn(stores, [build_image()], partition=PARTITION)
    second = await take_large_turn(stores, [build_image()], previous_response_id=first)
    draft = build_draft(previous_response_id=second)
    admitted = await admit(stores, draft)
    assert len(admitted.window) == 3  # an answer, an image, an answer
    assert (admitted.model_input.history_items, admitted.model_input.dropped_items) == (3, 1)
    await lose_lease(redis, draft.response.id)
    seized = await stores.responses.seize(draft.response.id, owner=None, lease_s=60)
    assert isinstance(seized, Seized)
    assert list(seized.window) == list(admitted.window)
    assert HISTORY_BYTES < 2 * IMAGE_BYTES


async def test_a_page_is_bounded_in_bytes_and_has_one_item_at_least(stores: Stores) -> None:
    sizes = [10, 60_000, 100_000, MAX_PAGE_BYTES + 1, 70_000, 10]
    items: list[Item] = [build_image(size) for size in sizes]
    conversation_id = ids.new_id(ids.CONVERSATION, PARTITION)
    await stores.conversations.create(conversation_id, owner=OWNER, metadata={}, items=items)
    list_page = stores.conversations.list_items
    page = await list_page(conversation_id, owner=OWNER, limit=100, order="asc", after=None)
    assert (len(page.data), page.last_id, page.has_more) == (3, items[2].id, True)
    page = await list_page(conversation_id, owner=OWNER, limit=100, order="asc", after=page.last_id)
    assert (len(page.data), page.has_more) == (1, True)
    assert await read_all(stores, conversation_id, "desc") == list_ids(items)[::-1]
    draft = with_input(build_draft(partition=PARTITION), *items)
    await admit(stores, draft)
    given = await stores.notes.list_input(draft.response.id, owner=OWNER, limit=100, order="asc", after=None)
    assert (len(given.data), given.has_more) == (3, True)


async def test_an_item_that_is_named_again_and_again_counts_again_and_again(stores: Stores) -> None:
    image = build_image(3_000_000)
    await make_conversation(stores, partition=PARTITION)
    await take_large_turn(stores, [image], partition=PARTITION)
    for times, is_taken in ((3, True), (4, False)):
        named = [StoredItem(image.id, f"input[{number}].id") for number in range(times)]
        building = build_items(named, PARTITION, owner=OWNER, conversations=stores.conversations, files=cast(Any, None))
        if is_taken:
            assert len(await building) == times
        else:
            with pytest.raises(BodyTooLarge):
                await building


async def test_many_large_items_are_not_read_to_find_that_they_are_too_many(redis: Redis, stores: Stores) -> None:
    items: list[Item] = [build_image(3_000_000) for _ in range(3)]
    for item in [*items, build_image(3_000_000)]:
        await take_large_turn(stores, [item], partition=PARTITION)
    extra = build_image(3_000_000)
    await take_large_turn(stores, [extra], partition=PARTITION)
    await redis.config_resetstat()
    with pytest.raises(BodyTooLarge):
        await stores.conversations.find_items([*list_ids(items), extra.id], owner=OWNER)
    assert (await redis.info("stats"))["total_net_output_bytes"] < 10_000


# --- the longest command ---


@pytest.mark.long
async def test_no_script_is_long_whatever_a_request_brings(redis: Redis, stores: Stores) -> None:
    """3 ms at most on an idle machine; a whole input of 10 MB, and 5,000 items, held Redis for 80 to 150 ms."""
    tool = FunctionTool(name="f", description="x" * IMAGE_BYTES, parameters={}, strict=False)
    inputs: dict[str, list[Item]] = {"many": build_many(5_000), "large": [build_image()]}
    compactions = RedisCompactions(redis, retention_s=3600)
    bar_us = await find_bar_us(redis)

    async def make(items: list[Item]) -> None:
        few = items[:1_000]
        conversation_id = ids.new_id(ids.CONVERSATION, PARTITION)
        await stores.conversations.create(conversation_id, owner=OWNER, metadata={}, items=few)
        more = [replace(item, id=ids.new_id(ids.MESSAGE, PARTITION)) for item in few]
        await stores.conversations.add_items(conversation_id, owner=OWNER, items=more)
        given: list[Item] = [replace(item, id=ids.new_id(ids.MESSAGE, PARTITION)) for item in items]
        response_id = await take_large_turn(stores, given, conversation_id=conversation_id)
        kept: list[Item] = [replace(item, id=ids.new_id(ids.MESSAGE, PARTITION)) for item in items]
        compacted = CompactedHistory(
            id=ids.new_id(ids.RESPONSE, PARTITION), created_at=1, output=kept, usage=Usage(1, 2, 3)
        )
        await compactions.keep(compacted, kept, Claim(body_hash="x"), owner=OWNER, anchor=None)
        for public_id in (response_id, compacted.id):
            await take_turn(stores, previous_response_id=public_id)
            await stores.notes.list_input(public_id, owner=OWNER, limit=100, order="desc", after=None)
        await stores.conversations.list_items(conversation_id, owner=OWNER, limit=100, order="desc", after=None)
        await stores.notes.find_follow_ups(response_id, owner=OWNER, history_tokens=8000)
        await RedisHistories(redis).read(InConversation(conversation_id), owner=OWNER, max_tokens=8000)
        await stores.responses.get(response_id, owner=OWNER)
        fork_id = ids.new_id(ids.CONVERSATION, PARTITION)
        await stores.conversations.fork(fork_id, conversation_id, owner=OWNER, side=None, item_id="")
        await stores.responses.delete(response_id, owner=OWNER)
        await delete_conversation(conversation_id, owner=OWNER, store=stores.conversations, eraser=stores.eraser)

    async def ask_with_a_large_tool() -> None:
        draft = build_draft(partition=PARTITION)
        response = replace(draft.response, tools=[tool])
        draft = builders.replace_request(
            builders.replace_response(draft, response), replace(draft.model_request, tools=[tool])
        )
        await admit(stores, draft)
        await lose_lease(redis, draft.response.id)
        assert isinstance(await stores.responses.seize(draft.response.id, owner=None, lease_s=60), Seized)

    def check(name: str, slowest: list[Slowest]) -> None:
        print("\n", name, slowest)  # noqa: T201 -- prints the measurement
        assert all(taken.us < (bar_us if taken.is_script else MAX_PLAIN_US) for taken in slowest)

    for name, items in inputs.items():
        check(name, await find_slowest(redis, partial(make, items), tries=TRIES))
    check("a tool", await find_slowest(redis, ask_with_a_large_tool, tries=TRIES))


async def test_a_large_request_that_attaches_leaves_nothing(redis: Redis) -> None:
    stores = RedisResponseStore(redis, replica_id="rep_1", retention=Retention(log_s=60, history_s=60))
    claim = Claim(body_hash="x", idempotency_key="key")
    drafts = [with_input(build_draft(partition=PARTITION, claim=claim), build_image()) for _ in range(2)]
    _, again = [await stores.admit(draft, owner=OWNER, history_tokens=8000, lease_s=60) for draft in drafts]
    assert isinstance(again, Attached)
    assert await redis.exists(keys.response(drafts[1].response.id)) == 0
    assert await redis.ttl(keys.response(drafts[0].response.id)) < 0


async def test_what_only_the_run_needs_goes_when_it_ends(redis: Redis, stores: Stores) -> None:
    tool = FunctionTool(name="f", description="x" * 100_000, parameters={}, strict=False)
    draft = build_draft(partition=PARTITION)
    draft = builders.replace_request(draft, replace(draft.model_request, tools=[tool], user="Ada"))
    admitted = await admit(stores, draft)
    await commit(stores, admitted, *draft.input)
    [request, later] = await read_fields(redis, keys.response(draft.response.id), ["model_request", "later_request"])
    assert request is not None
    assert b'"user":"Ada"' in request
    assert (len(request) < 2_000, later) == (True, None)


async def test_a_turn_that_says_little_keeps_little(redis: Redis, stores: Stores) -> None:
    """13 KB were kept of each, for thirty days."""
    ended = [await take_turn(stores, partition=PARTITION)]
    ended.append(await take_turn(stores, previous_response_id=ended[0]))
    sizes = {
        key.decode(): await redis.memory_usage(key, samples=0) or 0
        async for key in redis.scan_iter(count=1000)
        if await redis.ttl(key) < 0
    }
    print(sizes)  # noqa: T201 -- prints the measurement
    assert sum(sizes.values()) < 2 * MAX_TURN_BYTES


async def test_what_the_result_says_as_well_stands_there_alone(redis: Redis, stores: Stores) -> None:
    tool = FunctionTool(name="f", description="x" * 100_000, parameters={}, strict=False)
    draft = build_draft(partition=PARTITION)
    echo = replace(draft.response, instructions="Be brief. " * 10_000, tools=[tool])
    draft = replace(draft, response=echo)
    admitted = await admit(stores, draft)
    assert await read_echo(redis, echo.id, owner=OWNER) == admitted.response
    await commit(stores, admitted, *draft.input)
    [kept] = await read_fields(redis, keys.response(echo.id), ["echo"])
    assert kept is not None
    assert len(kept) < MIN_SHORTENED_BYTES
    assert await read_echo(redis, echo.id, owner=OWNER) == admitted.response


async def test_items_stay_where_they_are_when_their_response_is_ended_again(redis: Redis, stores: Stores) -> None:
    draft = with_input(build_draft(partition=PARTITION), *build_many())
    admitted = await admit(stores, draft)
    item = draft.input[7]
    staged = await Staging(redis).prepare(draft.input, PARTITION)  # by a try that died before its commit
    for _ in range(2):
        await commit(stores, admitted, *draft.input)
    await redis.zadd(keys.expiry(PARTITION), {f"chain:{staged.staged}": 1})
    await erase_due(stores.eraser)
    assert await stores.conversations.find_items([item.id], owner=OWNER) == [item]
