"""What owners keep in Redis: the scripts count it in each partition, and here it is added up for those who ask.

The account of a partition is exact, because the script that writes or erases something counts it in the same step. The
sum is some seconds old, and is not read on a request's way: an owner may exceed the limit by what a few seconds bring.
Event logs, which are kept for an hour, and idempotency keys are not counted.
"""

from collections.abc import Callable, Sequence

import structlog
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.met_owners import MetOwners
from prompts.adapters.redis.scripts import translated_errors
from prompts.domain import ids
from prompts.errors import QuotaExceeded, Unavailable

log = structlog.get_logger(__name__)

# One reading is a field in each of the partitions, for all owners together.
LOOK_S = 2.0
# Of Redis's memory, what one owner's texts may fill; around them it keeps about half as much again.
OWNERS_PART = 0.5
MB = 1_000_000


class RedisQuotas:
    """`Quotas` on Redis."""

    def __init__(self, redis: Redis, *, max_bytes: int, get_room: Callable[[], int]) -> None:
        """An owner may keep `max_bytes`; 0 is half of what Redis has room for, which `get_room` says (0: no limit)."""
        self._redis = redis
        self._max_bytes = max_bytes
        self._get_room = get_room
        self._kept: MetOwners[int] = MetOwners(pace_s=LOOK_S)

    @property
    def max_bytes(self) -> int:
        """How much an owner may keep; 0 is no limit."""
        return self._max_bytes or int(self._get_room() * OWNERS_PART)

    def check(self, owner: str) -> None:
        """See `Quotas.check`."""
        kept = self._kept.find(owner)
        if kept is not None and 0 < self.max_bytes <= kept:
            kept_mb, most_mb = f"{kept / MB:,.1f} MB", f"{self.max_bytes / MB:,.1f} MB"
            message = f"You keep {kept_mb} of conversations and responses, the limit is {most_mb}. Delete some of them."
            raise QuotaExceeded(message)

    async def look(self) -> None:
        """Add up what those keep who have asked since the last look. Raises Unavailable."""
        owners = list(self._kept.take_asked())
        if not owners:
            return
        for owner, kept in zip(owners, await self._read(owners), strict=True):
            self._kept.keep(owner, kept)

    async def keep_looking(self) -> None:
        """Look every few seconds, and when an owner is new here, until cancelled."""
        while True:
            try:
                await self.look()
            except Unavailable:
                log.debug("quotas_unknown")  # readiness reports it
            await self._kept.wait()

    async def _read(self, owners: Sequence[str]) -> Sequence[int]:
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for partition in ids.all_partitions():
                pipeline.hmget(keys.stored_bytes(partition), list(owners))
            found = await pipeline.execute()
        return [sum(int(counted or 0) for counted in each) for each in zip(*found, strict=True)]
