"""Marks of readers in Redis: a sorted set a response."""

from collections.abc import Sequence

from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.lua_files import Arg
from prompts.adapters.redis.nudges import READER_LEFT
from prompts.adapters.redis.scripts import Scripts, translated_errors
from prompts.ports.reader_marks import Reader


class RedisReaderMarks:
    """`ReaderMarks` on Redis; a mark holds for `lease_s`."""

    def __init__(self, redis: Redis, *, lease_s: float) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)
        self._lease_ms = int(lease_s * 1000)

    async def mark(self, readers: Sequence[Reader]) -> None:
        """See `ReaderMarks.mark`."""
        calls: list[dict[str, Arg]] = [
            {"readers_key": keys.readers(reader.response_id), "reader_id": reader.id, "lease_ms": self._lease_ms}
            for reader in readers
        ]
        await self._scripts.call_many("mark_reader", calls)

    async def unmark(self, reader: Reader) -> None:
        """See `ReaderMarks.unmark`."""
        await self._scripts.call(
            "unmark_reader",
            readers_key=keys.readers(reader.response_id),
            reader_id=reader.id,
            log_channel=keys.log_channel(reader.response_id),
            news=READER_LEFT,
        )

    async def has_any(self, response_id: str) -> bool:
        """See `ReaderMarks.has_any`."""
        with translated_errors():
            return bool(await self._redis.exists(keys.readers(response_id)))
