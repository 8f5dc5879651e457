"""A replica whose Redis answers and refuses writes is not ready, and is again as soon as Redis takes them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from config.connections import build_checks
from config.redis_pools import build_pool, says_replica
from health.probes import Readiness
from prompts.adapters.redis.multiplexed import MultiplexedRedis
from tests.support.server_fixtures import StartValkey
from tests.support.servers import ValkeyServer, eventually

FOREVER = "while true do end"


@pytest.fixture
def valkey_to_break(start_valkey: StartValkey) -> ValkeyServer:
    """A Valkey that saves, as one that can fail to."""
    return start_valkey(arguments=("--save", "3600 1", "--busy-reply-threshold", "50"))


@pytest.fixture
async def admin(valkey_to_break: ValkeyServer) -> AsyncIterator[Redis]:
    """Who breaks it."""
    async with Redis.from_url(valkey_to_break.url, socket_timeout=30) as client:
        yield client


@pytest.fixture
async def redis(valkey_to_break: ValkeyServer) -> AsyncIterator[Redis]:
    """The client of a replica."""
    pool = build_pool(valkey_to_break.url, max_connections=4, timeout_s=2.0)
    async with MultiplexedRedis(pool, says_replica) as client:
        yield client


async def tell(admin: Redis, command: str) -> None:
    """Send a command as it is written."""
    await admin.execute_command(*command.split())  # type: ignore[no-untyped-call]  # redis-py has no types here


async def is_ready(redis: Redis) -> bool:
    """What the next probe says."""
    readiness = Readiness(build_checks(redis, None), required=["redis"], timeout_s=2.0)
    readiness.mark_started()
    return (await readiness.report()).is_ready


@pytest.mark.parametrize(
    ("says", "breaking", "repairing"),
    [
        ("NOREPLICAS|good replicas", "CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
        ("the server is a replica", "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
        ("used memory", "CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
    ],
)
async def test_a_server_that_refuses_writes_is_not_ready(
    redis: Redis, admin: Redis, says: str, breaking: str, repairing: str
) -> None:
    assert await is_ready(redis)
    await tell(admin, breaking)
    with pytest.raises(RedisError, match=says):
        await redis.set("eps:{0}:something", 1)
    assert await admin.ping()
    assert not await is_ready(redis)
    await tell(admin, repairing)
    assert await is_ready(redis)


async def test_a_server_that_cannot_save_is_not_ready(
    redis: Redis, admin: Redis, valkey_to_break: ValkeyServer
) -> None:
    in_the_way = valkey_to_break.directory / "dump.rdb"
    in_the_way.mkdir()  # the file cannot be moved here
    await admin.bgsave()
    await eventually(lambda: _says_it_cannot_save(admin))
    assert not await is_ready(redis)
    in_the_way.rmdir()
    await admin.bgsave()
    await eventually(lambda: is_ready(redis))


async def _says_it_cannot_save(admin: Redis) -> bool:
    return bool((await admin.info("persistence"))["rdb_last_bgsave_status"] == "err")


async def test_a_server_that_is_stuck_in_a_script_is_not_ready(redis: Redis, admin: Redis) -> None:
    assert await is_ready(redis)
    stuck: asyncio.Future[Any] = asyncio.ensure_future(admin.eval(FOREVER, 0))
    await eventually(lambda: _is_unready(redis))
    async with Redis(connection_pool=redis.connection_pool) as other:
        await other.script_kill()
    with pytest.raises(RedisError):
        await stuck
    assert await eventually(lambda: is_ready(redis))


async def _is_unready(redis: Redis) -> bool:
    return not await is_ready(redis)
