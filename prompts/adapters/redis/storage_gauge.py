"""How full Redis is: new runs are refused before the writes of active runs fail."""

import asyncio

import structlog
from redis.asyncio import Redis

from prompts.adapters.redis.scripts import translated_errors
from prompts.errors import StorageFull, Unavailable

log = structlog.get_logger(__name__)

# New runs are refused beyond this share of Redis's memory limit. The rest is for what active runs still write.
MAX_USED = 0.95
LOOK_S = 1.0


class RedisGauge:
    """`keep_looking` asks Redis every second; `check` only reads what it saw last."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._is_full = False
        self.max_bytes = 0
        """How much Redis may hold; 0: unknown, or without a limit."""

    def check(self) -> None:
        """Raises StorageFull when a new run could make the writes of others fail."""
        if self._is_full:
            raise StorageFull("The conversation store is nearly full. Try again later.")

    async def look(self) -> None:
        """Ask Redis once. Raises Unavailable."""
        with translated_errors():
            memory = await self._redis.info("memory")
        self.max_bytes = limit = int(memory["maxmemory"])
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
                log.debug("storage_unknown")  # readiness reports it
            await asyncio.sleep(LOOK_S)
