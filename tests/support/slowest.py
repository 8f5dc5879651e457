"""How long Redis is held at most: the longest single command of some work, by its own slow log."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

# More than any piece of work here sends.
MAX_ENTRIES = 100_000
# A script may hold Redis for so long, on an idle machine.
MAX_SCRIPT_US = 10_000
# Takes about as long there, and longer where the machine is busy, as every script does.
TEN_MS_OF_WORK = "local made = {} for i = 1, 40000 do made[i] = i .. ' ' end return #made"
TRIES = 5


@dataclass(frozen=True, order=True)
class Slowest:
    """The longest command: a script with everything it does, or a plain command."""

    us: int
    command: str

    @property
    def is_script(self) -> bool:
        """Whether it is a script; a plain command does one thing."""
        return self.command.startswith("EVALSHA")


async def find_bar_us(redis: Redis) -> int:
    """How long a script may take now: what takes 10 ms on an idle machine."""
    shortest = await find_slowest(redis, lambda: redis.eval(TEN_MS_OF_WORK, 0), tries=TRIES)
    return max(MAX_SCRIPT_US, shortest[-1].us)


async def find_slowest(redis: Redis, work: Callable[[], Awaitable[Any]], *, tries: int = 1) -> list[Slowest]:
    """The longest script and the longest plain command of the work, if there are any.

    It is done several times, and each command counts with its shortest time.

    Redis measures the time that passes: a command that a busy machine interrupted once is not a long one.
    """
    await redis.config_set("slowlog-max-len", MAX_ENTRIES)
    await redis.config_set("slowlog-log-slower-than", 0)
    try:
        times = [await _time_commands(redis, work) for _ in range(tries)]
    finally:
        await redis.config_set("slowlog-log-slower-than", -1)
    shortest = {key: min(taken[key] for taken in times if key in taken) for taken in times for key in taken}
    kinds = [[taken for taken in shortest.values() if taken.is_script is wanted] for wanted in (True, False)]
    return [max(taken) for taken in kinds if taken]


async def _time_commands(redis: Redis, work: Callable[[], Awaitable[Any]]) -> dict[tuple[str, int], Slowest]:
    """What each command took, by its name and how often the same was sent before it."""
    await redis.slowlog_reset()
    await work()
    entries: Any = await redis.slowlog_get(MAX_ENTRIES)
    sent: Counter[str] = Counter()
    times: dict[tuple[str, int], Slowest] = {}
    for entry in reversed(entries):
        command = entry["command"][:100].decode(errors="replace")
        if command.startswith(("SLOWLOG", "CONFIG")):
            continue
        words = command.split()
        name = words[1] if words[0] == "EVALSHA" else words[0]
        times[name, sent[name]] = Slowest(entry["duration"], command[:60])
        sent[name] += 1
    return times
