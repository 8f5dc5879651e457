"""The proofs of users in Redis: a hash beside the published keys, which the script of every request reads."""

import secrets
from collections.abc import Iterable
from typing import cast

from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.scripts import translated_errors
from prompts.ports.user_proofs import UserProof


class RedisUserProofs:
    """`UserProofs` on Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def get_proof(self, owner: str) -> UserProof:
        """See `UserProofs.get_proof`."""
        with translated_errors():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hsetnx(keys.USER_PROOFS, owner, secrets.token_urlsafe(12))
                pipeline.hget(keys.USER_PROOFS, owner)
                pipeline.time()
                _, proof, (now_s, _) = await pipeline.execute()
        return UserProof(proof.decode(), now_s)

    async def list_owners(self) -> set[str]:
        """See `UserProofs.list_owners`."""
        with translated_errors():
            return {owner.decode() for owner in cast("list[bytes]", await self._redis.hkeys(keys.USER_PROOFS))}

    async def withdraw(self, owners: Iterable[str]) -> None:
        """See `UserProofs.withdraw`."""
        if gone := list(owners):
            with translated_errors():
                await self._redis.hdel(keys.USER_PROOFS, *gone)
