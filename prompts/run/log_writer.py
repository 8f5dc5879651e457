"""A run's way to its log: each write is tried until Redis acknowledges it, for as long as the lease may hold."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from prompts.errors import TailLost, Unavailable
from prompts.ports.event_log import Group
from prompts.ports.responses import Outcome, ResponseStore

log = structlog.get_logger(__name__)

# Bytes of groups that a run keeps to write again after a fail-over.
MAX_KEPT_BYTES = 2_000_000
# The pause between two tries while Redis is away.
RETRY_S = 0.2


class AcknowledgedGroups:
    """The groups that Redis has acknowledged last: a fail-over to a replica that lags behind may lose them."""

    def __init__(self) -> None:
        self._groups: deque[Group] = deque()
        self._size = 0

    def add(self, group: Group) -> None:
        """Keep the group; the oldest are dropped when there is no room."""
        if not group.packed:
            return
        self._groups.append(group)
        self._size += len(group.packed)
        while self._size > MAX_KEPT_BYTES:
            self._size -= len(self._groups.popleft().packed)

    def find(self, after: int) -> Sequence[Group]:
        """The groups above `after`, without a hole; none when the first of them was dropped."""
        lost = [group for group in self._groups if group.last_number > after]
        return lost if lost and lost[0].after == after else []


class LogWriter:
    """Writes of one run under one epoch, one at a time.

    All raise StaleRun when the response is another's, Unavailable when Redis was away for longer than the lease, and
    TailLost when a fail-over to a replica that lagged behind has lost more of the log than can be written again from
    here.
    """

    def __init__(self, response_id: str, *, owner: str, epoch: str, store: ResponseStore, lease_s: float) -> None:
        self._response_id = response_id
        self._owner = owner
        self._epoch = epoch
        self._store = store
        self._lease_s = lease_s
        self._acknowledged = AcknowledgedGroups()
        self._written_at = time.monotonic()

    async def append(self, group: Group) -> None:
        """Add the group to the log, or without signals only keep the lease."""
        await self._persist(lambda: self._append(group))
        self._acknowledged.add(group)

    async def commit(self, outcome: Outcome, last: Group) -> None:
        """End the response; `last` is what the log still lacks."""
        await self._persist(lambda: self._store.commit(outcome, last, owner=self._owner, epoch=self._epoch))

    async def release(self, *, is_broken: bool = False) -> None:
        """Let another replica go on with it, or end it when it `is_broken`."""
        await self._persist(lambda: self._store.release(self._response_id, epoch=self._epoch, is_broken=is_broken))

    async def _append(self, group: Group) -> None:
        await self._store.append(self._response_id, group, epoch=self._epoch, lease_s=self._lease_s)

    async def _persist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write, and while Redis is away try again until the lease is lost; writes are idempotent."""
        while True:
            try:
                await self._write_onto_whole_log(write)
            except Unavailable:
                if time.monotonic() - self._written_at > self._lease_s:
                    raise
                await asyncio.sleep(RETRY_S)
            else:
                self._written_at = time.monotonic()
                return

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
