"""A run: one response on its way from the model into the log, and to whoever follows.

It narrates the signals of `Answering` as events, and writes them down in groups: an append that finds none in flight
goes out at once, what arrives meanwhile goes together. No timers: latency is one round trip when idle, and groups grow
by themselves under load. An event is published to followers only after Redis has acknowledged its group
(docs/architecture.md, promise 2).

A run ends in one commit. A reader that leaves changes nothing; cancelling its task (the process leaves) hands the
response over: another replica goes on with it where it stands.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import structlog

from prompts.answer.events import Event
from prompts.domain.signals import Finished, Signal, get_size, pack
from prompts.errors import InternalError, ReplicaLost, ServiceError, StaleRun, TailLost, Unavailable, UpstreamTimeout
from prompts.ports.event_log import Group
from prompts.ports.observer import Appended, FirstTokenCame, Observer, RunHandedOver, RunLost
from prompts.ports.responses import Outcome, ResponseStore
from prompts.ports.token_meter import UNMETERED, TokenMeter
from prompts.run.answering import Answering
from prompts.run.brief import Brief
from prompts.run.ending import Conclusion, conclude, conclude_unread, is_passing
from prompts.run.follower_buffer import MAX_AT_ONCE, MAX_KEPT_BYTES, FollowerBuffer
from prompts.run.log_writer import LogWriter
from prompts.run.metering import count_used, find_reservation
from prompts.run.quiet import Quiet
from prompts.run.usage import sum_usage
from prompts.run.waypoints import SIGNALS_A_WAYPOINT, WaypointPace

log = structlog.get_logger(__name__)

# A third of the lease: two renewals may fail before it is lost.
RENEWALS_A_LEASE = 3
CRASHED = "The server made a mistake while it wrote this answer. Send the input again."


@dataclass(frozen=True, slots=True)
class Telling:
    """Signals on their way to the log, and the events that are published when they are there."""

    events: Sequence[Event]
    group: Group


class Run:
    """One response that this process writes."""

    def __init__(
        self,
        brief: Brief,
        *,
        store: ResponseStore,
        observer: Observer,
        lease_s: float,
        meter: TokenMeter = UNMETERED,
        max_kept_bytes: int = MAX_KEPT_BYTES,
        signals_a_waypoint: int = SIGNALS_A_WAYPOINT,
    ) -> None:
        self.response = brief.response
        self.epoch = brief.epoch
        self.outcome: Outcome | None = None
        self.error: ServiceError | None = None
        self.is_let_go = False
        """Whether it was taken away; whoever took it may be waiting for the model's connection to be closed."""
        self.is_erased = False
        """Whether the response was taken away to be erased: nobody else ends it."""
        self.is_handed_over = False
        """Whether this process has asked others to go on with it."""
        self._brief = brief
        self._observer = observer
        self._reservation = find_reservation(brief.response, brief.model_request, owner=brief.owner, meter=meter)
        self._writer = LogWriter(brief.response.id, owner=brief.owner, epoch=brief.epoch, store=store, lease_s=lease_s)
        self._renewal_s = lease_s / RENEWALS_A_LEASE
        self._narration = brief.narration
        self._waypoints = WaypointPace(signals_a_waypoint)
        before = self._narration.next_number - 1 - len(brief.opening)
        self._buffer = FollowerBuffer(brief.opening, before=before, max_bytes=max_kept_bytes)
        self._pending: list[Signal] = []
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._published = asyncio.Event()
        self._writing: asyncio.Future[None] | None = None
        self._unwritten: Telling | None = None
        self._untold: list[Signal] = []
        self._first_token_ms: int | None = None
        """Signals that have told nothing yet: what may become a citation is held back. A group has events."""
        self._is_over = False

    async def follow(self, *, after: int, quiet: Quiet) -> AsyncIterator[Sequence[Event]]:
        """Events above the number `after`, in the groups that are ready; an empty one whenever `quiet` is due.

        Ends after the terminal event; or before it, when the rest has to be read from the log: the run was let go, or
        the reader fell further behind than a process keeps.
        """
        while True:
            published = self._published
            ready = self._buffer.find(after)
            if ready is None or (not ready and self._is_over):
                return
            if ready:
                after = ready[-1].sequence_number
                quiet.restart()
                yield ready
                if len(ready) == MAX_AT_ONCE:
                    await asyncio.sleep(0)  # a connection with room takes all of it, and nobody else would have a turn
            else:
                try:
                    async with asyncio.timeout_at(quiet.due):
                        await published.wait()  # a renewal of the lease says so too, and tells nobody anything
                except TimeoutError:
                    quiet.restart()
                    yield ()

    @property
    def last_number(self) -> int:
        """The number of the latest event that was published."""
        return self._buffer.last_number

    def let_go(self, *, is_erased: bool = False) -> None:
        """Stop writing: another run has the response from now on, or it is erased."""
        self.is_let_go, self.is_erased = True, is_erased

    async def settle_erased(self) -> None:
        """Of a response that was erased under its run: settle what it has used until then, about. Raises nothing."""
        if self._reservation is not None and self.is_erased and self.outcome is None:
            used, _ = sum_usage(self._narration, self._brief.model_input, finished=None)
            await self._reservation.settle(count_used(used))

    async def wait(self) -> None:
        """Until the run is over, with `outcome` set, or without one when it was lost to another replica."""
        while not self._is_over:
            await self._published.wait()

    async def execute(self, answering: Answering, *, max_run_s: float) -> None:
        """Write the answer down, to the response's end. Cancelled: what was written is kept, and handed over."""
        try:
            await self._execute(answering, max_run_s)
        except StaleRun:
            if not self.is_let_go:
                log.warning("run_lost")
                self._observer.notice(RunLost(self.response.id))
        except TailLost:
            await self._give_up()
        except Unavailable as error:
            # The lease expires, and another replica takes the response over.
            log.warning("run_not_ended", code=error.code)
            self._observer.notice(RunLost(self.response.id))
        finally:
            if self.outcome is None:
                self.error = None  # another run ends the response
            self._is_over = True
            self._publish([])

    async def _execute(self, answering: Answering, max_run_s: float) -> None:
        """Write to the end; a failure of the model is an end as well. Raises StaleRun, TailLost, Unavailable."""
        try:
            finished = await self._answer(answering, max_run_s)
        except (StaleRun, TailLost, Unavailable):
            raise
        except ServiceError as error:
            await self._fail(error)
        except asyncio.CancelledError:
            if self.is_let_go:
                raise StaleRun from None
            if self.response.store:
                await self._hand_over()
            else:  # a response that is not stored cannot be taken over
                await self._fail(ReplicaLost("The replica that wrote this answer has left. Send the input again."))
            raise
        except Exception:
            log.exception("run_crashed")
            await self._fail(InternalError(CRASHED))
        else:
            await self._end(finished)

    async def _answer(self, answering: Answering, max_run_s: float) -> Finished:
        try:
            async with asyncio.timeout(max_run_s), asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(self._write_down())
                finished = await self._read(answering)
                writing.cancel()
        except TimeoutError:
            raise UpstreamTimeout(f"The answer took longer than the {max_run_s:g} s one may take.") from None
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None  # the first of reader and writer to fail is the reason
        return finished

    async def _read(self, answering: Answering) -> Finished:
        began = time.monotonic() if self._brief.opening else None
        async with aclosing(answering.signals(self._written)) as groups:
            async for signals in groups:
                match signals:
                    case [Finished() as finished]:  # the end is written down by the commit
                        return finished
                if began is not None and any(map(get_size, signals)):
                    self._notice_first_token(time.monotonic() - began)
                    began = None
                self._pending += signals
                self._arrived.set()
                while len(self._pending) >= MAX_AT_ONCE:  # back-pressure: the model is faster than Redis
                    self._taken.clear()
                    await self._taken.wait()
        raise AssertionError("an answer ends with a Finished")

    def _notice_first_token(self, after_s: float) -> None:
        self._first_token_ms = round(after_s * 1000)
        self._observer.notice(FirstTokenCame(self.response.id, self._brief.model_request.model, after_s))

    async def _written(self) -> None:
        """Returns when every signal that was read is in the log."""
        self._arrived.set()
        while self._pending or self._unwritten is not None:
            await self._published.wait()

    async def _write_down(self) -> None:
        """Append what has arrived, group by group; when nothing arrives, keep the lease."""
        while True:
            try:
                async with asyncio.timeout(self._renewal_s):
                    await self._arrived.wait()
            except TimeoutError:
                pass
            # Shielded: a group in flight when the reader ends is finished, so that the commit follows it in order.
            self._writing = asyncio.ensure_future(self._append(self._tell_pending()))
            self._writing.add_done_callback(_retrieve)
            await asyncio.shield(self._writing)

    def _tell_pending(self) -> Telling:
        self._arrived.clear()
        self._taken.set()
        signals, self._pending = self._pending, []
        after = self._narration.next_number - 1
        self._narration.begin_group()
        events = self._narration.tell(signals)
        self._untold += signals
        # A group without an event has no number of its own: it is not in the log, nor would its waypoint be.
        waypoint = self._waypoints.pass_group(self._narration, len(signals)) if events else b""
        group = Group(after, self._narration.next_number - 1, self._pack_told() if events else b"", waypoint)
        self._unwritten = Telling(events, group)
        return self._unwritten

    def _pack_told(self) -> bytes:
        untold, self._untold = self._untold, []
        return pack(untold)

    async def _append(self, telling: Telling) -> None:
        began = time.perf_counter()
        await self._writer.append(telling.group)
        self._observer.notice(Appended(time.perf_counter() - began))
        self._unwritten = None
        self._publish(telling.events)

    async def _settle(self) -> None:
        """Finish the group in flight; write it again if Redis did not acknowledge it, or the log had a hole."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        if self._unwritten is not None:
            await self._append(self._unwritten)

    async def _fail(self, error: ServiceError) -> None:
        self.error = error
        await self._end(None)

    async def _end(self, finished: Finished | None) -> None:
        """Settle and commit. A cancellation waits for the commit, so that the outcome is known.

        Raises StaleRun, TailLost, Unavailable, also when it is cancelled: then there is something left to do.
        """
        ending = asyncio.ensure_future(self._settle_and_commit(finished))
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await ending
            raise

    async def _settle_and_commit(self, finished: Finished | None) -> None:
        await self._settle()
        signals, self._pending = self._pending, []
        try:
            conclusion = self._conclude(signals, finished)
            await self._commit(conclusion)
        except Exception as error:
            if is_passing(error) or isinstance(error, TailLost):
                raise
            log.exception("end_crashed")  # it would crash on every replica: it ends without its answer
            conclusion = self._conclude_unread()
            await self._commit(conclusion)
        self.outcome = conclusion.outcome
        self._publish(conclusion.events)

    async def _commit(self, conclusion: Conclusion) -> None:
        """The tokens are settled beside it, so that they are when the client asks next."""
        committing = self._writer.commit(conclusion.outcome, conclusion.last)
        if self._reservation is None:
            await committing
            return
        used = count_used(conclusion.outcome.response.usage)
        await asyncio.gather(committing, self._reservation.settle(used))

    def _conclude(self, signals: Sequence[Signal], finished: Finished | None) -> Conclusion:
        concluded = conclude(
            self._narration,
            given=self._brief.input,
            account=self._brief.model_input,
            now_s=int(time.time()),
            untold=self._untold,
            signals=signals,
            finished=finished,
            error=self.error,
        )
        return replace(concluded, outcome=replace(concluded.outcome, first_token_ms=self._first_token_ms))

    def _conclude_unread(self) -> Conclusion:
        self.error = self.error or InternalError(CRASHED)
        number = self._buffer.last_number + 1
        return conclude_unread(self.response, error=self.error, last=Group(number - 1, number, b"[]"))

    async def _hand_over(self) -> None:
        """Write down what is here, and let another replica go on. Raises StaleRun, TailLost, Unavailable."""
        await self._settle()
        if self._pending:
            await self._append(self._tell_pending())
        await self._writer.release()
        self.is_handed_over = True
        self._observer.notice(RunHandedOver(self.response.id))

    async def _give_up(self) -> None:
        """The log has lost what followers have seen, and it is no longer here: the response is to end as failed."""
        try:
            await self._writer.release(is_broken=True)
        except (StaleRun, ServiceError) as error:
            log.warning("run_not_given_up", reason=type(error).__name__)
        else:
            log.error("run_given_up", detail="a fail-over of Redis has lost a part of this answer")

    def _publish(self, events: Sequence[Event]) -> None:
        self._buffer.add(events)
        published, self._published = self._published, asyncio.Event()
        published.set()


def _retrieve(writing: asyncio.Future[None]) -> None:
    """Retrieve the exception, or asyncio warns about it; whoever waits for the group is told it as well."""
    if not writing.cancelled():
        writing.exception()
