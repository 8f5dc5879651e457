"""Settings sanity that only the running Redis can tell: `manage.py verify_startup` asks for it, under stable ids.

A managed Redis may refuse `CONFIG GET`: what cannot be seen is not complained of.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.core import checks
from redis.asyncio import Redis
from redis.exceptions import ResponseError

MIN_VERSION = (6, 2)
# A certificate or a token of the model's server may not hold for a machine whose clock is further off than this.
MAX_SKEW_S = 2.0


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """What a Redis says of itself; None where it does not say."""

    version: str | None
    maxmemory: str | None
    maxmemory_policy: str | None
    appendonly: str | None
    skew_s: float
    """How far its clock is from ours."""


async def read_facts(redis: Redis) -> RedisFacts:
    """Raises redis-py's errors when it cannot be reached."""
    server = await redis.info("server")
    before = time.time()
    seconds, micros = await redis.time()
    after = time.time()
    config = await _read_config(redis, "maxmemory", "maxmemory-policy", "appendonly")
    return RedisFacts(
        version=server.get("redis_version"),
        maxmemory=config.get("maxmemory"),
        maxmemory_policy=config.get("maxmemory-policy"),
        appendonly=config.get("appendonly"),
        skew_s=max(before - (seconds + micros / 1e6), (seconds + micros / 1e6) - after, 0.0),
    )


def judge(facts: RedisFacts) -> list[checks.CheckMessage]:
    """What is wrong with it."""
    return list(_judge(facts))


def _judge(facts: RedisFacts) -> Iterator[checks.CheckMessage]:
    if facts.version is not None and _parse(facts.version) < MIN_VERSION:
        hint = "Upgrade it: Redis or Valkey, 6.2 or newer."
        yield checks.Error(f"Redis is {facts.version}.", hint=hint, id="eps.E101")
    if facts.maxmemory_policy not in (None, "noeviction"):
        hint = "Set maxmemory-policy to noeviction: an evicted key is a conversation lost."
        yield checks.Error(f"Redis evicts keys ({facts.maxmemory_policy}).", hint=hint, id="eps.E102")
    if facts.appendonly == "no":
        hint = "Set appendonly to yes; without a log a restart of Redis loses conversations."
        yield checks.Warning("Redis has no append-only file.", hint=hint, id="eps.W101")
    if facts.maxmemory == "0":
        hint = "Set maxmemory below the memory that it has: then new runs are refused before the system ends it."
        yield checks.Warning("Redis has no limit of memory.", hint=hint, id="eps.W102")
    if facts.skew_s > MAX_SKEW_S:
        hint = "Set both clocks by NTP. Leases use the clock of Redis alone; times that people see use both."
        yield checks.Warning(f"The clock of Redis is {facts.skew_s:.1f} s off.", hint=hint, id="eps.W103")


async def _read_config(redis: Redis, *names: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    try:
        for name in names:
            found |= {_text(key or ""): _text(value or "") for key, value in (await redis.config_get(name)).items()}
    except ResponseError:
        return {}
    return found


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _parse(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
