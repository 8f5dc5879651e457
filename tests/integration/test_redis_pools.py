"""The connection pools: bounded, waiting, and never at a demoted master."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from typing import Any

import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from config.redis_pools import build_pool, check_master
from prompts.adapters.redis import keys
from prompts.adapters.redis.nudges import Nudges
from prompts.domain import ids
from tests.support.processes import find_free_ports
from tests.support.server_fixtures import StartValkey, StartWatchedValkeys, WatchedValkeys
from tests.support.servers import SentinelServer, ValkeyServer, eventually

WRITE = "return redis.call('INCR', KEYS[1])"
# Before Redis 7, a script's error is a part of a longer message.
WRITE_AS_IN_REDIS_6 = """
local reply = redis.pcall('INCR', KEYS[1])
if type(reply) == 'number' then return reply end
return redis.error_reply('ERR Error running script (call to f_0): @user_script:1: @user_script: 1: -' .. reply.err)
"""
TIMEOUT_S = 2.0


@pytest.fixture
def watched(start_watched_valkeys: StartWatchedValkeys) -> WatchedValkeys:
    """A master and its replica for each test, because the test takes them apart."""
    return start_watched_valkeys()


@asynccontextmanager
async def open_redis(url: str, *, max_connections: int = 4) -> AsyncIterator[Redis]:
    """A client as the service has it."""
    redis = Redis.from_pool(build_pool(url, max_connections=max_connections, timeout_s=TIMEOUT_S))
    try:
        yield redis
    finally:
        await redis.aclose()


async def has_busy_connection(redis: Redis) -> bool:
    """Whether a command waits for its answer."""
    return bool(redis.connection_pool._in_use_connections)


async def get_port(redis: Redis) -> int:
    """The port of the server that answers."""
    return int((await redis.info("server"))["tcp_port"])


def swap(watched: WatchedValkeys) -> None:
    """Exchange master and replica by hand. Unlike Sentinel, this closes no client's connection."""
    with closing(BlockingRedis(port=watched.replica.port)) as replica:
        replica.replicaof("NO", "ONE")
    with closing(BlockingRedis(port=watched.master.port)) as master:
        master.replicaof("127.0.0.1", str(watched.replica.port))
    name_master(watched.sentinel, watched.replica)


def name_master(sentinel: SentinelServer, master: ValkeyServer) -> None:
    """Have the Sentinel call this server the master."""
    with closing(BlockingRedis(port=sentinel.port)) as client:
        client.sentinel_remove(sentinel.service)
        client.sentinel_monitor(sentinel.service, "127.0.0.1", master.port, 1)


@pytest.mark.parametrize("kind", ["one server", "Sentinel"])
async def test_a_full_pool_waits_for_a_free_connection(watched: WatchedValkeys, kind: str) -> None:
    url = watched.sentinel.url if kind == "Sentinel" else watched.master.url
    async with open_redis(url, max_connections=1) as redis:
        holding = asyncio.ensure_future(redis.blpop(["nothing"], timeout=1))
        await eventually(lambda: has_busy_connection(redis))
        began = time.monotonic()
        assert await redis.ping()
        assert time.monotonic() - began > 0.5
        assert await holding is None


@pytest.mark.parametrize("script", [WRITE, WRITE_AS_IN_REDIS_6], ids=["Redis 7", "Redis 6"])
async def test_a_write_at_a_demoted_master_goes_to_the_new_one_at_once(watched: WatchedValkeys, script: str) -> None:
    async with open_redis(watched.sentinel.url) as redis:
        write = redis.register_script(script)
        assert await write(keys=["count"]) == 1
        with closing(BlockingRedis(port=watched.replica.port)) as replica:
            await eventually(lambda: replica.get("count"))
        swap(watched)
        assert await write(keys=["count"]) == 2
        assert await get_port(redis) == watched.replica.port


async def test_a_pipeline_at_a_demoted_master_goes_to_the_new_one_at_once(watched: WatchedValkeys) -> None:
    async with open_redis(watched.sentinel.url) as redis:
        await redis.set("name", "Ada")
        swap(watched)
        pipeline = redis.pipeline(transaction=False)
        pipeline.get("name")
        pipeline.set("name", "Bob")
        assert (await pipeline.execute())[1] is True
        assert await get_port(redis) == watched.replica.port


