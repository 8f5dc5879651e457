"""A run: one response on its way from the model into the log, and to whoever follows.

It narrates the signals of `Answering` as events, and writes them down in groups: an append that finds none in flight
goes out at once, what arrives meanwhile goes together. Latency is one round trip when idle, and groups grow by
themselves under load. An event is published to followers only after Redis has acknowledged its group
(docs/architecture.md, promise 2). A group costs no task and no timer: the log's writer calls back when Redis has it.

A run ends in one commit. A reader that leaves changes nothing; cancelling its task (the process leaves) hands the
response over: another replica goes on with it where it stands.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from contextvars import Context, copy_context
from typing import Any

import structlog
from msgspec import Struct

from prompts.alarms import Alarm, Limit
from prompts.answer.events import Event
from prompts.domain.signals import Finished, Signal, Text, get_size, pack
from prompts.errors import InternalError, ReplicaLost, ServiceError, StaleRun, TailLost, Unavailable, UpstreamTimeout
from prompts.flag import Flag
from prompts.ports.event_log import Group
from prompts.ports.observer import Appended, FirstTokenCame, Observer, RunHandedOver, RunLost
from prompts.ports.responses import Outcome, ResponseStore
from prompts.ports.token_meter import UNMETERED, TokenMeter
from prompts.run.answering import Answering
from prompts.run.brief import Brief
from prompts.run.ending import Conclusion, conclude, conclude_unread, is_passing
from prompts.run.follower_buffer import MAX_AT_ONCE, MAX_KEPT_BYTES, FollowerBuffer
from prompts.run.listener import Listener
from prompts.run.log_writer import LogWriter
from prompts.run.metering import count_used, find_reservation
from prompts.run.outlet import Outlet
from prompts.run.quiet import Quiet
from prompts.run.usage import sum_usage
from prompts.run.waypoints import SIGNALS_A_WAYPOINT, WaypointPace

log = structlog.get_logger(__name__)

# A third of the lease: two renewals may fail before it is lost.
RENEWALS_A_LEASE = 3
UNANSWERED = "The conversation store has not answered. Try again in a moment."
CRASHED = "The server made a mistake while it wrote this answer. Send the input again."


class Telling(Struct, frozen=True):
    """Signals on their way to the log, and the events that are published when they are there."""

    events: Sequence[Event]
    group: Group


class Run:
    """One response that this process writes."""

    __slots__ = (
        "_brief",
        "_buffer",
        "_context",
        "_failure",
        "_first_token_ms",
        "_handed_at",
        "_is_called",
        "_is_urgent",
        "_is_writing",
        "_listeners",
        "_loop",
        "_narration",
        "_observer",
        "_over",
        "_pending",
        "_reader",
        "_renewal",
        "_renewal_s",
        "_reservation",
        "_room",
        "_untold",
        "_unwritten",
        "_waiting",
        "_waypoints",
        "_writer",
        "_writing_again",
        "epoch",
        "error",
        "is_ending",
        "is_erased",
        "is_handed_over",
        "is_let_go",
        "outcome",
        "response",
    )

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
        self.is_ending = False
        """Whether nobody may cancel its task any more: what is committed comes to its end, so that it is known."""
        self._loop = asyncio.get_running_loop()
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
        self._room: asyncio.Future[None] | None = None
        """The reader waits until what is pending is taken."""
        self._listeners: set[Listener] = set()
        self._waiting: list[asyncio.Future[None]] = []
        """Who waits for the next acknowledgement."""
        self._is_writing = False
        """Whether a group is in flight."""
        self._unwritten: Telling | None = None
        self._is_called = False
        """Whether the event loop is about to begin writing."""
        self._writing_again: asyncio.Task[None] | None = None
        """Tries, until the lease is lost, to write the group in flight, which could not be written at once."""
        self._is_urgent = False
        """Whether somebody waits for the next group's first word."""
        self._handed_at = 0.0
        self._failure: BaseException | None = None
        """Why the log cannot be written any more."""
        self._reader: asyncio.Task[Any] | None = None
        """The task that reads the answer, while it does."""
        self._context: Context
        """That of this task: text that is taken comes in the name of none."""
        self._renewal = Alarm(self._renew)
        self._untold: list[Signal] = []
        """Signals that have told nothing yet: what may become a citation is held back. A group has events."""
        self._first_token_ms: int | None = None
        self._over = Flag()

    def listen(self, *, after: int, quiet: Quiet, outlet: Outlet | None = None) -> Listener:
        """A reader of the events above the number `after`, to be entered."""
        return Listener(
            self._buffer,
            after=after,
            quiet=quiet,
            outlet=outlet,
            among=self._listeners,
            over=self._over,
            loop=self._loop,
        )

    @property
    def last_number(self) -> int:
        """The number of the latest event that was published."""
        return self._buffer.last_number

    def expect_no_reader(self) -> None:
        """Nobody is about to follow it here: its events need not be kept."""
        self._buffer.is_read = True

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
        await self._over.wait()

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
            self._over.set()
            self._wake_all()

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
        """Read the answer to its end, and write it down meanwhile. What the log fails at ends the reading."""
        self._reader = task = _current_task()
        self._context = copy_context()
        cancellations = task.cancelling()
        self._renewal.due = self._loop.time() + self._renewal_s
        self._renewal.start(self._loop)
        try:
            with Limit(self._loop.time() + max_run_s):
                return await self._read(answering)
        except TimeoutError:
            raise UpstreamTimeout(f"The answer took longer than the {max_run_s:g} s one may take.") from None
        except asyncio.CancelledError:
            # Cancelled by somebody else as well: that goes on.
            if self._failure is None or task.uncancel() > cancellations:
                raise
            raise self._failure from None
        finally:
            self._reader = None
            self._renewal.stop()

    async def _read(self, answering: Answering) -> Finished:
        began = time.monotonic() if self._brief.opening else None
        finished: Finished | None = None
        async with aclosing(answering.signals(self._written, self._take)) as groups:
            async for signals in groups:  # to its end: to be closed before costs each generator an exception
                match signals:
                    case [Finished() as finished]:  # the end is written down by the commit
                        continue
                if began is not None and any(map(get_size, signals)):
                    self._notice_first_token(time.monotonic() - began)
                    began = None
                self._add(signals)
                while len(self._pending) >= MAX_AT_ONCE:  # back-pressure: the model is faster than Redis
                    self._room = self._loop.create_future()
                    await self._room
        assert finished is not None, "an answer ends with a Finished"
        return finished

    def _take(self, texts: Sequence[Text]) -> bool:
        """Take text that goes past the reader while it waits; it sees what is too much, and then waits for Redis."""
        if self._reader is None or self._failure is not None or len(self._pending) + len(texts) >= MAX_AT_ONCE:
            return False
        self._pending += texts
        if not (self._is_writing or self._is_called):  # nothing of the end came with it
            self._write_pending()
        return True

    def _add(self, signals: Sequence[Signal]) -> None:
        self._pending += signals
        if not (self._is_writing or self._is_called):
            self._is_called = True
            self._loop.call_soon(self._begin_writing, context=self._context)

    def _notice_first_token(self, after_s: float) -> None:
        self._first_token_ms = round(after_s * 1000)
        self._is_urgent = True
        self._observer.notice(FirstTokenCame(self.response.id, self._brief.model_request.model, after_s))

    async def _written(self) -> None:
        """Returns when every signal that was read is in the log."""
        while self._pending or self._unwritten is not None:
            await self._expect_news()

    def _write_pending(self) -> None:
        """Hand what has arrived to the log's writer, as one group; without any the lease is kept. Raises nothing."""
        if self._failure is not None:
            return
        try:
            telling = self._tell_pending()
        except Exception as error:  # noqa: BLE001  # raised again by whoever reads or settles
            self._break_off(error)
            return
        is_urgent, self._is_urgent = self._is_urgent, False
        self._renewal.due = self._loop.time() + self._renewal_s
        self._handed_at = time.perf_counter()
        self._is_writing = True
        self._writer.hand(telling.group, self._note_written, is_urgent=is_urgent)

    def _note_written(self, error: BaseException | None) -> None:
        """The log has the group, or it could not be written. Raises nothing."""
        telling = self._unwritten
        assert telling is not None
        if error is None:
            self._writer.acknowledge(telling.group)
            self._note_acknowledged(telling)
        elif isinstance(error, (Unavailable, TailLost)):
            self._context.run(self._write_again, telling, error)
        else:
            self._is_writing = False
            self._break_off(Unavailable(UNANSWERED) if isinstance(error, asyncio.CancelledError) else error)

    def _write_again(self, telling: Telling, error: Unavailable | TailLost) -> None:
        self._writing_again = self._loop.create_task(self._writer.append_again(telling.group, error))
        self._writing_again.add_done_callback(self._note_written_again)

    def _note_written_again(self, writing: asyncio.Task[None]) -> None:
        telling, self._writing_again = self._unwritten, None
        assert telling is not None
        error = Unavailable(UNANSWERED) if writing.cancelled() else writing.exception()
        if error is None:
            self._note_acknowledged(telling)
        else:
            self._is_writing = False
            self._break_off(error)

    def _note_acknowledged(self, telling: Telling) -> None:
        self._is_writing, self._unwritten = False, None
        self._observer.notice(Appended(time.perf_counter() - self._handed_at))
        self._publish(telling.events)
        if self._pending and self._reader is not None:
            self._write_pending()

    def _break_off(self, failure: BaseException) -> None:
        """The log cannot be written any more: whoever reads the answer need not go on."""
        self._failure = failure
        self._tell_waiting()
        if self._reader is not None:
            self._reader.cancel()  # once: a second cancellation would look like somebody else's

    def _renew(self) -> None:
        """Nothing was written for a while: keep the lease."""
        self._renewal.due = self._loop.time() + self._renewal_s
        if not self._is_writing:
            self._write_pending()

    def _begin_writing(self) -> None:
        """Behind all that came with the first signals: an answer that comes whole is written down by its commit."""
        self._is_called = False
        if self._pending and not self._is_writing and self._reader is not None:
            self._write_pending()

    def _tell_pending(self) -> Telling:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)
        signals, self._pending = self._pending, []
        narration = self._narration
        after = narration.next_number - 1
        events = narration.tell(signals, is_group=True)
        self._untold += signals
        # A group without an event has no number of its own: it is not in the log, nor would its waypoint be.
        if events:
            untold, self._untold = self._untold, []
            waypoint = self._waypoints.pass_group(narration, len(signals))
            group = Group(after, narration.next_number - 1, pack(untold), waypoint)
        else:
            group = Group(after, after, b"")
        self._unwritten = telling = Telling(events, group)
        return telling

    async def _settle(self) -> None:
        """Finish the group in flight. Raises what the log fails at."""
        while self._is_writing:
            await self._expect_news()
        if self._unwritten is not None and self._failure is not None:
            raise self._failure

    async def _fail(self, error: ServiceError) -> None:
        self.error = error
        await self._end(None)

    async def _end(self, finished: Finished | None) -> None:
        """Settle and commit. Raises StaleRun, TailLost, Unavailable."""
        self.is_ending = True
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
        self._buffer.add(conclusion.events)
        self._wake_all()  # the end is for the tasks of the readers

    async def _commit(self, conclusion: Conclusion) -> None:
        """The tokens are settled beside it, so that they are when the client asks next."""
        committing = self._writer.commit(conclusion.outcome, conclusion.last)
        if self._reservation is None:
            await committing
            return
        used = count_used(conclusion.outcome.response.usage)
        await asyncio.gather(committing, self._reservation.settle(used))

    def _conclude(self, signals: Sequence[Signal], finished: Finished | None) -> Conclusion:
        return conclude(
            self._narration,
            given=self._brief.input,
            account=self._brief.model_input,
            now_s=int(time.time()),
            untold=self._untold,
            signals=signals,
            finished=finished,
            error=self.error,
            first_token_ms=self._first_token_ms,
        )

    def _conclude_unread(self) -> Conclusion:
        self.error = self.error or InternalError(CRASHED)
        number = self._buffer.last_number + 1
        return conclude_unread(self.response, error=self.error, last=Group(number - 1, number, b"[]"))

    async def _hand_over(self) -> None:
        """Write down what is here, and let another replica go on. Raises StaleRun, TailLost, Unavailable."""
        await self._settle()
        if self._pending:
            self._write_pending()
            await self._settle()
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
        """Redis has them: they may be shown."""
        self._buffer.add(events)
        for listener in self._listeners:
            listener.hear(events)
        if self._waiting:
            self._tell_waiting()

    def _wake_all(self) -> None:
        for listener in self._listeners:
            listener.wake()
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for news in waiting:
            if not news.done():
                news.set_result(None)

    def _expect_news(self) -> asyncio.Future[None]:
        """Done when a group was acknowledged, or the run is over."""
        news = self._loop.create_future()
        self._waiting.append(news)
        return news


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a run is executed in a task")
    return task
