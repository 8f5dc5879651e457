"""The one writer of a process: appends of all its runs, many in one call of a script.

While little is going on, a group that finds no call in flight is written at once, and those that arrive meanwhile go
together. When much is, calls keep a distance of some milliseconds, so that each carries the groups of many runs: a call
costs Redis and the process as much as ten groups. A group that somebody waits for does not wait for that.
"""

import asyncio
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

from redis.exceptions import ClusterCrossSlotError, NoScriptError, ResponseError

from prompts.adapters.redis import keys
from prompts.adapters.redis.lua_files import SCRIPTS, Arg, Call
from prompts.adapters.redis.scripts import Scripts, translate
from prompts.domain import ids
from prompts.errors import StaleRun, TailLost
from prompts.ports.event_log import Group

APPEND = SCRIPTS["append"]
# A call with so many groups takes Redis less than a millisecond.
MAX_GROUPS = 64
# With their keys they stay below what the shared connection takes (`multiplexed.py`).
MAX_BYTES = 200_000
# The script may be unknown, and the server may want a call a slot, and a record may be broken.
MAX_TRIES = 4
# From so many groups a second on, calls keep a distance; it is the whole one from so many on.
BUSY_GROUPS_A_S = 300
FULL_GROUPS_A_S = 1_000
# Nobody sees that a word of a stream comes so much later.
MAX_PAUSE_S = 0.010
# How long a group counts for the rate: some calls, and less than anybody notices.
RATE_OVER_S = 0.25


class Pace:
    """How much is going on, and so how long the next call waits. Times are the event loop's, in seconds."""

    def __init__(self) -> None:
        self._groups = 0.0
        self._counted_at = 0.0

    def count(self, groups: int, now: float) -> None:
        """So many groups are written now."""
        self._groups = self._get_rate(now) * RATE_OVER_S + groups
        self._counted_at = now

    def get_pause_s(self, now: float) -> float:
        """The distance to keep from the last call."""
        share = (self._get_rate(now) - BUSY_GROUPS_A_S) / (FULL_GROUPS_A_S - BUSY_GROUPS_A_S)
        return min(1.0, max(0.0, share)) * MAX_PAUSE_S

    def _get_rate(self, now: float) -> float:
        """Groups a second, of late: one counts the less the longer ago it was."""
        return self._groups * math.exp((self._counted_at - now) / RATE_OVER_S) / RATE_OVER_S


class Append:
    """A group on its way to the log, and its answer to be."""

    __slots__ = ("answer", "epoch", "group", "is_alone", "lease_ms", "response_id", "tries")

    def __init__(
        self, response_id: str, group: Group, *, epoch: str, lease_s: float, answer: asyncio.Future[None]
    ) -> None:
        self.response_id = response_id
        self.group = group
        self.epoch = epoch
        self.lease_ms = int(lease_s * 1000)
        self.answer = answer
        self.is_alone = False
        self.tries = 0

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.group.packed) + len(self.group.waypoint)

    def arrange(self) -> Call:
        """What the script takes for this group."""
        response_key, log_key, leases_key = _name_keys(self.response_id)
        group = self.group
        return APPEND.arrange(
            {
                "response_key": response_key,
                "log_key": log_key,
                "leases_key": leases_key,
                "epoch": self.epoch,
                "lease_ms": self.lease_ms,
                "after": group.after,
                "last_number": group.last_number,
                "signals": group.packed,
                "waypoint": group.waypoint,
            }
        )

    def fail(self, error: BaseException) -> None:
        """Nothing is known to be written."""
        if not self.answer.done():
            self.answer.set_exception(translate(error))


