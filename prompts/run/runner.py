"""All runs of a process: the process owns them, readers only follow."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import structlog

from prompts.domain.responses import Response
from prompts.domain.usage import Usage
from prompts.errors import Draining, Overloaded, Unavailable
from prompts.ports.calibration import Calibration
from prompts.ports.chat_model import ChatModel
from prompts.ports.hosted_tools import HostedTool
from prompts.ports.observer import Observer, RunEnded, RunLeft, RunStarted
from prompts.ports.responses import Outcome, ResponseStore
from prompts.ports.sealing import Sealer
from prompts.ports.token_meter import UNMETERED, TokenMeter
from prompts.ports.tracing import UNTRACED, RunTrace, Tracing
from prompts.run.answer_size import MAX_ANSWER_BYTES
from prompts.run.answering import Answering
from prompts.run.brief import Brief
from prompts.run.follower_buffer import MAX_KEPT_BYTES
from prompts.run.run import Run
from prompts.run.shares import Shares
from prompts.run.waypoints import SIGNALS_A_WAYPOINT

log = structlog.get_logger(__name__)

# A hand-over is one or two writes; if Redis takes longer, the leases expire by themselves.
HAND_OVER_S = 3.0

Release: TypeAlias = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process allows its runs."""

    max_runs: int
    max_run_s: float
    lease_s: float
    max_answer_bytes: int = MAX_ANSWER_BYTES
    owner_runs: int = 0
    """How many places of the process one owner may have; 0: all but what is kept for others (`Shares`)."""
    owner_runs_in_all: int = 0
    """The same of all replicas together; 0 is no limit."""
    max_kept_bytes: int = MAX_KEPT_BYTES
    signals_a_waypoint: int = SIGNALS_A_WAYPOINT


