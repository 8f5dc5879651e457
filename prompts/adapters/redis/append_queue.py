"""The one writer of a process: appends of all its runs, many in one call of a script.

While little is going on, a group that finds no call in flight is written at once, and those that arrive meanwhile go
together. When much is, calls keep a distance of some milliseconds, so that each carries the groups of many runs: a call
costs Redis and the process as much as ten groups. The more groups wait, the shorter it is. A group that somebody waits
for does not wait for that.

When a lease is due, and whether another process watches a log, is known here: Redis is not asked with every group.
"""

import asyncio
import math
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import chain
from operator import attrgetter
from typing import Any

import structlog
from redis.exceptions import ClusterCrossSlotError, NoScriptError, ResponseError

from prompts.adapters.redis import keys
from prompts.adapters.redis.lua_files import SCRIPTS, Arg, Call
from prompts.adapters.redis.scripts import Scripts, translate
from prompts.domain import ids
from prompts.errors import StaleRun, TailLost
from prompts.ports.event_log import Group
from prompts.ports.responses import Tell

log = structlog.get_logger(__name__)

APPEND = SCRIPTS["append"]
# Where an `Append` has what the script takes; read in the script's order, four times as fast as by name.
PLACES = {
    "response_key": "log.response_key",
    "log_key": "log.log_key",
    "epoch": "epoch",
    "after": "group.after",
    "last_number": "group.last_number",
    "signals": "group.packed",
    "extras": "extras",
}
read_keys = attrgetter(*[PLACES[name] for name in APPEND.keys])
read_args = attrgetter(*[PLACES[name] for name in APPEND.args])
# The script's answers, but for a log's end.
STALE, WATCHED = 0, 1
# So many groups take Redis half a millisecond, and the process two when they are told: meanwhile nobody else is served.
MAX_GROUPS = 48
# With their keys they stay below what the shared connection takes (`multiplexed.py`).
MAX_BYTES = 200_000
# The script may be unknown, and the server may want a call a slot, and a record may be broken.
MAX_TRIES = 4
# From so many groups a second on, calls keep a distance; it is the whole one from so many on.
BUSY_GROUPS_A_S = 300
FULL_GROUPS_A_S = 1_000
# Nobody sees that a word of a stream comes so much later. More makes gaps of 50 ms uneven, and saves Redis little.
MAX_PAUSE_S = 0.010
# A call of so many groups keeps no distance, since what it costs besides is little; a smaller one a part of it.
LARGE_CALL = 24
# How long a group counts for the rate: some calls, and less than anybody notices.
RATE_OVER_S = 0.25
# More than a process runs answers. What is known of a log is asked again when it was dropped.
MAX_OPEN_LOGS = 2_048
# When so much of a lease is over, it is renewed: each time would be a write more for each group.
LEASE_PART = 0.1
# A log that no other process watches tells of its growth so often only. Who begins to watch has read it already.
TELL_S = 0.2


class Pace:
    """How much is going on, and so how long the next call waits. Times are the event loop's, in seconds."""

    def __init__(self) -> None:
        self._groups = 0.0
        self._counted_at = 0.0

    def count(self, groups: int, now: float) -> None:
        """So many groups are written now."""
        self._groups = self._get_rate(now) * RATE_OVER_S + groups
        self._counted_at = now

    def get_pause_s(self, now: float, waiting: int) -> float:
        """The distance to keep from the last call, when so many groups wait."""
        share = (self._get_rate(now) - BUSY_GROUPS_A_S) / (FULL_GROUPS_A_S - BUSY_GROUPS_A_S)
        lacking = 1 - waiting / LARGE_CALL
        return min(1.0, max(0.0, share)) * max(0.0, lacking) * MAX_PAUSE_S

    def _get_rate(self, now: float) -> float:
        """Groups a second, of late: one counts the less the longer ago it was."""
        return self._groups * math.exp((self._counted_at - now) / RATE_OVER_S) / RATE_OVER_S


