"""How full Redis is: new runs are refused before the writes of those under way fail."""

import asyncio

import structlog
from redis.asyncio import Redis

from prompts.adapters.redis.scripts import translated_errors
from prompts.errors import StorageFull, Unavailable

log = structlog.get_logger(__name__)

# Runs that are refused too late cost their answer; the share that is kept free is what those under way still write.
MAX_USED = 0.95
LOOK_S = 1.0


class RedisGauge:
    """Looks every second; `check` costs nothing."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._is_full = False

    def check(self) -> None:
        """Raises StorageFull when a new run could make the writes of others fail."""
        if self._is_full:
            raise StorageFull("The conversation store is nearly full. Try again later.")

    async def look(self) -> None:
        """Ask once. Raises Unavailable."""
        with translated_errors():
            memory = await self._redis.info("memory")
        limit = int(memory["maxmemory"])
        is_full = limit > 0 and int(memory["used_memory"]) > MAX_USED * limit
        if is_full != self._is_full:
            log.warning("storage_full" if is_full else "storage_free", used=memory["used_memory"], limit=limit)
        self._is_full = is_full

    async def keep_looking(self) -> None:
        """Ask every second, until cancelled."""
        while True:
            try:
                await self.look()
            except Unavailable:
                log.debug("storage_unknown")  # readiness says so in its own words
            await asyncio.sleep(LOOK_S)
