"""Erasure in Redis: histories whose time is over, whole, in slices of a millisecond or less."""

from collections.abc import Sequence

from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.deletion import TOMBSTONE_S, delete_conversation, leave_listing
from prompts.adapters.redis.due import read_due
from prompts.adapters.redis.scripts import Scripts, read_fields
from prompts.domain import ids
from prompts.ports.eraser import Slice

# Measured: a slice of 50 items of ordinary size (each a stream entry and a key) holds Redis for about 0.2 ms.
ITEMS_A_SLICE = 50
# Of a partition, in one reading; whoever erases reads again until nothing is due.
MAX_DUE = 10


class RedisEraser:
    """`Eraser` on Redis. A handle is `<partition> conv:<id>` or `<partition> chain:<timeline>`."""

    def __init__(self, redis: Redis, *, items_a_slice: int = ITEMS_A_SLICE) -> None:
        """`items_a_slice` is the most that one script call erases."""
        self._redis = redis
        self._items_a_slice = items_a_slice
        self._scripts = Scripts(redis)

    async def list_due(self, near: str | None = None) -> Sequence[str]:
        """See `Eraser.list_due`."""
        if near is not None:
            return await self._list_left_by(near)
        found = await read_due(self._redis, keys.expiry, count=MAX_DUE)
        return [f"{partition} {member.decode()}" for partition, members in found.items() for member in members]

    async def _list_left_by(self, conversation_id: str) -> Sequence[str]:
        [timeline] = await read_fields(self._redis, keys.conversation(conversation_id), ["erasing"])
        partition = ids.get_partition(conversation_id)
        return [f"{partition} chain:{timeline.decode()}"] if timeline is not None else []

    async def erase_slice(self, due: str) -> Slice:
        """See `Eraser.erase_slice`."""
        partition, _, member = due.partition(" ")
        kind, _, name = member.partition(":")
        if kind == "conv":
            await delete_conversation(self._redis, self._scripts, name, owner=None)
            return Slice(is_more=False)  # its timeline is due by itself now
        is_more, *gone = await self._scripts.call(
            "erase",
            expiry_key=keys.expiry(partition),
            leases_key=keys.leases(partition),
            prefix=keys.prefix(partition),
            root=name,
            max_cost=self._items_a_slice,
            replica_channels=keys.replica_channel(""),
            tombstone_s=TOMBSTONE_S,
        )
        for owner, conversation_id in zip(gone[::3], gone[1::3], strict=True):
            await leave_listing(self._redis, owner.decode(), conversation_id.decode())
        return Slice(bool(is_more), [f"{partition} chain:{timeline.decode()}" for timeline in gone[2::3]])