class Runner:
    """All runs of this process."""

    def __init__(
        self,
        *,
        store: ResponseStore,
        model: ChatModel,
        sealer: Sealer,
        calibration: Calibration,
        limits: Limits,
        release: Release,
        check_storage: Callable[[], None],
        observer: Observer,
        tracing: Tracing = UNTRACED,
        hosted_tools: Sequence[HostedTool] = (),
        meter: TokenMeter = UNMETERED,
    ) -> None:
        """`release` is awaited with the id of a response that was let go, once the model's connection is closed.

        `check_storage` raises StorageFull when no run may begin. `hosted_tools` are those that the service runs itself.
        """
        self._release = release
        self._check_storage = check_storage
        self._store = store
        self._model = model
        self._sealer = sealer
        self._calibration = calibration
        self._limits = limits
        self._observer = observer
        self._tracing = tracing
        self._hosted_tools = hosted_tools
        self.meter = meter
        """Where the tokens of owners who have limits are counted."""
        self.after_commit: Callable[[Brief, Outcome], None] = _leave_it
        """What comes after a response that was written here has ended; it raises nothing and takes no time."""
        self._tasks: dict[Run, asyncio.Task[None]] = {}
        self._runs: dict[str, Run] = {}
        self._releases: set[asyncio.Future[None]] = set()
        self.shares = Shares(owner_places=limits.owner_runs, owner_places_in_all=limits.owner_runs_in_all)
        """Who has the places."""
        self._reserved = 0
        self._attended = 0
        self._taken_early: dict[str, str] = {}
        self._left = asyncio.Event()
        self._is_draining = False
        self._is_closed = False

    @property
    def limits(self) -> Limits:
        """What this process allows its runs."""
        return self._limits

    @property
    def observer(self) -> Observer:
        """Who is told what happens to responses."""
        return self._observer

    def reserve(self, owner: str | None = None, *, is_new: bool = True) -> "HeldPlace":
        """A place for one run, to be held from before the first write until the run has started or failed to.

        A takeover has no `owner` yet: what has begun is finished first.
        Raises Draining, Overloaded, RateLimited (the owner has enough places), and for a new response StorageFull.
        """
        self._take_place(owner, is_new=is_new)
        self._reserved += 1
        return HeldPlace(partial(self._end_reservation, owner))

    def _end_reservation(self, owner: str | None) -> None:
        self._reserved -= 1
        if not self._reserved:
            self._taken_early.clear()
        self._give_place_back(owner)

    def attend(self, owner: str, *, is_kept: bool = True) -> "HeldPlace":
        """A place for a request that asks the model without a run; a drain waits for it.

        Raises Draining, Overloaded, RateLimited, and where something of it is kept StorageFull.
        """
        self._take_place(owner, is_new=is_kept)
        self._attended += 1
        return HeldPlace(partial(self._end_attendance, owner))

    def _end_attendance(self, owner: str) -> None:
        self._attended -= 1
        self._give_place_back(owner)

    def check_draining(self) -> None:
        """Raises Draining when no run may begin here any more."""
        if self._is_draining:
            raise Draining("This replica is leaving. Send the request again; another one will serve it.")

    def _take_place(self, owner: str | None, *, is_new: bool) -> None:
        self.check_draining()
        if is_new:
            self._check_storage()
        free = self._limits.max_runs - len(self._tasks) - self._reserved - self._attended
        if free <= 0:
            raise Overloaded(f"This replica runs {self._limits.max_runs} answers already. Try again in a moment.")
        if owner is not None:
            self.shares.check(owner, free=free)
            self.shares.take(owner)

    def _give_place_back(self, owner: str | None) -> None:
        if owner is not None:
            self.shares.give_back(owner)
        self._left.set()

    def count(self) -> int:
        """How many answers this process writes."""
        return len(self._tasks)

    def find(self, response_id: str) -> Run | None:
        """The run of this response, while this process writes it."""
        return self._runs.get(response_id)

    def let_go(self, response_id: str, epoch: str) -> None:
        """Stop writing this response, which is another's from now on; says so when the model's connection is closed.

        `epoch` is that of whoever took it; it may be a run of this very process. Empty when it was deleted.
        """
        run = self._runs.get(response_id)
        if run is not None and not _outranks(epoch, run.epoch):
            return
        if run is None:  # the run has ended already, or has yet to begin
            if self._reserved:
                self._taken_early[response_id] = epoch
            self.keep(self._release(response_id))
        elif not run.is_let_go:  # not twice: a second cancellation would interrupt the closing of the connection
            run.let_go(is_erased=not epoch)
            # A task that is cancelled before its first step never ends.
            asyncio.get_running_loop().call_soon(self._cancel, run)

    def start(self, brief: Brief) -> Run:
        """Begin the run; it needs no follower to go on."""
        limits, is_takeover = self._limits, not brief.opening
        self._observer.notice(RunStarted(brief.response.id, brief.model_request.model, is_takeover))
        run = Run(
            brief,
            store=self._store,
            observer=self._observer,
            lease_s=limits.lease_s,
            meter=self.meter,
            max_kept_bytes=limits.max_kept_bytes,
            signals_a_waypoint=limits.signals_a_waypoint,
        )
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._execute(run, brief), name=run.response.id)
        self._tasks[run] = task
        self.shares.take(brief.owner)
        self._runs[run.response.id] = run
        task.add_done_callback(lambda _: self._leave(run, brief.owner))
        taken_by = self._taken_early.pop(run.response.id, None)
        if taken_by is not None and _outranks(taken_by, run.epoch):  # cancelled between its admission and now
            run.let_go(is_erased=not taken_by)
        if self._is_closed or run.is_let_go:  # its task begins, and is then cancelled like the others
            loop.call_soon(self._cancel, run)
        return run

    def discard(self, response_id: str) -> None:
        """Stop a response that is not stored, and erase it: it was delivered, or its client has left."""
        self.keep(self._discard(response_id))

    async def _discard(self, response_id: str) -> None:
        run = self._runs.get(response_id)
        if run is not None and not run.is_let_go:
            run.let_go(is_erased=True)
            self._cancel(run)
            await asyncio.wait([self._tasks[run]])
        try:
            await self._store.discard(response_id)
        except Unavailable as error:
            log.warning("not_discarded", response_id=response_id, code=error.code)  # it expires by itself

    async def _execute(self, run: Run, brief: Brief) -> None:
        structlog.contextvars.bind_contextvars(response_id=run.response.id)
        began = time.perf_counter()
        answering = Answering(
            brief,
            model=self._model,
            sealer=self._sealer,
            hosted_tools=self._hosted_tools,
            max_bytes=self._limits.max_answer_bytes,
        )
        tracing = self._tracing.trace_run(brief.response, brief.model_request, is_takeover=not brief.opening)
        with tracing as trace:
            try:
                await run.execute(answering, max_run_s=self._limits.max_run_s)
                self._learn(run, brief, answering)
                if run.outcome is not None:
                    self.after_commit(brief, run.outcome)
            finally:
                if run.is_erased:
                    self.keep(run.settle_erased())
                self._tell_end(run, brief, time.perf_counter() - began, trace)
                self._forget(run)  # from here on the store answers for it
                if run.is_let_go:
                    await self._release(run.response.id)

    def _learn(self, run: Run, brief: Brief, answering: Answering) -> None:
        usage = _find_reported(run.outcome.response) if run.outcome else None
        if usage and answering.comparable_tokens:
            model = brief.model_request.model
            self._calibration.learn(
                model, owner=brief.owner, estimated=answering.comparable_tokens, reported=usage.input_tokens
            )

    def _tell_end(self, run: Run, brief: Brief, took_s: float, trace: RunTrace) -> None:
        code, ending = run.error.code if run.error else None, _status(run)
        ended = run.outcome.response if run.outcome else None
        first_token_ms = run.outcome.first_token_ms if run.outcome else None
        log.info("run_ended", status=ending, code=code, took_ms=round(took_s * 1000, 1), first_token_ms=first_token_ms)
        trace.end(ending, response=ended, code=code)
        if ended is not None:
            model = brief.model_request.model
            self._observer.notice(RunEnded(ended.id, model, ended.status, code, _find_reported(ended), took_s))

    async def drain(self, within_s: float) -> None:
        """Refuse new runs, wait for those under way, and hand over what still runs after `within_s`."""
        self._is_draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._tasks or self._reserved or self._attended:
                    self._left.clear()
                    await self._left.wait()
        await self.close()

    async def close(self) -> None:
        """Hand over what is still running: another replica goes on with it."""
        self._is_draining = self._is_closed = True
        await asyncio.sleep(0)  # a task that is cancelled before its first step never comes to its end
        for run in self._tasks:
            self._cancel(run)
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=HAND_OVER_S)

    def _cancel(self, run: Run) -> None:
        """Stop it. One that is ending is over soon."""
        if run in self._tasks and not run.is_ending:
            self._tasks[run].cancel()

    def keep(self, work: Awaitable[None]) -> None:
        """Let this work, which raises nothing, run to its end; asyncio itself keeps only a weak reference to a task."""
        task = asyncio.ensure_future(work)
        self._releases.add(task)
        task.add_done_callback(self._releases.discard)

    def _forget(self, run: Run) -> None:
        """Forget this run, unless the response has a newer one here: this process may have taken over its own."""
        if self._runs.get(run.response.id) is run:
            del self._runs[run.response.id]

    def _leave(self, run: Run, owner: str) -> None:
        del self._tasks[run]
        self.shares.give_back(owner)
        self._forget(run)
        self._observer.notice(RunLeft(run.response.id))
        self._left.set()


class HeldPlace:
    """A place that is given back at the end of its context; no generator, since each turn has one."""

    __slots__ = ("_give_back",)

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back = give_back

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._give_back()


def _leave_it(brief: Brief, outcome: Outcome) -> None:
    """Nothing comes after it."""


def _outranks(epoch: str, other: str) -> bool:
    """Whether a message from `epoch` stops a run under the `other`; a deletion has no epoch and stops every run."""
    return not epoch or _count(epoch) > _count(other)


def _count(epoch: str) -> int:
    """An epoch is a count, and behind a point the call that raised it."""
    return int(epoch.partition(".")[0])


def _find_reported(ended: Response) -> Usage | None:
    """What the model's server has reported, all of it; nothing is learned from estimates, nor counted."""
    return None if ended.usage_estimated else ended.usage


def _status(run: Run) -> str:
    """How it ended, for the log."""
    if run.outcome is not None:
        return run.outcome.response.status
    return "let_go" if run.is_let_go else "handed_over" if run.is_handed_over else "lost"
