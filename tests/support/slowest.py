"""How long Redis is held at most: the longest single command of some work, by its own slow log."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

# More than any piece of work here sends.
MAX_ENTRIES = 100_000


@dataclass(frozen=True, order=True)
class Slowest:
    """The longest command: a script with everything it does, or a plain command."""

    us: int
    command: str


async def find_slowest(redis: Redis, work: Callable[[], Awaitable[Any]], *, tries: int = 1) -> Slowest:
    """The longest command of the work; of several tries the shortest of these: the machine was busy in the others."""
    await redis.config_set("slowlog-max-len", MAX_ENTRIES)
    await redis.config_set("slowlog-log-slower-than", 0)
    try:
        return min([await _find_slowest(redis, work) for _ in range(tries)])
    finally:
        await redis.config_set("slowlog-log-slower-than", -1)


async def _find_slowest(redis: Redis, work: Callable[[], Awaitable[Any]]) -> Slowest:
    await redis.slowlog_reset()
    await work()
    entries: Any = await redis.slowlog_get(MAX_ENTRIES)
    asked = [entry for entry in entries if not entry["command"].startswith((b"SLOWLOG", b"CONFIG"))]
    longest = max(asked, key=lambda entry: entry["duration"])
    return Slowest(longest["duration"], longest["command"][:60].decode(errors="replace"))
