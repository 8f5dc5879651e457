"""`EventLog` in memory."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from prompts.domain.responses import Response
from prompts.domain.waypoints import unpack_waypoint
from prompts.errors import StreamExpired
from prompts.ports.event_log import Entry, Passed, Watch
from tests.support.fakes.fates import Fate, meet
from tests.support.fakes.memory import Memory
from tests.support.fakes.watch import FakeWatch


class FakeEventLog:
    """`EventLog` in memory. Each call of `get_echo`, `read` and `find_waypoint` meets the next of `read_fates`."""

    def __init__(self, memory: Memory, *, entries_a_read: int = 2) -> None:
        """A small `entries_a_read` makes a short log take several reads, as a long one does in Redis."""
        self.read_fates: list[Fate] = []
        self.is_read = False
        self._memory = memory
        self._entries_a_read = entries_a_read

    async def get_echo(self, response_id: str, *, owner: str) -> Response:
        """See `EventLog.get_echo`."""
        await meet(self.read_fates)
        return self._memory.find_response(response_id, owner).echo

    async def read(self, response_id: str, *, after: int) -> Sequence[Entry]:
        """See `EventLog.read`."""
        self.is_read = True
        await meet(self.read_fates)
        kept = self._memory.responses.get(response_id)
        entries = [entry for entry in kept.log if entry.last_number >= after] if kept else []
        if after < 0 or not entries:
            return entries[: self._entries_a_read]
        known, *above = entries
        if known.last_number != after:
            raise StreamExpired("The end of this stream was lost.")
        return above[: self._entries_a_read]

    async def find_waypoint(self, response_id: str, *, upto: int) -> Passed | None:
        """See `EventLog.find_waypoint`."""
        await meet(self.read_fates)
        kept = self._memory.responses.get(response_id)
        numbers = [entry.last_number for entry in kept.log if entry.last_number <= upto] if kept else []
        for number in reversed(numbers):
            if kept and (packed := kept.waypoints.get(number)):
                waypoint = unpack_waypoint(packed)
                return Passed(number, waypoint) if waypoint else None
        return None

    @asynccontextmanager
    async def watch(self, response_id: str) -> AsyncIterator[Watch]:
        """See `EventLog.watch`."""
        watch = FakeWatch()
        self._memory.watches[response_id].add(watch)
        try:
            yield watch
        finally:
            self._memory.watches[response_id].discard(watch)

    def tell_released(self, response_id: str) -> None:
        """Publish that the connection to the model is closed, as `Nudges.release` does."""
        for watch in self._memory.watches[response_id]:
            watch.tell_released()
