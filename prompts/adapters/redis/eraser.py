"""Erasure in Redis: what its time has come for, whole, in slices of a millisecond or less."""

from collections.abc import Sequence

from redis.asyncio import Redis

from prompts.adapters.redis import keys as names
from prompts.adapters.redis.response_store import TOMBSTONE_S
from prompts.adapters.redis.scripts import Arg, Scripts, new_call_id, translated_errors
from prompts.domain import ids

# Measured: a slice of 50 items of ordinary size (each a stream entry and a key) holds Redis for about 0.2 ms.
ITEMS_A_SLICE = 50
MAX_DUE = 10


class RedisEraser:
    """`Eraser` on Redis. A handle is `<partition> conv:<id>` or `<partition> chain:<timeline>`."""

    def __init__(self, redis: Redis, *, items_a_slice: int = ITEMS_A_SLICE) -> None:
        """`items_a_slice` is what one script call erases at most."""
        self._redis = redis
        self._items_a_slice = items_a_slice
        self._scripts = Scripts(redis)

    async def list_due(self, near: str | None = None) -> Sequence[str]:
        """See `Eraser.list_due`."""
        partitions = [ids.get_partition(near)] if near else ids.all_partitions()
        with translated_errors():
            seconds, micros = await self._redis.time()
            now_ms = seconds * 1000 + micros // 1000
            pipeline = self._redis.pipeline(transaction=False)
            for partition in partitions:
                pipeline.zrange(names.expiry(partition), "-inf", now_ms, byscore=True, offset=0, num=MAX_DUE)
            found = await pipeline.execute()
        return [
            f"{partition} {member.decode()}" for partition, due in zip(partitions, found, strict=True) for member in due
        ]

    async def erase_slice(self, due: str) -> bool:
        """See `Eraser.erase_slice`."""
        partition, _, member = due.partition(" ")
        kind, _, name = member.partition(":")
        if kind == "conv":
            await self._begin(partition, name)
            return False  # what hangs below is due by itself now
        args: list[Arg] = [names.prefix(partition), name, self._items_a_slice, names.replica_channel(""), TOMBSTONE_S]
        keys = [names.expiry(partition), names.leases(partition)]
        is_more, *gone = await self._scripts.call("erase", keys=keys, args=args)
        for owner, conversation_id in zip(gone[::2], gone[1::2], strict=True):
            await self._forget(owner.decode(), conversation_id.decode())
        return bool(is_more)

    async def _begin(self, partition: str, conversation_id: str) -> None:
        keys = [names.conversation(conversation_id), names.leases(partition), names.expiry(partition)]
        args: list[Arg] = [names.prefix(partition), "", conversation_id, TOMBSTONE_S, names.replica_channel("")]
        owner = await self._scripts.call("delete_conversation", keys=keys, args=[*args, new_call_id()])
        if owner:
            await self._forget(owner.decode(), conversation_id)

    async def _forget(self, owner: str, conversation_id: str) -> None:
        with translated_errors():
            await self._redis.zrem(names.listing(owner), conversation_id)
