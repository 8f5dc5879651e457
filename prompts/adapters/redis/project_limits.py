"""The limits of projects in Redis: a hash, owner → what is set. SQL has the truth."""

from collections.abc import Mapping
from typing import cast

import msgspec
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.scripts import translated_errors
from prompts.ports.project_limits import Limits

decode_limits = msgspec.json.Decoder(Limits).decode
_encode = msgspec.json.Encoder().encode
NOTHING_SET = Limits()


class RedisProjectLimits:
    """`ProjectLimits` on Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def published(self) -> dict[str, Limits]:
        """See `ProjectLimits.published`."""
        with translated_errors():
            found = cast("dict[bytes, bytes]", await self._redis.hgetall(keys.LIMITS))
        return {owner.decode(): decode_limits(limits) for owner, limits in found.items()}

    async def publish(self, changed: Mapping[str, Limits]) -> None:
        """See `ProjectLimits.publish`."""
        with translated_errors():
            async with self._redis.pipeline(transaction=True) as pipeline:
                for owner, limits in changed.items():
                    if limits == NOTHING_SET:
                        pipeline.hdel(keys.LIMITS, owner)
                    else:
                        pipeline.hset(keys.LIMITS, owner, _encode(limits))
                await pipeline.execute()
