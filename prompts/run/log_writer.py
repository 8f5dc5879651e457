"""A run's way to its log: each write is tried until Redis acknowledges it, for as long as the lease may hold."""

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from struct import Struct

import structlog

from prompts.errors import TailLost, Unavailable
from prompts.ports.event_log import Group
from prompts.ports.responses import Outcome, ResponseStore, Tell

log = structlog.get_logger(__name__)

# Bytes of groups that a run keeps to write again after a fail-over.
MAX_KEPT_BYTES = 2_000_000
# The pause between two tries while Redis is away.
RETRY_S = 0.2
# Before a group: how many events it has, and how long it is and its waypoint. Of nearly every group that are three
# bytes; of others a zero and whole numbers.
_SHORT_HEAD = Struct("<BBB")
_HEAD = Struct("<xQII")
_pack_short = _SHORT_HEAD.pack


class AcknowledgedGroups:
    """The groups that Redis has acknowledged last: a fail-over to a replica that lags behind may lose them.

    They follow one another without a hole, and stand in one array of bytes: a group of one token takes seven bytes
    there beside its text, and thirty times as much as an object.
    """

    __slots__ = ("_before", "_last_number", "_packed")

    def __init__(self) -> None:
        self._packed = bytearray()
        """Of each group the head, what was packed, and its waypoint; oldest first."""
        self._before = -1
        """The last number before the first group."""
        self._last_number = -1

    def add(self, group: Group) -> None:
        """Keep the group; the oldest are dropped when there is no room."""
        packed = group.packed
        if not packed:
            return
        held = self._packed
        if group.after != self._last_number:
            held.clear()
        if not held:
            self._before = group.after
        waypoint = group.waypoint
        try:
            held += _pack_short(group.last_number - group.after, len(packed), len(waypoint))
        except struct.error:
            held += _HEAD.pack(group.last_number - group.after, len(packed), len(waypoint))
        held += packed
        held += waypoint
        self._last_number = group.last_number
        if len(held) > MAX_KEPT_BYTES:
            self._drop()

    def find(self, after: int) -> Sequence[Group]:
        """The groups above `after`, without a hole; none when the first of them was dropped."""
        lost = [group for group in self._unpack() if group.last_number > after]
        return lost if lost and lost[0].after == after else []

    def _drop(self) -> None:
        while len(self._packed) > MAX_KEPT_BYTES:
            events, begin, size, waypoint_size = _unpack_head(self._packed, 0)
            self._before += events
            del self._packed[: begin + size + waypoint_size]

    def _unpack(self) -> Iterator[Group]:
        place, before = 0, self._before
        while place < len(self._packed):
            events, begin, size, waypoint_size = _unpack_head(self._packed, place)
            last_number, end = before + events, begin + size
            place = end + waypoint_size
            yield Group(before, last_number, bytes(self._packed[begin:end]), bytes(self._packed[end:place]))
            before = last_number


def _unpack_head(packed: bytearray, place: int) -> tuple[int, int, int, int]:
    """How many events, where what was packed begins and how long it is, and its waypoint; none has no events."""
    if packed[place]:
        events, size, waypoint_size = _SHORT_HEAD.unpack_from(packed, place)
        return events, place + _SHORT_HEAD.size, size, waypoint_size
    events, size, waypoint_size = _HEAD.unpack_from(packed, place)
    return events, place + _HEAD.size, size, waypoint_size


class LogWriter:
    """Writes of one run under one epoch, one at a time.

    All raise StaleRun when the response is another's, Unavailable when Redis was away for longer than the lease, and
    TailLost when a fail-over to a replica that lagged behind has lost more of the log than can be written again from
    here.
    """

    __slots__ = ("_acknowledged", "_epoch", "_lease_s", "_owner", "_response_id", "_store", "_written_at")

    def __init__(self, response_id: str, *, owner: str, epoch: str, store: ResponseStore, lease_s: float) -> None:
        self._response_id = response_id
        self._owner = owner
        self._epoch = epoch
        self._store = store
        self._lease_s = lease_s
        self._acknowledged = AcknowledgedGroups()
        self._written_at = time.monotonic()

    def hand(self, group: Group, tell: Tell, *, is_urgent: bool = False) -> None:
        """Send the group once, or without signals only keep the lease; `tell` is called as `ResponseStore.hand` does.

        What was written is to be acknowledged here. `is_urgent`: it does not wait for others, to go together with them.
        """
        self._store.hand(
            self._response_id, group, epoch=self._epoch, lease_s=self._lease_s, tell=tell, is_urgent=is_urgent
        )

    def acknowledge(self, group: Group) -> None:
        """Redis has the group that was handed on."""
        self._written_at = time.monotonic()
        self._acknowledged.add(group)

    async def append_again(self, group: Group, error: Unavailable | TailLost) -> None:
        """Send a group again that was handed on and failed so, until it is acknowledged."""
        if isinstance(error, Unavailable):
            await self._pause(error)
        await self._persist(lambda: self._append(group))
        self._acknowledged.add(group)

    async def commit(self, outcome: Outcome, last: Group) -> None:
        """End the response; `last` is what the log still lacks."""
        await self._persist(lambda: self._store.commit(outcome, last, owner=self._owner, epoch=self._epoch))

    async def release(self, *, is_broken: bool = False) -> None:
        """Let another replica go on with it, or end it when it `is_broken`."""
        await self._persist(lambda: self._store.release(self._response_id, epoch=self._epoch, is_broken=is_broken))

    async def _persist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write, and while Redis is away try again until the lease is lost; writes are idempotent."""
        while True:
            try:
                await self._write_onto_whole_log(write)
            except Unavailable as error:
                await self._pause(error)
            else:
                self._written_at = time.monotonic()
                return

    def _append(self, group: Group) -> Awaitable[None]:
        return self._store.append(self._response_id, group, epoch=self._epoch, lease_s=self._lease_s)

    async def _pause(self, error: Unavailable) -> None:
        """Wait for Redis to come back. Raises the error when the lease is lost."""
        if time.monotonic() - self._written_at > self._lease_s:
            raise error
        await asyncio.sleep(RETRY_S)

    async def _write_onto_whole_log(self, write: Callable[[], Awaitable[None]]) -> None:
        try:
            await write()
        except TailLost as lost:
            groups = self._acknowledged.find(lost.last_number)
            if not groups:
                raise
            for group in groups:
                await self._append(group)
            log.warning("tail_written_again", after=lost.last_number, groups=len(groups))
            await write()