@pytest.mark.parametrize("script", [WRITE, WRITE_AS_IN_REDIS_6], ids=["Redis 7", "Redis 6"])
async def test_a_demoted_server_is_left_also_without_sentinels(start_valkey: StartValkey, script: str) -> None:
    server, other = start_valkey(), start_valkey()
    async with open_redis(server.url) as redis:
        write = redis.register_script(script)
        await write(keys=["count"])
        client_id = await redis.client_id()
        await redis.replicaof("127.0.0.1", str(other.port))
        with pytest.raises(RedisConnectionError):
            await write(keys=["count"])
        assert await redis.client_id() != client_id  # a new connection: the host name may lead elsewhere by now


async def test_a_check_fails_at_a_demoted_master_once_and_leaves_it(watched: WatchedValkeys) -> None:
    async with open_redis(watched.sentinel.url) as redis:
        await check_master(redis)
        swap(watched)
        with pytest.raises(RedisConnectionError):
            await check_master(redis)
        await check_master(redis)
        assert await get_port(redis) == watched.replica.port


async def test_a_check_without_permission_for_the_role_accepts_any_answer(start_valkey: StartValkey) -> None:
    server = start_valkey()
    async with open_redis(server.url) as redis:
        await redis.acl_setuser("default", commands=["-info"])
        await check_master(redis)
        server.kill()
        with pytest.raises(RedisConnectionError):
            await check_master(redis)


async def test_a_connection_in_use_does_not_stay_at_the_old_master(watched: WatchedValkeys) -> None:
    async with open_redis(watched.sentinel.url) as redis:
        asked = asyncio.ensure_future(redis.blpop(["nothing"], timeout=1))
        await eventually(lambda: has_busy_connection(redis))
        name_master(watched.sentinel, watched.replica)  # the old one lives and believes it is the master
        assert await get_port(redis) == watched.replica.port
        with suppress(RedisError):  # a moment later it reaches the new one, which is still a replica
            await asked
        ports = await asyncio.gather(get_port(redis), get_port(redis), get_port(redis))
        assert set(ports) == {watched.replica.port}


async def test_a_subscription_does_not_stay_at_the_old_master(watched: WatchedValkeys) -> None:
    response_id = ids.new_id(ids.RESPONSE, ids.new_partition())
    async with (
        open_redis(watched.sentinel.url) as redis,
        open_nudges(redis) as nudges,
        nudges.watch(response_id) as watch,
    ):
        assert await watch.wait(5)
        name_master(watched.sentinel, watched.replica)
        await redis.connection_pool.disconnect(inuse_connections=False)
        assert await get_port(redis) == watched.replica.port

        async def is_nudged() -> bool:
            await redis.publish(keys.log_channel(response_id), "1")
            return await watch.wait(0.1)

        await eventually(is_nudged, within_s=5)


@asynccontextmanager
async def open_nudges(redis: Redis) -> AsyncIterator[Nudges]:
    """A running subscription."""
    nudges = Nudges(redis, ids.new_id(ids.REPLICA, ids.new_partition()))
    listening = asyncio.create_task(nudges.listen(lambda _id, _epoch: None))
    try:
        yield nudges
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        await nudges.close()


@pytest.mark.timed
async def test_one_sentinel_of_several_is_enough(watched: WatchedValkeys) -> None:
    away = find_free_ports(2)
    hosts = ",".join(f"127.0.0.1:{port}" for port in [*away, watched.sentinel.port])
    async with open_redis(f"redis+sentinel://{hosts}/{watched.sentinel.service}") as redis:
        began = time.monotonic()
        await redis.ping()
        assert time.monotonic() - began < 1
        watched.sentinel.kill()
        await redis.ping()  # the Sentinels are asked only when a connection is made
        await redis.connection_pool.disconnect()
        with pytest.raises(RedisConnectionError):
            await redis.ping()


async def test_many_connections_ask_the_sentinels_together(watched: WatchedValkeys) -> None:
    async with open_redis(watched.sentinel.url, max_connections=20) as redis:
        await asyncio.gather(*(redis.blpop(["nothing"], timeout=1) for _ in range(20)))
        assert len(redis.connection_pool._available_connections) == 20
        with closing(BlockingRedis(port=watched.sentinel.port)) as sentinel:
            clients: Any = sentinel.info("clients")
        assert clients["connected_clients"] == 2  # the pool's connection and this one