class OpenLog:
    """What the writer knows of a log. To know nothing is right as well: then more is asked of Redis."""

    __slots__ = ("has_watchers", "lease_due", "log_key", "response_key", "tell_due")

    def __init__(self, response_id: str) -> None:
        self.response_key = keys.response(response_id)
        self.log_key = keys.event_log(response_id)
        self.has_watchers = False
        """Whether processes have heard the last time that they were told."""
        self.forget()

    def forget(self) -> None:
        """Something went wrong: what Redis was told may be lost."""
        self.lease_due = self.tell_due = -math.inf


class Append:
    """A group on its way to the log, and who is told when it is there: by a call, or by a future."""

    __slots__ = (
        *("answer", "epoch", "extras", "group", "is_alone", "is_told", "lease_s", "log", "response_id", "tell"),
        "tries",
    )

    def __init__(
        self,
        response_id: str,
        group: Group,
        log: OpenLog,
        *,
        epoch: str,
        lease_s: float,
        tell: Tell | None = None,
        answer: asyncio.Future[None] | None = None,
    ) -> None:
        self.response_id = response_id
        self.group = group
        self.log = log
        self.epoch = epoch
        self.lease_s = lease_s
        self.tell = tell
        self.answer = answer
        self.extras = b""
        self.is_told = False
        self.is_alone = False
        self.tries = 0

    def prepare(self, now: float, *, tells_all: bool) -> None:
        """It is sent now: see what it needs besides."""
        log, group = self.log, self.group
        is_due = log.lease_due <= now or not group.packed
        self.is_told = bool(group.packed) and (log.has_watchers or log.tell_due <= now or tells_all)
        if not (is_due or self.is_told or group.waypoint):
            self.extras = b""
            return
        if is_due:
            log.lease_due = now + LEASE_PART * self.lease_s
        if self.is_told:
            log.tell_due = now + TELL_S
        self.extras = b"%d %d %b" % (self.lease_s * 1000 if is_due else 0, self.is_told, group.waypoint)

    def settle(self, error: BaseException | None) -> None:
        """It is written, or it failed so: then nothing is known to be written."""
        if self.tell is not None:
            try:
                self.tell(error)
            except Exception:  # the others are to have their answers
                log.exception("append_not_told", response_id=self.response_id)
        elif self.answer is None or self.answer.done():
            return
        elif error is None:
            self.answer.set_result(None)
        elif isinstance(error, asyncio.CancelledError):
            self.answer.cancel()
        else:
            self.answer.set_exception(error)