class AppendQueue:
    """Calls of `append.lua` for all runs of a process; each caller gets its own answer. No task a group.

    Groups of one response are written in the order in which they come.
    """

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._pace = Pace()
        self._waiting: list[Append] = []
        self._again: list[Append] = []
        self._written_at = 0.0
        self._in_flight = 0
        self._next: asyncio.Handle | None = None
        self._is_next_now = False
        self._is_by_partition = False
        self._is_unknown = False
        self._loading: asyncio.Task[None] | None = None

    def append(
        self, response_id: str, group: Group, *, epoch: str, lease_s: float, is_urgent: bool = False
    ) -> asyncio.Future[None]:
        """See `ResponseStore.append`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[None] = loop.create_future()
        self._waiting.append(Append(response_id, group, epoch=epoch, lease_s=lease_s, answer=answer))
        self._plan(loop, is_urgent=is_urgent)
        return answer

    def _plan(self, loop: asyncio.AbstractEventLoop, *, is_urgent: bool) -> None:
        """See to it that what waits is written: now, after a distance, or when the replies are there."""
        if self._is_next_now or self._again or self._loading is not None:
            return
        if not is_urgent and (self._next is not None or self._in_flight):
            return
        now = loop.time()
        due = self._written_at + self._pace.get_pause_s(now)
        if self._next is not None:
            self._next.cancel()
        self._is_next_now = is_urgent or due <= now
        self._next = loop.call_soon(self._write) if self._is_next_now else loop.call_at(due, self._write)

    def _write(self) -> None:
        self._next, self._is_next_now = None, False
        if self._again or self._loading is not None:
            return  # what comes after what is written again has to wait for it
        appends, self._waiting = [append for append in self._waiting if not append.answer.done()], []
        now = asyncio.get_running_loop().time()
        self._pace.count(len(appends), now)
        self._written_at = now
        for batch in self._divide(appends):
            reply = self._scripts.send(APPEND, *_arrange(batch))
            self._in_flight += 1
            reply.add_done_callback(partial(self._hear, batch))

    def _divide(self, appends: Sequence[Append]) -> Iterator[Sequence[Append]]:
        if not self._is_by_partition and not any(append.is_alone for append in appends):
            yield from _cut(appends)
            return
        batches: dict[str, list[Append]] = {}
        for append in appends:
            partition = ids.get_partition(append.response_id)
            batches.setdefault(append.response_id if append.is_alone else partition, []).append(append)
        for batch in batches.values():
            yield from _cut(batch)

    def _hear(self, batch: Sequence[Append], reply: asyncio.Future[Any]) -> None:
        self._in_flight -= 1
        if reply.cancelled():  # the event loop is being closed
            for append in batch:
                append.answer.cancel()
        elif (error := reply.exception()) is None:
            _settle(batch, reply.result())
        else:
            self._meet(batch, error)
        if not self._in_flight:
            self._go_on(reply.get_loop())

    def _meet(self, batch: Sequence[Append], error: BaseException) -> None:
        """Keep what may be tried again. What was written before is not written twice."""
        is_broken = type(error) is ResponseError and len(batch) > 1
        if isinstance(error, ClusterCrossSlotError):
            self._is_by_partition = True
        self._is_unknown = self._is_unknown or isinstance(error, NoScriptError)
        may_help = is_broken or isinstance(error, (NoScriptError, ClusterCrossSlotError))
        for append in batch:
            append.tries += 1
            append.is_alone = is_broken  # of the others, whose records are whole, it is no matter
            if may_help and append.tries < MAX_TRIES:
                self._again.append(append)
            else:
                append.fail(error)

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """All calls have their replies. The script is loaded now, not between two calls of which only one needs it."""
        if self._is_unknown:
            self._is_unknown = False
            self._loading = asyncio.create_task(self._load(), name="load append.lua")
        if self._loading is not None:
            return
        self._waiting, self._again = self._again + self._waiting, []
        if self._waiting:
            self._plan(loop, is_urgent=False)

    async def _load(self) -> None:
        """Give the server the script; whether it has it is seen when it is called again."""
        try:
            await self._scripts.load(APPEND)
        finally:
            self._loading = None
            self._go_on(asyncio.get_running_loop())


def _arrange(batch: Sequence[Append]) -> Call:
    keys_of_all: list[str] = []
    args_of_all: list[Arg] = []
    for append in batch:
        names, args = append.arrange()
        keys_of_all += names
        args_of_all += args
    return keys_of_all, args_of_all


def _settle(batch: Sequence[Append], answers: Sequence[int]) -> None:
    for append, written in zip(batch, answers, strict=True):
        if append.answer.done():
            continue  # its caller was cancelled
        if written == 1:
            append.answer.set_result(None)
        else:
            append.answer.set_exception(StaleRun() if written == 0 else TailLost(-written))


def _cut(appends: Sequence[Append]) -> Iterator[Sequence[Append]]:
    """As many groups a call as keep it short."""
    batch: list[Append] = []
    size = 0
    for append in appends:
        if batch and (len(batch) == MAX_GROUPS or size + append.size > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(append)
        size += append.size
    if batch:
        yield batch


@lru_cache(maxsize=2_048)  # asked for with every token: spelling them costs more than the rest of it
def _name_keys(response_id: str) -> tuple[str, str, str]:
    return (
        keys.response(response_id),
        keys.event_log(response_id),
        keys.leases(ids.get_partition(response_id)),
    )
