"""Compactions in Redis: each is an ended response at the head of a timeline of its own."""

from collections.abc import Sequence
from typing import cast

import msgspec
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.anchors import get_anchor_id
from prompts.adapters.redis.response_store import IDEMPOTENCY_MS
from prompts.adapters.redis.scripts import Scripts, translated_errors
from prompts.adapters.redis.staging import MAX_BYTES_AT_ONCE, Staging, write_ahead
from prompts.domain import ids
from prompts.domain.anchors import Anchor
from prompts.domain.items import Item
from prompts.domain.kept_thoughts import hide_all_kept
from prompts.domain.responses import CompactedHistory
from prompts.errors import Unavailable, key_reused
from prompts.ports.responses import Attached, Claim

encode = msgspec.json.Encoder().encode


class RedisCompactions:
    """`Compactions` on Redis; `retention_s` is how long a compaction is kept after its last use."""

    def __init__(self, redis: Redis, *, retention_s: int) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)
        self._staging = Staging(redis)
        self._retention_s = retention_s

    async def find(self, claim: Claim, partition: str, *, owner: str, anchor: Anchor) -> Attached | None:
        """See `Compactions.find`."""
        if claim.idempotency_key is None:
            return None
        with translated_errors():
            key = keys.idempotency(partition, owner, get_anchor_id(anchor), claim.idempotency_key)
            found = cast("bytes | None", await self._redis.get(key))
        if found is None:
            return None
        response_id, _, body_hash = found.decode().partition(" ")
        if body_hash != claim.body_hash:
            raise key_reused()
        return Attached(response_id)

    async def keep(
        self, compacted: CompactedHistory, given: Sequence[Item], claim: Claim, *, owner: str, anchor: Anchor
    ) -> Attached | None:
        """See `Compactions.keep`."""
        partition, own_key = ids.get_partition(compacted.id), keys.response(compacted.id)
        key = claim.idempotency_key
        idempotency_key = keys.idempotency(partition, owner, get_anchor_id(anchor), key) if key else own_key
        result, given_input = encode(hide_all_kept(compacted)), encode(given)
        is_ahead = len(result) + len(given_input) > MAX_BYTES_AT_ONCE
        if is_ahead:
            await write_ahead(self._redis, own_key, result=result, input=given_input)
        batch = await self._staging.prepare(compacted.output, partition)
        reply = await self._scripts.call(
            "keep_compaction",
            response_key=own_key,
            expiry_key=keys.expiry(partition),
            idempotency_key=idempotency_key,
            prefix=keys.prefix(partition),
            owner=owner,
            response_id=compacted.id,
            result=b"" if is_ahead else result,
            input=b"" if is_ahead else given_input,
            items=batch.packed,
            staged_length=batch.length,
            body_hash=claim.body_hash,
            timeline=batch.staged or ids.new_id(ids.TIMELINE, partition),
            idempotency_ms=IDEMPOTENCY_MS,
            retention_ms=self._retention_s * 1000,
            compacted=get_anchor_id(anchor),
        )
        match reply:
            case [b"gone"]:
                raise Unavailable("The compaction could not be kept in time. Try again.")
            case [b"attach", response_id]:
                await self._staging.drop(batch)
                return Attached(response_id.decode())
            case [b"key_reused"]:
                raise key_reused()
        return None
