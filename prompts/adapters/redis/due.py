"""What is due: members of sorted sets, one of each partition, whose score is a time that has come."""

from collections.abc import Callable, Mapping, Sequence

from redis.asyncio import Redis

from prompts.adapters.redis.multiplexed import send_together
from prompts.adapters.redis.scripts import translated_errors
from prompts.domain import ids


async def read_due(redis: Redis, name_set: Callable[[str], str], *, count: int) -> Mapping[str, Sequence[bytes]]:
    """Of each partition that has any, at most `count` members, the earliest first. Scores are milliseconds.

    The time is Redis's own, so that replicas with different clocks agree. Raises Unavailable.
    """
    partitions = ids.all_partitions()
    with translated_errors():
        seconds, micros = await redis.time()
        now_ms = seconds * 1000 + micros // 1000
        reach = ("-inf", now_ms, "BYSCORE", "LIMIT", 0, count)
        found = await send_together(redis, [("ZRANGE", name_set(partition), *reach) for partition in partitions])
    return {partition: members for partition, members in zip(partitions, found, strict=True) if members}
