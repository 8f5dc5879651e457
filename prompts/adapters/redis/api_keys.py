"""The published API keys in Redis: hash of the key → owner. SQL has the truth; this copy is what a request reads."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.lua_files import Arg
from prompts.adapters.redis.scripts import Scripts, translated_errors
from prompts.domain.ids import hash_key
from prompts.errors import ClientSecretExpired
from prompts.ports.api_keys import Caller
from prompts.ports.client_secrets import ClientSecret, open_secret
from prompts.ports.sealing import Sealer


class RedisApiKeys:
    """`ApiKeys` on Redis, and its publishing."""

    def __init__(
        self,
        redis: Redis,
        *,
        requests_per_minute: int = 0,
        replica_id: str = "",
        lease_s: float = 10,
        sealer: Sealer | None = None,
    ) -> None:
        """`requests_per_minute` limits an owner's requests, over all replicas; 0 is no limit.

        What is told of running answers holds for `lease_s`. Without a sealer client secrets are not valid.
        """
        self._replica_id = replica_id
        self._lease_s = lease_s
        self._sealer = sealer
        self._redis = redis
        self._scripts = Scripts(redis)
        self._requests_per_minute = requests_per_minute

    async def find_caller(self, key: str) -> Caller | None:
        """See `ApiKeys.find_caller`."""
        secret = open_secret(key, self._sealer) if self._sealer else None
        key_hash = secret.maker if secret else hash_key(key)
        reply = await self._scripts.call(
            "owner",
            valid_key=keys.USER_PROOFS if secret and secret.is_of_user else keys.API_KEYS,
            key_hash=key_hash,
            secret_owner=secret.owner if secret else "",
            proof=secret.proof if secret else "",
            expires_at=secret.expires_at if secret else 0,
            requests_a_minute=self._requests_per_minute,
            requests_prefix=keys.REQUESTS_PREFIX,
            running_prefix=keys.RUNNING_PREFIX,
            replica_id=self._replica_id,
        )
        match reply:
            case [owner, may_ask, remaining, reset_ms, elsewhere, now_s]:
                limit = self._requests_per_minute
                caller = Caller(
                    owner.decode(),
                    bool(may_ask),
                    limit,
                    max(0, remaining),
                    reset_ms / 1000,
                    elsewhere,
                    maker=key_hash,
                    now_s=now_s,
                )
                return _narrow(caller, secret) if secret else caller
            case [_expired]:
                raise ClientSecretExpired
        return None

    async def tell_running(self, answers: Mapping[str, int]) -> None:
        """See `ApiKeys.tell_running`."""
        lease_ms = int(self._lease_s * 1000)
        calls: list[Mapping[str, Arg]] = [
            {
                "running_key": f"{keys.RUNNING_PREFIX}{owner}",
                "replica_id": self._replica_id,
                "answers": count,
                "lease_ms": lease_ms,
            }
            for owner, count in answers.items()
        ]
        await self._scripts.call_many("tell_running", calls)

    async def published(self) -> dict[str, str]:
        """See `ApiKeys.published`."""
        with translated_errors():
            found = cast("dict[bytes, bytes]", await self._redis.hgetall(keys.API_KEYS))
        return {key.decode(): owner.decode() for key, owner in found.items()}

    async def publish(self, *, added: Mapping[str, str], removed: Sequence[str]) -> None:
        """See `ApiKeys.publish`."""
        with translated_errors():
            async with self._redis.pipeline(transaction=True) as pipeline:
                if added:
                    pipeline.hset(keys.API_KEYS, items=[part for pair in added.items() for part in pair])
                if removed:
                    pipeline.hdel(keys.API_KEYS, *removed)
                await pipeline.execute()


def _narrow(caller: Caller, secret: ClientSecret) -> Caller:
    return replace(caller, scopes=secret.scopes, conversation=secret.conversation, maker=None)
