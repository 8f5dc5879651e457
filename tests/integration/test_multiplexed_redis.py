"""The connection that most commands share: what it saves, counted, and what it survives."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
import uvloop
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from config.redis_pools import build_pool, check_master, says_replica
from prompts.adapters.redis.multiplexed import MAX_SHARED_BYTES, MultiplexedRedis, small_pipeline
from prompts.alarms import LOOK_S
from tests.integration.test_redis_pools import (
    WRITE,
    WRITE_AS_IN_REDIS_6,
    get_port,
    name_master,
    swap,
)
from tests.support.counting import counting, counting_work
from tests.support.server_fixtures import StartValkey, StartWatchedValkeys, WatchedValkeys
from tests.support.servers import ValkeyServer, eventually

TIMEOUT_S = 1.0
MB = 1_000_000


@pytest.fixture
def own_valkey(start_valkey: StartValkey) -> ValkeyServer:
    """A Valkey to break."""
    return start_valkey()


@pytest.fixture
def watched(start_watched_valkeys: StartWatchedValkeys) -> WatchedValkeys:
    """A master and its replica to take apart."""
    return start_watched_valkeys()


@asynccontextmanager
async def open_redis(url: str, *, max_connections: int = 4) -> AsyncIterator[MultiplexedRedis]:
    """A client as the service has it."""
    redis = MultiplexedRedis(build_pool(url, max_connections=max_connections, timeout_s=TIMEOUT_S), says_replica)
    try:
        yield redis
    finally:
        await redis.aclose()


# --- what it saves ---


async def test_commands_of_one_pass_of_the_loop_leave_in_one_write(own_valkey: ValkeyServer) -> None:
    async with open_redis(own_valkey.url) as redis:
        await redis.set("count", 0)
        with counting(own_valkey) as counted:
            replies = await asyncio.gather(*(redis.hset("hash", f"{n}", n) for n in range(100)))
        assert replies == [1] * 100
        assert (counted.commands, counted.reads) == (100, 1)


async def test_a_process_has_one_connection_for_all_of_them(own_valkey: ValkeyServer) -> None:
    async with open_redis(own_valkey.url) as redis:
        with counting(own_valkey) as counted:
            await asyncio.gather(*(redis.get("nothing") for _ in range(1_000)))
        assert counted.connections == 1
        (_idle, _), (used, _) = redis.connection_pool.get_connection_count()
        assert used == 1


async def test_a_command_makes_no_task_and_no_timer(own_valkey: ValkeyServer) -> None:
    async with open_redis(own_valkey.url) as redis:
        await redis.get("nothing")
        with counting_work() as work:
            for _ in range(100):
                await redis.get("nothing")
                await redis.send("GET", "nothing")
        assert not work.tasks
        assert len(work.timers) <= 1 + TIMEOUT_S / LOOK_S  # the alarms' own, however many commands


# --- each gets its own ---


async def test_a_small_pipeline_is_one_write_on_the_same_connection(own_valkey: ValkeyServer) -> None:
    async with open_redis(own_valkey.url) as redis:
        await redis.set("text", "word")
        await redis.zadd("set", {"a": 1.5})
        with counting(own_valkey) as counted:
            pipeline = small_pipeline(redis)
            for _ in range(50):
                pipeline.get("text")
                pipeline.zrange("set", 0, 0, withscores=True)
                pipeline.zadd("text", {"a": 1})
            replies = await pipeline.execute(raise_on_error=False)
        assert (counted.commands, counted.reads) == (150, 1)
        assert replies[:2] == [b"word", [(b"a", 1.5)]] == replies[147:149]
        assert all(isinstance(reply, ResponseError) for reply in replies[2::3])
        pipeline.zadd("text", {"a": 1})
        with pytest.raises(ResponseError):
            await pipeline.execute()


async def test_each_command_gets_its_own_reply_or_error(own_valkey: ValkeyServer) -> None:
    async with open_redis(own_valkey.url) as redis:
        await redis.set("text", "Ada")
        calls: list[Any] = [
            redis.get("text"),
            redis.hgetall("text"),
            redis.zscore("scores", "x"),
            redis.hgetall("none"),
        ]
        text, wrong, score, fields = await asyncio.gather(*calls, return_exceptions=True)
        assert (text, score, fields) == (b"Ada", None, {})
        assert isinstance(wrong, ResponseError)


async def test_a_caller_that_is_cancelled_takes_nobody_elses_reply(own_valkey: ValkeyServer) -> None:
    async with open_redis(own_valkey.url) as redis:
        await redis.mset({f"{n}": n for n in range(50)})
        asked = [asyncio.ensure_future(redis.get(f"{n}")) for n in range(50)]
        await asyncio.sleep(0)
        asked[3].cancel()  # before it is written
        await asyncio.sleep(0)
        for number in range(10, 50, 2):
            asked[number].cancel()  # and after
        replies = await asyncio.gather(*asked, return_exceptions=True)
        for number, reply in enumerate(replies):
            assert isinstance(reply, asyncio.CancelledError) or reply == b"%d" % number
        assert await redis.get("7") == b"7"


async def test_a_large_command_has_a_connection_to_itself(own_valkey: ValkeyServer) -> None:
    async with open_redis(own_valkey.url) as redis:
        await redis.get("nothing")
        with counting(own_valkey) as counted:
            small, large = await asyncio.gather(redis.set("small", "x"), redis.set("large", b"x" * 16 * MB))
        assert (small, large, counted.connections) == (True, True, 1)
        replies: Any = await asyncio.gather(redis.get("small"), redis.get("large"), redis.get("small"))
        assert [len(reply) for reply in replies] == [1, 16 * MB, 1]
        with counting(own_valkey) as counted:
            await redis.set("middle", b"x" * (MAX_SHARED_BYTES - 100))
        assert counted.connections == 0


async def test_what_blocks_and_what_is_atomic_has_a_connection_to_itself(own_valkey: ValkeyServer) -> None:
    async with open_redis(own_valkey.url) as redis:
        waiting = asyncio.ensure_future(redis.blpop(["list"], timeout=0.5))
        await asyncio.sleep(0)
        async with redis.pipeline(transaction=True) as pipeline:
            await pipeline.watch("name")
            assert await redis.set("name", "Ada")
            pipeline.multi()  # type: ignore[no-untyped-call]  # redis-py has no types here
            pipeline.set("name", "Bob")
            with pytest.raises(RedisError):
                await pipeline.execute()
        assert await redis.get("name") == b"Ada"
        assert await waiting is None


# --- outages ---


async def test_a_connection_that_broke_while_idle_costs_no_error(own_valkey: ValkeyServer) -> None:
    async with open_redis(own_valkey.url) as redis:
        await redis.set("name", "Ada")
        for _ in range(2):
            with closing(BlockingRedis(port=own_valkey.port)) as admin:
                admin.client_kill_filter(_type="normal")
            assert await asyncio.gather(*(redis.get("name") for _ in range(20))) == [b"Ada"] * 20


async def test_commands_in_flight_are_sent_again_once(own_valkey: ValkeyServer) -> None:
    async with open_redis(own_valkey.url) as redis:
        await redis.get("name")
        own_valkey.freeze()
        asked = [asyncio.ensure_future(redis.incr("count")) for _ in range(3)]
        asked += [asyncio.ensure_future(redis.exists("count")) for _ in range(3)]
        await asyncio.sleep(0.1)
        own_valkey.kill()
        own_valkey.start()
        replies = await asyncio.gather(*asked, return_exceptions=True)
        assert not [reply for reply in replies if isinstance(reply, Exception)]


@pytest.mark.timed
@pytest.mark.parametrize("is_connected", [True, False])
async def test_a_redis_that_hangs_is_waited_for_no_longer_than_allowed(
    own_valkey: ValkeyServer, is_connected: bool
) -> None:
    async with open_redis(own_valkey.url) as redis, open_redis(own_valkey.url) as other:
        await (redis if is_connected else other).set("name", "Ada")
        own_valkey.freeze()
        began = time.monotonic()
        replies = await asyncio.gather(*(redis.get("name") for _ in range(20)), return_exceptions=True)
        took_s = time.monotonic() - began
        assert {type(reply) for reply in replies} == {RedisTimeoutError}
        assert TIMEOUT_S <= took_s < 2 * TIMEOUT_S + 0.5
        own_valkey.thaw()
        assert await redis.get("name") == b"Ada"


async def test_a_redis_that_is_killed_fails_at_once_and_heals(own_valkey: ValkeyServer) -> None:
    async with open_redis(own_valkey.url) as redis:
        await redis.set("name", "Ada")
        own_valkey.kill()
        for _ in range(3):
            with pytest.raises(RedisConnectionError):
                await redis.get("name")
        own_valkey.start()
        assert await redis.get("name") == b"Ada"


async def test_a_server_that_closes_at_once_is_a_lost_connection_on_uvloop_too() -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def ask(port: int) -> list[type[Any]]:
        async with open_redis(f"redis://127.0.0.1:{port}/0") as redis:
            replies: list[Any] = []
            for _ in range(20):
                replies += await asyncio.gather(redis.get("x"), redis.get("y"), return_exceptions=True)
            return [type(reply) for reply in replies]

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        kinds = await asyncio.to_thread(uvloop.run, ask(server.sockets[0].getsockname()[1]))
    assert set(kinds) == {RedisConnectionError}


async def test_a_wrong_password_is_named_as_such(start_valkey: StartValkey) -> None:
    server = start_valkey()
    with closing(BlockingRedis(port=server.port)) as admin:
        admin.acl_setuser("ada", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all"])
    async with open_redis(f"redis://ada:wrong@127.0.0.1:{server.port}/0") as redis:
        replies = await asyncio.gather(redis.get("x"), redis.get("y"), return_exceptions=True)
        assert {type(reply) for reply in replies} == {AuthenticationError}
    async with open_redis(f"redis://ada:secret@127.0.0.1:{server.port}/3") as redis:
        await redis.set("name", "Ada")
        with closing(BlockingRedis(port=server.port, db=3)) as admin:
            assert admin.get("name") == b"Ada"


async def test_closing_fails_what_has_no_reply(own_valkey: ValkeyServer) -> None:
    async with open_redis(own_valkey.url) as redis:
        await redis.get("name")
        own_valkey.freeze()
        asked = [asyncio.ensure_future(redis.get("name")) for _ in range(3)]
        await asyncio.sleep(0.05)
        unwritten = redis.send("GET", "name")
        await redis.aclose()
        replies = await asyncio.gather(*asked, unwritten, return_exceptions=True)
        assert {type(reply) for reply in replies} == {RedisConnectionError}
        with pytest.raises(RedisConnectionError):
            await redis.get("name")
        own_valkey.thaw()
    with closing(BlockingRedis(port=own_valkey.port)) as admin:
        await eventually(lambda: _is_alone(admin))


async def _is_alone(admin: BlockingRedis) -> bool:
    clients: Any = admin.client_list()
    return len(clients) == 1


async def test_closing_while_it_connects_fails_what_waits(own_valkey: ValkeyServer) -> None:
    async with open_redis(own_valkey.url) as redis:
        own_valkey.freeze()
        asked = asyncio.ensure_future(redis.get("name"))
        await asyncio.sleep(0.05)
        await redis.aclose()
        with pytest.raises(RedisConnectionError):
            await asked
        own_valkey.thaw()


# --- fail-over ---


@pytest.mark.parametrize("script", [WRITE, WRITE_AS_IN_REDIS_6], ids=["Redis 7", "Redis 6"])
async def test_a_write_at_a_demoted_master_goes_to_the_new_one_at_once(watched: WatchedValkeys, script: str) -> None:
    async with open_redis(watched.sentinel.url) as redis:
        write = redis.register_script(script)
        assert await write(keys=["count"]) == 1
        with closing(BlockingRedis(port=watched.replica.port)) as replica:
            await eventually(lambda: replica.get("count"))
        swap(watched)
        replies = await asyncio.gather(write(keys=["count"]), write(keys=["count"]))
        assert sorted(replies) == [2, 3]
        assert await get_port(redis) == watched.replica.port


@pytest.mark.parametrize("script", [WRITE, WRITE_AS_IN_REDIS_6], ids=["Redis 7", "Redis 6"])
async def test_a_demoted_server_is_left_also_without_sentinels(start_valkey: StartValkey, script: str) -> None:
    server, other = start_valkey(), start_valkey()
    async with open_redis(server.url) as redis:
        write = redis.register_script(script)
        await write(keys=["count"])
        with closing(BlockingRedis(port=server.port)) as admin:
            admin.replicaof("127.0.0.1", str(other.port))
            with counting(server) as counted, pytest.raises(RedisConnectionError):
                await write(keys=["count"])
        assert counted.connections == 1  # a new one: the host name may lead elsewhere by now


async def test_a_check_fails_at_a_demoted_master_once_and_leaves_it(watched: WatchedValkeys) -> None:
    async with open_redis(watched.sentinel.url) as redis:
        await check_master(redis)
        swap(watched)
        with pytest.raises(RedisConnectionError):
            await check_master(redis)
        await check_master(redis)
        assert await get_port(redis) == watched.replica.port


async def test_it_does_not_stay_at_the_old_master_when_another_connection_learns_of_the_new_one(
    watched: WatchedValkeys,
) -> None:
    async with open_redis(watched.sentinel.url) as redis:
        assert await get_port(redis) == watched.master.port
        name_master(watched.sentinel, watched.replica)  # the old one lives and believes it is the master
        assert await redis.ping()  # over a connection of its own
        assert await get_port(redis) == watched.replica.port


async def test_a_client_of_its_own_sees_what_the_shared_one_wrote(own_valkey: ValkeyServer) -> None:
    async with open_redis(own_valkey.url) as redis, Redis.from_url(own_valkey.url) as other:
        await redis.set("name", "Ada")
        assert await other.get("name") == b"Ada"
