"""The allowed origins in Redis: a hash, origin → the owners who allow it. SQL has the truth."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import cast

import msgspec
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.scripts import translated_errors
from prompts.domain.origins import MAX_ORIGIN_CHARACTERS
from prompts.errors import Unavailable

_decode = msgspec.json.Decoder(frozenset[str]).decode
_encode = msgspec.json.Encoder(order="deterministic").encode

# While Redis is away a page is told so if it was allowed before: of so many origins it is remembered.
MAX_REMEMBERED = 1_000


class RedisOrigins:
    """`Origins` on Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._remembered: OrderedDict[str, frozenset[str]] = OrderedDict()
        """What was found last."""

    async def allows(self, origin: str, *, owner: str | None) -> bool:
        """See `Origins.allows`. While Redis is away: what it said last."""
        if len(origin) > MAX_ORIGIN_CHARACTERS:
            return False
        owners = await self._find_owners(origin)
        return bool(owners) if owner is None else owner in owners

    async def published(self) -> dict[str, frozenset[str]]:
        """See `Origins.published`."""
        with translated_errors():
            found = cast("dict[bytes, bytes]", await self._redis.hgetall(keys.ORIGINS))
        return {origin.decode(): _decode(owners) for origin, owners in found.items()}

    async def publish(self, changed: Mapping[str, frozenset[str]]) -> None:
        """See `Origins.publish`."""
        with translated_errors():
            async with self._redis.pipeline(transaction=True) as pipeline:
                for origin, owners in changed.items():
                    if owners:
                        pipeline.hset(keys.ORIGINS, origin, _encode(owners))
                    else:
                        pipeline.hdel(keys.ORIGINS, origin)
                await pipeline.execute()

    async def _find_owners(self, origin: str) -> frozenset[str]:
        try:
            with translated_errors():
                found = await self._redis.hget(keys.ORIGINS, origin)
        except Unavailable:
            if origin in self._remembered:
                return self._remembered[origin]
            raise
        owners = _decode(found) if found is not None else frozenset[str]()
        self._remember(origin, owners)
        return owners

    def _remember(self, origin: str, owners: frozenset[str]) -> None:
        self._remembered.pop(origin, None)
        if owners:  # anybody may send an origin that nobody allows
            self._remembered[origin] = owners
            if len(self._remembered) > MAX_REMEMBERED:
                self._remembered.popitem(last=False)
