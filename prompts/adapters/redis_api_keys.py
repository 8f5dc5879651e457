"""The published API keys in Redis: hash of the key → owner. SQL has the truth; this copy is what a request reads."""

from collections.abc import Mapping, Sequence
from typing import cast

from redis.asyncio import Redis

from prompts.adapters import redis_names as names
from prompts.adapters.redis_scripts import translated_errors
from prompts.ids import hash_key


class RedisApiKeys:
    """`ApiKeys` on Redis, and its publishing."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def find_owner(self, key: str) -> str | None:
        """See `ApiKeys.find_owner`."""
        with translated_errors():
            owner = cast("bytes | None", await self._redis.hget(names.API_KEYS, hash_key(key)))
        return None if owner is None else owner.decode()

    async def published(self) -> dict[str, str]:
        """See `ApiKeys.published`."""
        with translated_errors():
            found = cast("dict[bytes, bytes]", await self._redis.hgetall(names.API_KEYS))
        return {key.decode(): owner.decode() for key, owner in found.items()}

    async def publish(self, *, added: Mapping[str, str], removed: Sequence[str]) -> None:
        """See `ApiKeys.publish`."""
        with translated_errors():
            async with self._redis.pipeline(transaction=True) as pipeline:
                if added:
                    pipeline.hset(names.API_KEYS, items=[part for pair in added.items() for part in pair])
                if removed:
                    pipeline.hdel(names.API_KEYS, *removed)
                await pipeline.execute()
