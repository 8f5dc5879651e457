"""What Redis holds of an owner beside their things. Found by SCAN, in slices: only a command does that."""

from collections.abc import Collection, Sequence
from typing import cast

from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.scripts import translated_errors
from prompts.domain import ids
from prompts.ports.owner_traces import FoundTraces

KEYS_A_READ = 500
OWNED_PREFIXES = (
    keys.REQUESTS_PREFIX,
    keys.TOKENS_PREFIX,
    keys.RESERVED_PREFIX,
    keys.RESERVED_ENDS_PREFIX,
    keys.RUNNING_PREFIX,
)


class RedisOwnerTraces:
    """`OwnerTraces` on Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def find(self, owner: str) -> FoundTraces:
        """See `OwnerTraces.find`."""
        records: list[str] = []
        stores: list[str] = []
        cursor, is_more = 0, True
        while is_more:
            with translated_errors():
                cursor, found = await self._redis.scan(cursor, match="eps:{*", count=KEYS_A_READ)
            names = [cast(bytes, name).decode() for name in found]
            records += await self._find_records([each for each in names if "}:idem:" in each], owner)
            named = [each.rpartition(":")[2] for each in names if "}:vs:" in each]
            stores += await self._find_stores(
                [each for each in named if ids.is_well_formed(each, ids.VECTOR_STORE)], owner
            )
            is_more = cursor != 0
        return FoundTraces(list(dict.fromkeys(records)), list(dict.fromkeys(stores)))

    async def _find_records(self, names: Sequence[str], owner: str) -> Sequence[str]:
        if not names:
            return []
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for name in names:
                pipeline.get(name)
            values = await pipeline.execute()
        told = [(name, value.decode().partition(" ")[0]) for name, value in zip(names, values, strict=True) if value]
        owners = await self._read_owners([keys.response(response_id) for _, response_id in told])
        return [name for (name, _), found in zip(told, owners, strict=True) if found == owner]

    async def _find_stores(self, store_ids: Sequence[str], owner: str) -> Sequence[str]:
        owners = await self._read_owners([keys.vector_store(each) for each in store_ids])
        return [each for each, found in zip(store_ids, owners, strict=True) if found == owner]

    async def _read_owners(self, hashes: Sequence[str]) -> Sequence[str | None]:
        if not hashes:
            return []
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for name in hashes:
                pipeline.hget(name, "owner")
            return [None if owner is None else owner.decode() for owner in await pipeline.execute()]

    async def erase_records(self, records: Collection[str]) -> int:
        """See `OwnerTraces.erase_records`. Each is in a slot of its own partition."""
        return await self._unlink([*records])

    async def erase_counters(self, owner: str, *, key_hashes: Collection[str]) -> int:
        """See `OwnerTraces.erase_counters`."""
        named = [keys.listing(owner), keys.vector_store_listing(owner), keys.calibration(owner)]
        erased = await self._unlink([*named, *(f"{prefix}{owner}" for prefix in OWNED_PREFIXES)])
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for partition in ids.all_partitions():
                pipeline.hdel(keys.stored_bytes(partition), owner)
                pipeline.hdel(keys.file_bytes(partition), owner)
            if key_hashes:
                pipeline.hdel(keys.USED_KEYS, *key_hashes)
            return erased + int(sum(await pipeline.execute()))

    async def forget_vectors(self) -> int:
        """See `OwnerTraces.forget_vectors`."""
        names = keys.all_vectors()
        slices = [names[start : start + KEYS_A_READ] for start in range(0, len(names), KEYS_A_READ)]
        return sum([await self._unlink(some) for some in slices])

    async def _unlink(self, names: Sequence[str]) -> int:
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for name in names:
                pipeline.unlink(name)
            return int(sum(await pipeline.execute()))

    async def list_erasing(self, vector_stores: Collection[str]) -> Sequence[str]:
        """See `OwnerTraces.list_erasing`."""
        store_ids = [*vector_stores]
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for each in store_ids:
                pipeline.hexists(keys.vector_store(each), "erasing")
            found = await pipeline.execute()
        return [each for each, is_left in zip(store_ids, found, strict=True) if is_left]
