"""The caller of a key is looked up once a second, where Redis need not count; a revoked key is refused within it."""

import asyncio
import time
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis

from prompts.adapters.redis.api_keys import RedisApiKeys
from prompts.adapters.redis.keys import LIMITS, REQUESTS_PREFIX, RUNNING_PREFIX
from prompts.adapters.remembered_keys import BEGUN_MEANWHILE, KEPT_S, MAX_AHEAD, MAX_KEPT, RememberedApiKeys
from prompts.domain.ids import hash_key, hash_narrowed_key
from prompts.ports.api_keys import NarrowedKey
from prompts.ports.token_meter import TokenLimits
from tests.contract.port_turns import OWNER

KEY = "a key of Alice's"


@dataclass
class Clock:
    """A monotonic clock that a test sets."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Process:
    """The keys as a process has them, and its clock."""

    redis: Redis
    keys: RememberedApiKeys
    clock: Clock = field(default_factory=Clock)

    async def count_calls(self) -> int:
        """How many scripts the server has run so far."""
        stats = await self.redis.info("commandstats")
        return int(stats.get("cmdstat_evalsha", {}).get("calls", 0))


async def open_process(
    redis: Redis, *, requests_per_minute: int = 0, tokens_per_minute: int = 0, owner_places_in_all: int = 0
) -> Process:
    """A process that has not been asked yet; the key is published."""
    limits = TokenLimits(tokens_per_minute, 0)
    opened = RedisApiKeys(redis, requests_per_minute=requests_per_minute, token_limits=limits, replica_id="here")
    await opened.publish(added={hash_key(KEY): OWNER}, removed=[])
    assert await opened.find_caller("loads the script") is None
    clock = Clock()
    keys = RememberedApiKeys(opened, owner_places_in_all=owner_places_in_all, read_clock=clock)
    return Process(redis, keys, clock)


async def count_lookups(process: Process, key: str = KEY, *, times: int = 3) -> int:
    """How many scripts it takes to find the caller so often."""
    before = await process.count_calls()
    for _ in range(times):
        caller = await process.keys.find_caller(key)
        assert caller is not None
    return await process.count_calls() - before


async def test_requests_within_a_second_are_one_lookup(redis: Redis) -> None:
    process = await open_process(redis)
    assert await count_lookups(process) == 1
    process.clock.now += KEPT_S - 0.01
    assert await count_lookups(process) == 0
    process.clock.now += 0.01
    assert await count_lookups(process) == 1


async def test_a_revoked_key_is_refused_within_a_second_at_every_replica(redis: Redis) -> None:
    await open_process(redis)
    here, there = [RememberedApiKeys(RedisApiKeys(redis)) for _ in range(2)]
    for keys in (here, there):
        assert await keys.find_caller(KEY) is not None
    await RedisApiKeys(redis).publish(added={}, removed=[hash_key(KEY)])
    revoked_at = time.monotonic()
    for keys in (here, there):
        while await keys.find_caller(KEY) is not None:
            assert time.monotonic() < revoked_at + KEPT_S, "the key opens something after a second"
            await asyncio.sleep(0.01)


async def test_a_process_that_revokes_a_key_itself_refuses_it_at_once(redis: Redis) -> None:
    process = await open_process(redis)
    assert await process.keys.find_caller(KEY) is not None
    await process.keys.publish(added={}, removed=[hash_key(KEY)])
    assert await process.keys.find_caller(KEY) is None


async def test_a_new_key_works_at_once(redis: Redis) -> None:
    process = await open_process(redis)
    assert await process.keys.find_caller("a new key") is None
    await RedisApiKeys(redis).publish(added={hash_key("a new key"): OWNER}, removed=[])
    assert await process.keys.find_caller("a new key") is not None


@pytest.mark.parametrize("limit", ["requests_per_minute", "tokens_per_minute"])
async def test_who_has_a_limit_is_counted_at_every_request(redis: Redis, limit: str) -> None:
    assert await count_lookups(await open_process(redis, **{limit: 100})) == 3


async def test_so_is_who_has_one_of_their_own(redis: Redis) -> None:
    await redis.hset(LIMITS, OWNER, b'{"requests_per_minute": 100}')
    assert await count_lookups(await open_process(redis)) == 3


async def test_of_a_busy_key_requests_are_counted_ahead(redis: Redis) -> None:
    process = await open_process(redis, requests_per_minute=30_000)
    assert await count_lookups(process, times=1000) < 40
    counted = await redis.zcard(f"{REQUESTS_PREFIX}{OWNER}")
    assert 1000 <= counted <= 1000 + MAX_AHEAD
    caller = await process.keys.find_caller(KEY)
    assert caller is not None
    assert caller.remaining == 30_000 - 1001, "those that have not come yet are not taken from the client"


async def test_what_was_counted_ahead_holds_for_a_second(redis: Redis) -> None:
    process = await open_process(redis, requests_per_minute=30_000)
    await count_lookups(process, times=100)
    process.clock.now += KEPT_S
    assert await count_lookups(process, times=1) == 1
    process.clock.now += 3 * KEPT_S
    assert await count_lookups(process, times=3) == 3, "a key that was quiet is counted by itself again"


async def test_counting_ahead_exceeds_no_limit_and_wastes_little_of_it(redis: Redis) -> None:
    replicas = [await open_process(redis, requests_per_minute=500) for _ in range(4)]
    answers = [await replicas[turn % 4].keys.find_caller(KEY) for turn in range(1500)]
    served = sum(caller is not None and caller.may_ask for caller in answers)
    assert served <= 500
    assert served >= 450


async def test_of_requests_at_once_one_counts_ahead(redis: Redis) -> None:
    process = await open_process(redis, requests_per_minute=30_000)
    await count_lookups(process, times=60)
    before = await redis.zcard(f"{REQUESTS_PREFIX}{OWNER}")
    assert all(await asyncio.gather(*(process.keys.find_caller(KEY) for _ in range(100))))
    assert await redis.zcard(f"{REQUESTS_PREFIX}{OWNER}") - before <= 100 + MAX_AHEAD


@pytest.mark.parametrize("narrowed", [NarrowedKey(OWNER, ("read",)), NarrowedKey(OWNER, expires_at=2**40)])
async def test_keys_that_open_less_are_looked_up_at_every_request(redis: Redis, narrowed: NarrowedKey) -> None:
    process = await open_process(redis)
    await process.keys.publish_narrowed(added={hash_narrowed_key("narrow"): narrowed}, removed=[])
    assert await count_lookups(process, "narrow") == 3


@pytest.mark.parametrize(("elsewhere", "lookups"), [(1, 1), (2, 3)])
async def test_an_owner_near_the_limit_of_answers_is_looked_up_too(redis: Redis, elsewhere: int, lookups: int) -> None:
    far_off_ms = int(time.time() * 1000) + 60_000
    await redis.hset(f"{RUNNING_PREFIX}{OWNER}", "there", f"{elsewhere} {far_off_ms}")
    assert await count_lookups(await open_process(redis, owner_places_in_all=BEGUN_MEANWHILE + 1)) == lookups


async def test_few_are_remembered(redis: Redis) -> None:
    process = await open_process(redis)
    others = [f"key {number}" for number in range(MAX_KEPT)]
    await process.keys.publish(added={hash_key(key): OWNER for key in others}, removed=[])
    for key in (KEY, *others):
        assert await process.keys.find_caller(key) is not None
    assert await count_lookups(process, others[-1]) == 0
    assert await count_lookups(process) == 1
