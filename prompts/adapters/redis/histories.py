"""Whole histories in Redis, read in slices, so that a long one delays no other client."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.anchors import AnchorPlace, find_place
from prompts.adapters.redis.items import decode_item, find_large, read_large
from prompts.adapters.redis.restored import call_restored
from prompts.adapters.redis.scripts import Scripts
from prompts.domain import ids
from prompts.domain.anchors import AfterResponse, InConversation
from prompts.domain.items import Item
from prompts.errors import InvalidRequest, response_not_ended
from prompts.ports.restoring import NO_RESTORER, Restorer

# A slice is read in about a millisecond.
ITEMS_A_SLICE = 200
# As many as one request may bring (docs/api.md, "Limits"); a history of more is not one to be read at once.
MAX_ITEMS = 5_000
# Four times what one request may bring. It is in memory several times over until the summary is made.
MAX_BYTES = 40 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Slice:
    """Items with their tokens, newest first, and where the next slice begins; at no timeline when this was the last."""

    items: Sequence[tuple[bytes, int]]
    timeline: bytes
    position: int


BEGINNING = Slice([], b"", 0)


class RedisHistories:
    """`Histories` on Redis."""

    def __init__(self, redis: Redis, *, restorer: Restorer = NO_RESTORER) -> None:
        self._redis = redis
        self._restorer = restorer
        self._scripts = Scripts(redis)

    async def read(
        self, anchor: InConversation | AfterResponse, *, owner: str, max_tokens: int | None
    ) -> Sequence[Item]:
        """See `Histories.read`."""
        return await call_restored(self._restorer, anchor.id, owner, partial(self._read, anchor, owner, max_tokens))

    async def _read(self, anchor: InConversation | AfterResponse, owner: str, max_tokens: int | None) -> Sequence[Item]:
        place = find_place(anchor)
        left = math.inf if max_tokens is None else max_tokens
        newest_first: list[bytes] = []
        size = 0
        last = BEGINNING
        while last is BEGINNING or last.timeline:
            last = await self._read_slice(place, owner, after=last)
            for item, tokens in last.items:
                left -= tokens
                size += large.size if (large := find_large(item)) else len(item)
                if left < 0 or (size > MAX_BYTES and max_tokens is not None):
                    return await self._decode(newest_first)
                newest_first.append(item)
            if len(newest_first) > MAX_ITEMS or size > MAX_BYTES:
                most = f"{MAX_ITEMS:,} items, or {MAX_BYTES // 1024**2} MB,"
                raise InvalidRequest(f"This history has more than the {most} that can be read at once.")
        return await self._decode(newest_first)

    async def _decode(self, newest_first: Sequence[bytes]) -> Sequence[Item]:
        return [decode_item(item) for item in reversed(await read_large(self._redis, newest_first, is_whole=True))]

    async def _read_slice(self, place: AnchorPlace, owner: str, *, after: Slice) -> Slice:
        reply = await self._scripts.call(
            "read_history",
            anchor_key=place.key,
            prefix=keys.prefix(ids.get_partition(place.id)),
            owner=owner,
            anchor_kind=place.kind,
            timeline=after.timeline,
            position=after.position,
            max_cost=ITEMS_A_SLICE,
        )
        match reply:
            case [b"ok", timeline, position, *found]:
                return Slice(list(zip(found[::2], found[1::2], strict=True)), timeline, position)
            case [b"not_ended", status]:
                raise response_not_ended(place.id, status.decode())
        raise place.unknown
