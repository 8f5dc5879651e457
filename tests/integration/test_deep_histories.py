"""Histories in many pieces, forks of forks and branches of branches: Redis is held for milliseconds by none of them."""

from typing import Any, Literal

import httpx
import pytest
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.scripts import read_fields
from prompts.answer.events import encode
from prompts.domain import ids
from prompts.domain.items import FunctionCallOutput
from prompts.errors import HistoryTooDeep, UnknownCall
from prompts.history.calls import MAX_EARLIER_CALLS
from tests.support.builders import Stores, build_item, make_conversation, take_turn
from tests.support.slowest import find_slowest

# `MAX_DEPTH` of lua/parts/timelines.lua.
MAX_DEPTH = 256
PARTITION = "05"
# As many as Redis keeps in a small hash, which it walks.
CALLS_A_TIMELINE = 500
# It is 5 ms at most on an idle machine.
MAX_US = 10_000


async def fork(stores: Stores, origin: str) -> str:
    """Fork a conversation, and add an item to the fork."""
    fork_id = ids.new_id(ids.CONVERSATION, PARTITION)
    await stores.conversations.fork(fork_id, origin, owner="alice", side=None, item_id="")
    await stores.conversations.add_items(fork_id, owner="alice", items=[build_item("More", PARTITION)])
    return fork_id


async def make_deep(redis: Redis, stores: Stores) -> str:
    """A conversation on as many timelines as may be, as an older release has written them: without their depth."""
    deepest = await make_conversation(stores, "One", partition=PARTITION)
    timeline = await get_timeline(redis, keys.conversation(deepest))
    made: dict[Any, Any] = dict.fromkeys((f"call_of_old_{number}" for number in range(CALLS_A_TIMELINE)), "1")
    pipeline = redis.pipeline(transaction=False)
    for number in range(MAX_DEPTH - 2, -1, -1):
        parent = f"tl_{number}"
        said = build_item(f"Item {number}", PARTITION)
        item: dict[Any, Any] = {"k": said.id, "i": encode(said), "t": 4}
        pipeline.xadd(f"{keys.prefix(PARTITION)}tl:{parent}", item, id=f"{number + 1}-0")
        pipeline.hset(f"{keys.prefix(PARTITION)}tl:{parent}:calls", mapping=made)
        link: dict[Any, Any] = {"parent": parent, "parent_position": number + 1}
        pipeline.hset(f"{keys.prefix(PARTITION)}tl:{timeline}:meta", mapping=link)
        timeline = parent
    await pipeline.execute()
    timeline = await get_timeline(redis, keys.conversation(deepest))
    await redis.hset(f"{keys.prefix(PARTITION)}tl:{timeline}:meta", "length", str(MAX_DEPTH))
    await redis.hset(keys.conversation(deepest), "head", str(MAX_DEPTH))
    await redis.xtrim(f"{keys.prefix(PARTITION)}tl:{timeline}", maxlen=0)
    return deepest


async def get_timeline(redis: Redis, key: str) -> str:
    """The timeline of a conversation, or a response."""
    [timeline] = await read_fields(redis, key, ["timeline"])
    assert timeline is not None
    return timeline.decode()


async def test_forks_of_forks_end_and_none_of_their_scripts_is_long(redis: Redis, stores: Stores) -> None:
    deepest = await make_deep(redis, stores)
    await stores.conversations.add_items(deepest, owner="alice", items=[build_item("More", PARTITION)])
    with pytest.raises(HistoryTooDeep):
        await fork(stores, deepest)
    call_ids = [f"call_{number}" for number in range(MAX_EARLIER_CALLS)]

    async def refuse() -> None:
        outputs = [FunctionCallOutput(f"fco_{call_id}", "completed", call_id, "") for call_id in call_ids]
        with pytest.raises(UnknownCall):
            await stores.conversations.add_items(deepest, owner="alice", items=outputs, unanswered=call_ids)

    async def read() -> None:
        orders: tuple[Literal["asc", "desc"], ...] = ("asc", "desc")
        for order in orders:
            page = await stores.conversations.list_items(deepest, owner="alice", limit=100, order=order, after=None)
            assert len(page.data) == 100

    slowest = [await find_slowest(redis, work, tries=5) for work in (refuse, read)]
    print(slowest)  # noqa: T201 -- prints the measurement
    assert max(slowest).us < MAX_US
    await stores.conversations.add_items(deepest, owner="alice", items=[build_item("More", PARTITION)])
    await take_turn(stores, conversation_id=deepest)


async def test_branches_of_branches_end_where_they_would_fork_and_go_on_where_they_would_not(
    redis: Redis, stores: Stores
) -> None:
    first = await take_turn(stores, partition=PARTITION)
    tip = await take_turn(stores, previous_response_id=first)
    await set_depth(redis, tip, MAX_DEPTH)
    tip = await take_turn(stores, previous_response_id=tip)
    with pytest.raises(HistoryTooDeep):
        await take_turn(stores, previous_response_id=first)
    # Two turns at once from the tip: the second one forks when it is committed, and nothing goes on from there.
    await set_depth(redis, tip, MAX_DEPTH + 1)
    with pytest.raises(HistoryTooDeep):
        await take_turn(stores, previous_response_id=tip)


async def set_depth(redis: Redis, response_id: str, depth: int) -> None:
    """Say that the timeline of a response stands on so many."""
    timeline = await get_timeline(redis, keys.response(response_id))
    await redis.hset(f"{keys.prefix(PARTITION)}tl:{timeline}:meta", "depth", str(depth))


async def test_a_branch_of_a_branch_keeps_its_depth(redis: Redis, stores: Stores) -> None:
    root = await take_turn(stores, partition=PARTITION)
    await take_turn(stores, previous_response_id=root)
    for expected in (b"2", b"3"):
        other = await take_turn(stores, previous_response_id=root)
        timeline = await get_timeline(redis, keys.response(other))
        assert await redis.hget(f"{keys.prefix(PARTITION)}tl:{timeline}:meta", "depth") == expected
        root = other
        await take_turn(stores, previous_response_id=root)


async def test_many_outputs_of_earlier_calls_are_refused_and_outputs_of_one_call_are_one(
    http: httpx.AsyncClient,
) -> None:
    def outputs(*call_ids: str) -> list[dict[str, str]]:
        return [{"type": "function_call_output", "call_id": call_id, "output": ""} for call_id in call_ids]

    many = outputs(*(f"call_{number}" for number in range(MAX_EARLIER_CALLS + 1)))
    same = outputs(*["call_1"] * 5_000)
    conversation = (await http.post("/v1/conversations", json={})).json()["id"]
    refused = await http.post("/v1/responses", json={"input": many, "conversation": conversation})
    assert (refused.status_code, "several requests" in refused.json()["error"]["message"]) == (400, True)
    unknown = await http.post("/v1/responses", json={"input": same, "conversation": conversation})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "input[0].call_id")
    added = await http.post(f"/v1/conversations/{conversation}/items", json={"items": many})
    assert added.status_code == 400
