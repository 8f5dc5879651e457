"""Pages of a sorted set: the members behind one cursor and before another."""

from typing import Any, Literal, Protocol

from redis.asyncio import Redis

from prompts.adapters.redis.scripts import translated_errors
from prompts.errors import NotFound


class UnknownCursor(Protocol):
    """The refusal of a cursor that is not in the set."""

    def __call__(self, cursor: str, /, *, param: str) -> NotFound: ...


async def list_members(
    redis: Redis,
    key: str,
    *,
    limit: int,
    order: Literal["asc", "desc"],
    after: str | None,
    before: str | None,
    unknown: UnknownCursor,
) -> tuple[list[str], bool]:
    """At most `limit` members in the order asked for, and whether there are more.

    With `before` alone, those right before it; with both, those right behind `after`. Raises NotFound, Unavailable.
    """
    first, last = 0, None
    if after is not None:
        first = await find_rank(redis, key, after, order, unknown(after, param="after")) + 1
    if before is not None:
        last = await find_rank(redis, key, before, order, unknown(before, param="before")) - 1
        if after is None:
            first = max(0, last - limit)
        if last < first:
            return [], False
    reach = first + limit if last is None else min(first + limit, last)
    with translated_errors():
        found: Any = await redis.zrange(key, first, reach, desc=order == "desc")
    members = [member.decode() for member in found]
    if len(members) <= limit:
        return members, False
    return (members[1:] if after is None and before is not None else members[:limit]), True


async def find_rank(redis: Redis, key: str, member: str, order: Literal["asc", "desc"], error: NotFound) -> int:
    """The member's place in the order, from 0. Raises the error where it is not in the set, Unavailable."""
    with translated_errors():
        rank: Any = await (redis.zrevrank(key, member) if order == "desc" else redis.zrank(key, member))
    if rank is None:
        raise error
    return int(rank)
