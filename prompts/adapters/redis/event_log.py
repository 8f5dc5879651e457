"""Event logs in Redis: read them from a number on, and wait for more."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.echoes import read_echo
from prompts.adapters.redis.nudges import Nudges
from prompts.adapters.redis.scripts import translated_errors
from prompts.domain.responses import Response
from prompts.domain.signals import unpack
from prompts.domain.waypoints import unpack_waypoint
from prompts.errors import InvalidRequest, StreamExpired
from prompts.ports.event_log import Entry, Passed, Watch

# An entry is a group: one token of a slow model, some hundreds (at 6 bytes each) of a fast one. So a long answer is
# never in memory as a whole, and no read takes Redis or this process milliseconds.
ENTRIES_A_READ = 32
# Some hundred signals, a tenth of a millisecond.
BYTES_AT_ONCE = 2_000
# Entries that are looked at for a waypoint, newest first: enough for a fast model, whose entries hold hundreds of
# signals; for one under less load; for a slow one, with a token in each; and for larger waypoints, which are rarer.
ENTRIES_A_LOOK = (8, 64, 512, 2_048)
# What a stream's ids can be at most; a client may name any number.
MAX_NUMBER = 2**64 - 1
# Where no release has left any waypoints, the search itself must cost little.
BYTES_LOOKED_AT = 1_000_000


class RedisEventLog:
    """`EventLog` on Redis streams."""

    def __init__(self, redis: Redis, nudges: Nudges) -> None:
        self._redis = redis
        self._nudges = nudges
        self._unpacking = asyncio.Lock()

    async def get_echo(self, response_id: str, *, owner: str) -> Response:
        """See `EventLog.get_echo`."""
        try:
            echo = await read_echo(self._redis, response_id, owner=owner)
        except (msgspec.DecodeError, RecursionError) as exc:
            raise StreamExpired("The events of this response cannot be read. Read the response instead.") from exc
        if echo is None:
            raise InvalidRequest("A compaction has no events. Read it without 'stream'.", param="stream")
        return echo

    async def read(self, response_id: str, *, after: int) -> Sequence[Entry]:
        """See `EventLog.read`."""
        with translated_errors():
            first = f"0-{after}" if after >= 0 else "-"
            found = await self._redis.xrange(keys.event_log(response_id), first, "+", count=ENTRIES_A_READ)
        entries = await self._unpack(found or [])
        if after < 0 or not entries:
            return entries
        known, *above = entries
        if known.last_number != after:
            raise StreamExpired(
                "The end of this stream was lost in a fail-over of the store. Read the response instead."
            )
        return above

    async def find_waypoint(self, response_id: str, *, upto: int) -> Passed | None:
        """See `EventLog.find_waypoint`."""
        log_key, newest, looked_at = keys.event_log(response_id), f"0-{min(upto, MAX_NUMBER)}", 0
        for count in ENTRIES_A_LOOK:
            with translated_errors():
                found: Any = await self._redis.xrevrange(log_key, newest, "-", count=count) or []
            for entry_id, fields in found:
                if packed := fields.get(b"w"):
                    waypoint = unpack_waypoint(packed)
                    return Passed(_read_number(entry_id), waypoint) if waypoint else None
            looked_at += sum(len(fields[b"s"]) for _, fields in found)
            if len(found) < count or looked_at > BYTES_LOOKED_AT:
                return None
            newest = f"({found[-1][0].decode()}"
        return None

    async def _unpack(self, found: Sequence[Any]) -> Sequence[Entry]:
        """Large ones one after the other, whoever reads: a hundred readers at once would hold up everybody else."""
        if sum(len(fields[b"s"]) for _, fields in found) <= BYTES_AT_ONCE:
            return [_read_entry(entry) for entry in found]
        entries: list[Entry] = []
        for entry in found:
            async with self._unpacking:
                entries.append(_read_entry(entry))
                await asyncio.sleep(0)
        return entries

    def watch(self, response_id: str) -> AbstractAsyncContextManager[Watch]:
        """See `EventLog.watch`."""
        return self._nudges.watch(response_id)


def _read_entry(entry: Any) -> Entry:
    entry_id, fields = entry
    return Entry(_read_number(entry_id), unpack(fields[b"s"]), b"e" in fields)


def _read_number(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[2])
