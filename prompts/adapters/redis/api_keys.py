"""The published API keys in Redis: hash of the key → owner. SQL has the truth; this copy is what a request reads.

Keys that open less than everything, or for a time only, are published apart, and under another hash of theirs.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
from msgspec.structs import replace
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.lua_files import Arg
from prompts.adapters.redis.scripts import Scripts, translated_errors
from prompts.domain.ids import hash_key, hash_narrowed_key
from prompts.errors import ClientSecretExpired, InvalidApiKey
from prompts.ports.api_keys import Caller, NarrowedKey
from prompts.ports.client_secrets import ALL_SCOPES, ClientSecret, Scope, open_secret
from prompts.ports.sealing import Sealer
from prompts.ports.token_meter import NO_TOKEN_LIMITS, TokenLimits, TokensLeft

encode = msgspec.json.Encoder().encode
decode_narrowed = msgspec.json.Decoder(NarrowedKey).decode

# What stands before the hash of a narrowed key where a secret says what has made it.
NARROWED = "narrowed:"
# What was used when is forgotten in so many at once.
FORGOTTEN_AT_ONCE = 500


class RedisApiKeys:
    """`ApiKeys` on Redis, and its publishing."""

    def __init__(
        self,
        redis: Redis,
        *,
        requests_per_minute: int = 0,
        token_limits: TokenLimits = NO_TOKEN_LIMITS,
        replica_id: str = "",
        lease_s: float = 10,
        sealer: Sealer | None = None,
    ) -> None:
        """`requests_per_minute` limits an owner's requests, over all replicas; 0 is no limit.

        It and `token_limits` are for owners whose project sets none of its own.
        What is told of running answers holds for `lease_s`. Without a sealer client secrets are not valid.
        """
        self._replica_id = replica_id
        self._lease_s = lease_s
        self._sealer = sealer
        self._redis = redis
        self._scripts = Scripts(redis)
        self._requests_per_minute = requests_per_minute
        self._token_limits = token_limits

    async def find_caller(self, key: str, *, ahead: int = 0) -> Caller | None:
        """See `ApiKeys.find_caller`."""
        secret = open_secret(key, self._sealer) if self._sealer else None
        key_hash, narrowed_hash = _read_maker(secret) if secret else (hash_key(key), hash_narrowed_key(key))
        reply = await self._scripts.call(
            "owner",
            valid_key=keys.USER_PROOFS if secret and secret.is_of_user else keys.API_KEYS,
            narrowed_key=keys.NARROWED_KEYS,
            used_key=keys.USED_KEYS,
            limits_key=keys.LIMITS,
            key_hash=key_hash,
            narrowed_hash=narrowed_hash,
            secret_owner=secret.owner if secret else "",
            proof=secret.proof if secret else "",
            expires_at=secret.expires_at if secret else 0,
            requests_a_minute=self._requests_per_minute,
            tokens_a_minute=self._token_limits.per_minute,
            tokens_a_month=self._token_limits.per_month,
            requests_prefix=keys.REQUESTS_PREFIX,
            tokens_prefix=keys.TOKENS_PREFIX,
            running_prefix=keys.RUNNING_PREFIX,
            replica_id=self._replica_id,
            ahead=ahead,
        )
        match reply:
            case [b"expired"]:
                raise ClientSecretExpired
            case [b"key_expired"]:
                raise InvalidApiKey("This API key has expired. Ask the operator of this server for another one.")
            case []:
                return None
        caller = _read_caller(reply, key_hash, narrowed_hash)
        return _narrow(caller, secret) if secret else caller

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
        return {key: owner.decode() for key, owner in (await self._read(keys.API_KEYS)).items()}

    async def publish(self, *, added: Mapping[str, str], removed: Sequence[str]) -> None:
        """See `ApiKeys.publish`."""
        await self._change(keys.API_KEYS, added, removed)

    async def published_narrowed(self) -> dict[str, NarrowedKey]:
        """See `ApiKeys.published_narrowed`."""
        return {key: decode_narrowed(found) for key, found in (await self._read(keys.NARROWED_KEYS)).items()}

    async def publish_narrowed(self, *, added: Mapping[str, NarrowedKey], removed: Sequence[str]) -> None:
        """See `ApiKeys.publish_narrowed`."""
        await self._change(keys.NARROWED_KEYS, {key: encode(narrowed) for key, narrowed in added.items()}, removed)

    async def list_used(self) -> dict[str, int]:
        """See `ApiKeys.list_used`."""
        return {key: int(used_s) for key, used_s in (await self._read(keys.USED_KEYS)).items()}

    async def forget_used(self, used: Mapping[str, int]) -> None:
        """See `ApiKeys.forget_used`."""
        told = list(used.items())
        slices = (dict(told[at : at + FORGOTTEN_AT_ONCE]) for at in range(0, len(told), FORGOTTEN_AT_ONCE))
        await self._scripts.call_many(
            "forget_used", [{"used_key": keys.USED_KEYS, "used": encode(each)} for each in slices]
        )

    async def _read(self, key: str) -> dict[str, bytes]:
        with translated_errors():
            found = cast("dict[bytes, bytes]", await self._redis.hgetall(key))
        return {name.decode(): value for name, value in found.items()}

    async def _change(self, key: str, added: Mapping[str, Any], removed: Sequence[str]) -> None:
        with translated_errors():
            async with self._redis.pipeline(transaction=True) as pipeline:
                if added:
                    pipeline.hset(key, items=[part for pair in added.items() for part in pair])
                if removed:
                    pipeline.hdel(key, *removed)
                await pipeline.execute()


def _read_maker(secret: ClientSecret) -> tuple[str, str]:
    """What a secret's maker is published under: as a key that opens everything, or a user; or as a narrowed key."""
    is_narrowed = secret.maker.startswith(NARROWED)
    return ("", secret.maker.removeprefix(NARROWED)) if is_narrowed else (secret.maker, "")


def _read_caller(reply: Sequence[Any], key_hash: str, narrowed_hash: str) -> Caller:
    owner, may_ask, remaining, reset_ms, elsewhere, now_s, is_narrowed, scopes, expires_at, *limited = reply
    requests_a_minute, tokens_a_minute, tokens_a_month, tokens, tokens_reset_ms, counted_ahead = limited
    left = TokensLeft(tokens_a_minute, max(0, tokens_a_minute - tokens), tokens_reset_ms / 1000)
    return Caller(
        owner.decode(),
        bool(may_ask),
        requests_a_minute,
        max(0, remaining) + counted_ahead,
        reset_ms / 1000,
        elsewhere,
        scopes=_read_scopes(scopes),
        token_limits=TokenLimits(tokens_a_minute, tokens_a_month),
        tokens_left=left if tokens_a_minute else None,
        maker=f"{NARROWED}{narrowed_hash}" if is_narrowed else key_hash,
        expires_at=expires_at,
        now_s=now_s,
        counted_ahead=counted_ahead,
    )


def _read_scopes(told: bytes) -> frozenset[Scope]:
    return frozenset(cast("list[Scope]", told.decode().split())) & ALL_SCOPES if told else ALL_SCOPES


def _narrow(caller: Caller, secret: ClientSecret) -> Caller:
    scopes = secret.scopes & caller.scopes
    return replace(caller, scopes=scopes, conversation=secret.conversation, maker=None, expires_at=0)
