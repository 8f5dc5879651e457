"""The one writer of a process: how few calls, tasks and timers it makes, and that each run gets its own answer."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import closing
from typing import Any

import pytest
from msgspec.structs import replace
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from structlog.testing import capture_logs

from prompts.adapters.redis import keys
from prompts.adapters.redis.append_queue import FULL_GROUPS_A_S, LARGE_CALL, MAX_GROUPS, RATE_OVER_S
from prompts.adapters.redis.multiplexed import MultiplexedRedis
from prompts.domain import ids
from prompts.domain.responses import ConversationRef
from prompts.domain.signals import Text, pack
from prompts.errors import BrokenRecord, StaleRun, StorageFull, TailLost, Unavailable
from prompts.ports.event_log import Group
from tests.support.builders import (
    Stores,
    admit,
    build_draft,
    build_group,
    commit,
    make_conversation,
    open_redis,
    open_stores,
    replace_response,
    write,
)
from tests.support.counting import counting, counting_work
from tests.support.sample_turn import LAST_OPENING_NUMBER
from tests.support.server_fixtures import StartValkey
from tests.support.servers import ValkeyServer, eventually

LEASE_S = 10.0
# What counts is counted, too.
COUNTING = ("config|resetstat", "info")
BUSY = int(2 * FULL_GROUPS_A_S * RATE_OVER_S)


@pytest.fixture
def server(start_valkey: StartValkey) -> ValkeyServer:
    """A Valkey to count at, and to break."""
    return start_valkey(appendfsync="no")


@pytest.fixture
async def redis(server: ValkeyServer) -> AsyncIterator[MultiplexedRedis]:
    """A client of it."""
    async with open_redis(server.url) as client:
        yield client


async def begin(stores: Stores, count: int) -> list[str]:
    """The ids of so many active responses."""
    return [(await admit(stores, build_draft())).response.id for _ in range(count)]


def append(
    stores: Stores, response_id: str, number: int = 1, *, epoch: str = "1", is_urgent: bool = False
) -> asyncio.Future[None]:
    """Hand the word of that number to the writer."""
    after = LAST_OPENING_NUMBER + number - 1
    group = Group(after, after + 1, pack([Text(f"word {number}")]))
    return stores.responses.append(response_id, group, epoch=epoch, lease_s=LEASE_S, is_urgent=is_urgent)


async def append_all(stores: Stores, response_id: str, numbers: Iterable[int]) -> None:
    """Write the words of these numbers, in one call."""
    await asyncio.gather(*(append(stores, response_id, number) for number in numbers))


async def make_busy(stores: Stores, response_id: str) -> int:
    """Write so much that writes keep their distance from now on; the number of the last word."""
    await append_all(stores, response_id, range(1, BUSY + 1))
    return BUSY


async def count_entries(redis: Redis, response_id: str) -> int:
    """Groups in a log, without the opening."""
    return int(await redis.xlen(keys.event_log(response_id))) - 1


# --- how few ---


async def test_groups_of_one_pass_are_written_in_one_call_and_one_round_trip(
    server: ValkeyServer, redis: Redis, stores: Stores
) -> None:
    responses = await begin(stores, 40)
    await append(stores, responses[0])
    with counting(server) as counted, counting_work() as work:
        await asyncio.gather(
            *(append(stores, response_id, 2 - (response_id != responses[0])) for response_id in responses)
        )
    assert (counted.calls["evalsha"], counted.reads, counted.calls["xadd"]) == (1, 1, 40)
    assert not work.tasks
    assert [await count_entries(redis, response_id) for response_id in responses] == [2, *[1] * 39]


async def test_a_call_does_not_take_long_however_many_groups_there_are(server: ValkeyServer, stores: Stores) -> None:
    responses = await begin(stores, 1)
    await append(stores, responses[0])
    with counting(server) as counted:
        await asyncio.gather(*(append(stores, responses[0], number) for number in range(2, 3 * MAX_GROUPS + 2)))
    assert counted.calls["evalsha"] == 3


async def test_what_arrives_while_a_call_is_awaited_goes_together(server: ValkeyServer, stores: Stores) -> None:
    responses = await begin(stores, 30)
    await append(stores, responses[0])
    with counting(server) as counted:
        first = append(stores, responses[0], 2)
        await asyncio.sleep(0)
        others = [append(stores, response_id) for response_id in responses[1:10]]
        await asyncio.sleep(0)
        others += [append(stores, response_id) for response_id in responses[10:]]
        await asyncio.gather(first, *others)
    assert counted.calls["evalsha"] == 2


async def test_while_much_is_going_on_calls_keep_a_distance(server: ValkeyServer, stores: Stores) -> None:
    responses = await begin(stores, LARGE_CALL)  # a call of one less is not large
    await make_busy(stores, responses[0])
    with counting(server) as counted, counting_work() as work:
        waiting = []
        for response_id in responses[1:]:
            waiting.append(append(stores, response_id))
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)
    assert counted.calls["evalsha"] <= 2  # the first one may find that the last call is long ago
    assert not work.tasks
    assert len(work.timers) <= 2  # the distance's, and maybe the alarms'


async def test_a_large_call_keeps_no_distance(server: ValkeyServer, stores: Stores) -> None:
    responses = await begin(stores, LARGE_CALL + 1)
    await make_busy(stores, responses[0])
    with counting(server) as counted, counting_work() as work:
        waiting = [append(stores, response_id) for response_id in responses[1:]]
        timers = len(work.timers)
        await asyncio.gather(*waiting)
        assert len(work.timers) <= timers + 1  # the alarms' own
    assert counted.calls["evalsha"] == 1


async def test_what_is_urgent_does_not_wait_and_takes_the_others_along(server: ValkeyServer, stores: Stores) -> None:
    responses = await begin(stores, 3)
    await make_busy(stores, responses[0])
    with counting(server) as counted, counting_work() as work:
        waiting = append(stores, responses[1])
        timers = len(work.timers)
        await append(stores, responses[2], is_urgent=True)
        assert waiting.done()
        assert len(work.timers) <= timers + 1  # the alarms' own
    assert counted.calls["evalsha"] == 1


async def test_what_is_urgent_does_not_wait_for_a_reply_either(server: ValkeyServer, stores: Stores) -> None:
    responses = await begin(stores, 2)
    await append(stores, responses[0])
    with counting(server) as counted:
        first = append(stores, responses[0], 2)
        await asyncio.sleep(0)
        urgent = append(stores, responses[1], is_urgent=True)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not first.done()
        await asyncio.gather(first, urgent)
    assert counted.calls["evalsha"] == 2


async def test_a_word_is_one_look_and_two_writes(server: ValkeyServer, stores: Stores) -> None:
    other, response_id = await begin(stores, 2)
    await append(stores, other)  # Redis knows the script from now on
    with counting(server) as counted:
        await append_all(stores, response_id, range(1, 21))
    commands = {name: calls for name, calls in counted.calls.items() if name not in COUNTING}
    # The lease is seen to, and whoever watches is told, with the first one alone.
    assert commands == {"evalsha": 1, "hmget": 20, "xadd": 20, "hset": 20, "time": 1, "zadd": 1, "publish": 1}


async def test_a_lease_is_renewed_after_something_went_wrong(redis: Redis, stores: Stores) -> None:
    [response_id] = await begin(stores, 1)
    leases_key = keys.leases(ids.get_partition(response_id))
    await append(stores, response_id)
    with pytest.raises(TailLost):
        await append(stores, response_id, 9)
    await redis.zadd(leases_key, {response_id: 1})  # lost, too
    await append(stores, response_id, 2)
    assert (await redis.zscore(leases_key, response_id) or 0) > 1


async def has_no_subscribers(redis: Redis, response_id: str) -> bool:
    [(_, count)] = await redis.pubsub_numsub(keys.log_channel(response_id))
    return int(count) == 0


async def test_a_log_that_is_watched_tells_of_each_word(server: ValkeyServer, redis: Redis, stores: Stores) -> None:
    [response_id] = await begin(stores, 1)
    async with redis.pubsub() as watcher:
        await watcher.subscribe(keys.log_channel(response_id))
        await append(stores, response_id)
        await append_all(stores, response_id, range(2, 12))
        heard = [await watcher.get_message(ignore_subscribe_messages=True, timeout=1) for _ in range(12)]
    assert [message["data"] for message in heard if message] == [
        b"%d" % (LAST_OPENING_NUMBER + n) for n in range(1, 12)
    ]
    await eventually(lambda: has_no_subscribers(redis, response_id))
    await append(stores, response_id, 12)  # nobody hears it
    with counting(server) as counted:
        await append_all(stores, response_id, range(13, 20))
    assert counted.calls.get("publish", 0) <= 1  # maybe some time has passed


async def test_what_is_urgent_is_told_in_any_case(server: ValkeyServer, stores: Stores) -> None:
    [response_id] = await begin(stores, 1)
    await append(stores, response_id)
    with counting(server) as counted:
        await append(stores, response_id, 2, is_urgent=True)
    assert counted.calls["publish"] == 1


async def test_a_turn_is_admitted_written_and_ended_in_a_round_trip_each(server: ValkeyServer, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "Earlier")

    async def take_turn() -> None:
        draft = build_draft(conversation_id=conversation_id)
        draft = replace_response(draft, replace(draft.response, conversation=ConversationRef(conversation_id)))
        admitted = await admit(stores, draft)
        narration = await write(stores, admitted, "One ", "two ")
        await commit(stores, admitted, *draft.input, narration=narration)

    await take_turn()  # Redis knows the scripts from now on
    with counting(server) as counted:
        await take_turn()
    # The list of conversations is touched in the same write as the commit.
    assert (counted.calls["evalsha"], counted.reads) == (5, 4)


# --- each its own answer ---


async def test_each_run_gets_its_own_answer(stores: Stores, redis: Redis) -> None:
    good, stale, behind, other = await begin(stores, 4)
    answers = await asyncio.gather(
        append(stores, good),
        append(stores, stale, epoch="2"),
        append(stores, behind, 5),
        append(stores, other),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [type(None), StaleRun, TailLost, type(None)]
    assert isinstance(answers[2], TailLost)
    assert answers[2].last_number == LAST_OPENING_NUMBER
    assert [await count_entries(redis, response_id) for response_id in (good, stale, behind, other)] == [1, 0, 0, 1]


async def test_a_log_says_itself_where_it_ends_when_its_response_does_not(stores: Stores, redis: Redis) -> None:
    admitted = await admit(stores, build_draft())
    response_id = admitted.response.id
    narration = await write(stores, admitted, "one ", "two ")
    end = narration.next_number - 1
    groups = [build_group(narration, [Text(word)]) for word in ("three ", "four ")]

    async def hand(group: Group) -> None:
        """Write a group behind what a later release has written, which does not note the end."""
        await redis.hdel(keys.response(response_id), "logged")
        await stores.responses.append(response_id, group, epoch="1", lease_s=LEASE_S)

    with pytest.raises(TailLost) as lost:
        await hand(groups[1])
    assert lost.value.last_number == end
    for group in (groups[0], groups[0], groups[1], groups[0]):
        await hand(group)
    assert await count_entries(redis, response_id) == 4
    await hand(replace(groups[1], packed=b""))
    await commit(stores, admitted, narration=narration)
    assert await redis.hget(keys.response(response_id), "status") == b"completed"


async def test_the_end_of_a_log_is_noted_for_the_last_release(stores: Stores, redis: Redis) -> None:
    [response_id] = await begin(stores, 1)
    await append_all(stores, response_id, range(1, 4))
    assert await redis.hget(keys.response(response_id), "logged") == b"%d" % (LAST_OPENING_NUMBER + 3)


async def test_a_broken_record_is_no_matter_of_the_others(stores: Stores, redis: Redis) -> None:
    responses = await begin(stores, 5)
    await redis.delete(keys.response(responses[2]))
    await redis.set(keys.response(responses[2]), "no hash")
    answers = await asyncio.gather(*(append(stores, name) for name in responses), return_exceptions=True)
    assert isinstance(answers.pop(2), BrokenRecord)
    assert answers == [None] * 4
    del responses[2]
    assert [await count_entries(redis, response_id) for response_id in responses] == [1] * 4


async def test_a_caller_that_is_cancelled_does_not_disturb_the_others(stores: Stores, redis: Redis) -> None:
    responses = await begin(stores, 4)
    asked = [append(stores, response_id) for response_id in responses]
    asked[0].cancel()
    await asyncio.sleep(0)
    asked[1].cancel()
    await asyncio.gather(*asked[2:])
    assert [await count_entries(redis, response_id) for response_id in responses[2:]] == [1, 1]
    assert await count_entries(redis, responses[0]) == 0


async def test_a_caller_that_fails_at_what_it_is_told_does_not_disturb_the_others(stores: Stores) -> None:
    first, second = await begin(stores, 2)
    group = Group(LAST_OPENING_NUMBER, LAST_OPENING_NUMBER + 1, pack([Text("word")]))

    def fail(_: BaseException | None) -> None:
        raise AssertionError("a mistake of ours")

    with capture_logs() as logs:
        stores.responses.hand(first, group, epoch="1", lease_s=LEASE_S, tell=fail)
        await append(stores, second)
    await append(stores, second, 2)
    assert [line["response_id"] for line in logs if line["event"] == "append_not_told"] == [first]


async def test_a_server_that_has_lost_the_script_is_given_it_again(stores: Stores, redis: Redis) -> None:
    responses = await begin(stores, 3)
    await redis.script_flush()
    await asyncio.gather(*(append(stores, response_id) for response_id in responses))
    assert [await count_entries(redis, response_id) for response_id in responses] == [1] * 3


async def test_a_full_and_an_absent_store_are_told_to_everybody(
    server: ValkeyServer, stores: Stores, redis: Redis
) -> None:
    responses = await begin(stores, 3)
    await redis.config_set("maxmemory", 1)
    answers = await asyncio.gather(*(append(stores, name) for name in responses), return_exceptions=True)
    assert {type(answer) for answer in answers} == {StorageFull}
    await redis.config_set("maxmemory", 0)
    server.kill()
    answers = await asyncio.gather(*(append(stores, name) for name in responses), return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unavailable}
    server.start()
    await asyncio.gather(*(append(stores, response_id) for response_id in responses))


async def test_groups_that_a_restart_catches_in_flight_are_written_once(
    server: ValkeyServer, stores: Stores, redis: Redis
) -> None:
    responses = await begin(stores, 3)
    server.freeze()
    asked = [append(stores, response_id) for response_id in responses]
    await asyncio.sleep(0.05)
    with closing(BlockingRedis(port=server.port)):
        server.kill()
        server.start()
    await asyncio.gather(*asked)
    await asyncio.gather(*(append(stores, response_id) for response_id in responses))
    assert [await count_entries(redis, response_id) for response_id in responses] == [1] * 3


async def test_a_server_with_slots_gets_a_call_a_partition(start_valkey: StartValkey) -> None:
    server = start_valkey(arguments=("--cluster-enabled", "yes"))
    with closing(BlockingRedis(port=server.port)) as admin:
        admin.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16_383)  # type: ignore[no-untyped-call]  # redis-py has no types here

        async def is_up() -> bool:
            info: Any = admin.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]  # redis-py has no types here
            return bool(info["cluster_state"] == "ok")

        await eventually(is_up)
    async with open_redis(server.url) as redis:
        stores = open_stores(redis)
        responses = await begin(stores, 20)
        await asyncio.gather(*(append(stores, response_id) for response_id in responses))
        partitions = {ids.get_partition(response_id) for response_id in responses}
        with counting(server) as counted:
            await asyncio.gather(*(append(stores, response_id, 2) for response_id in responses))
        assert counted.calls["evalsha"] == len(partitions)
        assert [await count_entries(redis, response_id) for response_id in responses] == [2] * 20


async def test_a_client_without_a_shared_connection_writes_all_the_same(server: ValkeyServer) -> None:
    async with Redis.from_url(server.url) as redis:
        stores = open_stores(redis)
        responses = await begin(stores, 3)
        await asyncio.gather(*(append(stores, response_id) for response_id in responses))
        assert [await count_entries(redis, response_id) for response_id in responses] == [1] * 3