class AppendQueue:
    """Calls of `append.lua` for all runs of a process; each caller gets its own answer. No task a group.

    Groups of one response are written in the order in which they come.
    """

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._pace = Pace()
        self._find_log = lru_cache(maxsize=MAX_OPEN_LOGS)(OpenLog)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[Append] = []
        self._again: list[Append] = []
        self._written_at = 0.0
        self._in_flight = 0
        self._next: asyncio.Handle | None = None
        self._is_next_now = False
        self._is_by_partition = False
        self._has_alone = False
        """Whether some that wait go in a call of their own."""
        self._is_unknown = False
        self._loading: asyncio.Task[None] | None = None

    def append(
        self, response_id: str, group: Group, *, epoch: str, lease_s: float, is_urgent: bool = False
    ) -> asyncio.Future[None]:
        """See `ResponseStore.append`."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        open_log = self._find_log(response_id)
        self._queue(Append(response_id, group, open_log, epoch=epoch, lease_s=lease_s, answer=answer), is_urgent)
        return answer

    def hand(
        self, response_id: str, group: Group, *, epoch: str, lease_s: float, tell: Tell, is_urgent: bool = False
    ) -> None:
        """See `ResponseStore.hand`."""
        open_log = self._find_log(response_id)
        self._queue(Append(response_id, group, open_log, epoch=epoch, lease_s=lease_s, tell=tell), is_urgent)

    def _queue(self, append: Append, is_urgent: bool) -> None:
        if self._loop is None:  # asked for with every group, it would be a system call each (Python 3.11)
            self._loop = asyncio.get_running_loop()
        if is_urgent:
            append.log.tell_due = -math.inf
        self._waiting.append(append)
        is_free = not self._in_flight and (self._next is None or len(self._waiting) == LARGE_CALL)
        if is_urgent or is_free:
            self._plan(self._loop, is_urgent=is_urgent)

    def _plan(self, loop: asyncio.AbstractEventLoop, *, is_urgent: bool) -> None:
        """See to it that what waits is written: now, after a distance, or when the replies are there."""
        if self._is_next_now or self._again or self._loading is not None:
            return
        now = loop.time()
        due = self._written_at + self._pace.get_pause_s(now, len(self._waiting))
        if self._next is not None:
            self._next.cancel()
        self._is_next_now = is_urgent or due <= now
        self._next = loop.call_soon(self._write) if self._is_next_now else loop.call_at(due, self._write)

    def _write(self) -> None:
        self._next, self._is_next_now = None, False
        if self._again or self._loading is not None:
            return  # what comes after what is written again has to wait for it
        waiting, self._waiting = self._waiting, []
        # A caller who was cancelled wants nothing written any more.
        appends = [append for append in waiting if append.answer is None or not append.answer.done()]
        now = asyncio.get_running_loop().time()
        self._pace.count(len(appends), now)
        self._written_at = now
        for append in appends:
            append.prepare(now, tells_all=self._is_by_partition)
        for batch in self._divide(appends):
            reply = self._scripts.send(APPEND, *_arrange(batch))
            self._in_flight += 1
            reply.add_done_callback(partial(self._hear, batch))

    def _divide(self, appends: Sequence[Append]) -> Iterator[Sequence[Append]]:
        if not (self._is_by_partition or self._has_alone):
            return _cut(appends)
        self._has_alone = False
        return chain.from_iterable(map(_cut, self._part(appends)))

    def _part(self, appends: Sequence[Append]) -> Iterable[Sequence[Append]]:
        batches: dict[str, list[Append]] = {}
        for append in appends:
            partition = ids.get_partition(append.response_id)
            batches.setdefault(append.response_id if append.is_alone else partition, []).append(append)
        return batches.values()

    def _hear(self, batch: Sequence[Append], reply: asyncio.Future[Any]) -> None:
        if reply.cancelled():  # the event loop is being closed
            for append in batch:
                append.settle(asyncio.CancelledError())
        elif (error := reply.exception()) is None:
            _settle(batch, reply.result())
        else:
            self._meet(batch, error)
        self._in_flight -= 1  # what those who were told have handed on waits for this
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
            append.log.forget()
            append.is_alone = is_broken  # of the others, whose records are whole, it is no matter
            self._has_alone = self._has_alone or is_broken
            if may_help and append.tries < MAX_TRIES:
                self._again.append(append)
            else:
                append.settle(translate(error))

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
        keys_of_all += read_keys(append)
        args_of_all += read_args(append)
    return keys_of_all, args_of_all


def _settle(batch: Sequence[Append], odd: Sequence[int]) -> None:
    """Give each caller the answer; `odd` are those that say more than that a group is written."""
    answers = dict(zip(odd[::2], odd[1::2], strict=True)) if odd else {}
    for place, append in enumerate(batch):
        answer = answers.get(place)
        if append.is_told:
            append.log.has_watchers = answer == WATCHED
        if answer is None or answer == WATCHED:
            append.settle(None)
        else:
            append.log.forget()
            append.settle(StaleRun() if answer == STALE else TailLost(-answer))


def _cut(appends: Sequence[Append]) -> Iterator[Sequence[Append]]:
    """As many groups a call as keep it short."""
    batch: list[Append] = []
    size = 0
    for append in appends:
        own = len(append.group.packed) + len(append.group.waypoint)
        if batch and (len(batch) == MAX_GROUPS or size + own > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(append)
        size += own
    if batch:
        yield batch
