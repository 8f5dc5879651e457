"""A run: one response on its way from the model into the log, and to whoever follows.

It asks the model, narrates its signals as events, and writes them down in groups: an append that finds none in flight
goes out at once, what arrives meanwhile goes together. No timers: latency is one round trip when idle, and groups grow
by themselves under load. An event is published to followers only after Redis has acknowledged its group (promise 2).

A run ends in one commit. A reader that leaves changes nothing; cancelling its task (the process leaves) hands the
response over: another replica goes on with it where it stands.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

import structlog
from msgspec.structs import replace

from prompts.answer.call_filter import Offer
from prompts.answer.events import Event, Narration, encode
from prompts.answer.thought_seals import ThoughtSeals
from prompts.domain.items import Item
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import ModelInput, Response, ResponseError
from prompts.domain.signals import Finished, Signal, get_size, pack
from prompts.errors import (
    InternalError,
    ReplicaLost,
    ServiceError,
    StaleRun,
    TailLost,
    Unavailable,
    UpstreamError,
    UpstreamTimeout,
)
from prompts.history.model_input import calibrate
from prompts.ports.chat_model import ChatModel
from prompts.ports.event_log import Group
from prompts.ports.responses import Outcome, ResponseStore
from prompts.ports.sealing import Sealer
from prompts.run.ending import describe
from prompts.run.follower_buffer import MAX_AT_ONCE, RecentEvents
from prompts.run.log_writer import LogWriter

log = structlog.get_logger(__name__)

# A third of the lease: two renewals may fail before it is lost.
RENEWALS_A_LEASE = 3
# 32 MB of text is what a terminal event of a few seconds' worth of network can carry; no model writes a tenth of it.
MAX_ANSWER_CHARACTERS = 8_000_000


@dataclass(frozen=True, slots=True)
class Brief:
    """What a run is given: whose response it writes and under which epoch, what the model is asked, what is told.

    `narration` stands where the log ends. `opening` are the events of an admission, which nobody has seen yet; `shown`
    is the text of an answer that is taken over, which the model is to go on with.
    """

    response: Response
    owner: str
    epoch: str
    input: Sequence[Item]
    model_request: ModelRequest
    model_input: ModelInput
    items: Sequence[Item]
    """What the model is given."""
    narration: Narration
    opening: Sequence[Event] = ()
    shown: str = ""
    pending: Sequence[Signal] = ()
    """What is to be told before the model says anything."""


@dataclass(frozen=True, slots=True)
class Telling:
    """Signals on their way to the log, and the events that are published when they are there."""

    events: Sequence[Event]
    group: Group


class Run:
    """One response being written by this process: who follows it sees every event from the first."""

    def __init__(self, brief: Brief, *, store: ResponseStore, sealer: Sealer, lease_s: float) -> None:
        self.response = brief.response
        self.epoch = brief.epoch
        self.outcome: Outcome | None = None
        self.error: ServiceError | None = None
        self.is_let_go = False
        """Whether it was taken away; whoever took it may be waiting for the model's connection to be closed."""
        self.is_handed_over = False
        """Whether this process has asked others to go on with it."""
        self._brief = brief
        self._writer = LogWriter(brief.response.id, owner=brief.owner, epoch=brief.epoch, store=store, lease_s=lease_s)
        self._renewal_s = lease_s / RENEWALS_A_LEASE
        self._narration = brief.narration
        self._recent = RecentEvents(brief.opening, before=self._narration.next_number - 1 - len(brief.opening))
        self._size = len(brief.shown)
        self._pending: list[Signal] = [*brief.pending]
        self._offer = Offer(brief.model_request)
        wants_seals = brief.model_request.wants_encrypted_reasoning
        self._seals = ThoughtSeals(partial(sealer.seal, brief.owner, "reasoning") if wants_seals else None)
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._published = asyncio.Event()
        self._writing: asyncio.Future[None] | None = None
        self._unwritten: Telling | None = None
        self._is_over = False

    async def follow(self, *, after: int, quiet_s: float) -> AsyncIterator[Sequence[Event]]:
        """Events above the number `after`, in the groups that are ready; an empty one after `quiet_s`.

        Ends after the terminal event; or before it, when the rest has to be read from the log: the run was let go, or
        the reader fell further behind than a process keeps.
        """
        while True:
            published = self._published
            ready = self._recent.find(after)
            if ready is None or (not ready and self._is_over):
                return
            if ready:
                after = ready[-1].sequence_number
                yield ready
            else:
                try:
                    async with asyncio.timeout(quiet_s):
                        await published.wait()
                except TimeoutError:
                    yield ()

    @property
    def last_number(self) -> int:
        """The number of the latest event that was published."""
        return self._recent.last_number

    def let_go(self) -> None:
        """The response is another's from now on: nothing more is written, not even an end."""
        self.is_let_go = True

    async def wait(self) -> None:
        """Until the run is over, with `outcome` set, or without one when it was lost to another replica."""
        while not self._is_over:
            await self._published.wait()

    async def execute(self, model: ChatModel, *, max_run_s: float) -> None:
        """Ask the model and see the response to its end. Cancelled: what was written is kept, and handed over."""
        try:
            await self._execute(model, max_run_s)
        except StaleRun:
            if not self.is_let_go:
                log.warning("run_lost")
        except TailLost:
            await self._give_up()
        except Unavailable as error:
            # Nothing more can be written: the lease expires, and whoever looks after expired leases goes on with it.
            log.warning("run_not_ended", code=error.code)
        finally:
            if self.outcome is None:
                self.error = None  # how the response ends is for others to say
            self._is_over = True
            self._publish([])

    async def _execute(self, model: ChatModel, max_run_s: float) -> None:
        """Raises StaleRun, TailLost, Unavailable: what writing fails at. What the model fails at is an end to write."""
        try:
            finished = await self._answer(model, max_run_s)
        except (StaleRun, TailLost, Unavailable):
            raise
        except ServiceError as error:
            await self._fail(error)
        except asyncio.CancelledError:
            if self.is_let_go:
                raise StaleRun from None
            if self.response.store:
                await self._hand_over()
            else:  # what is not stored cannot go on elsewhere
                await self._fail(ReplicaLost("The replica that wrote this answer has left. Send the input again."))
            raise
        except Exception:
            log.exception("run_crashed")
            message = "The server made a mistake while it wrote this answer. Send the input again."
            await self._fail(InternalError(message))
        else:
            await self._end(finished, None)

    async def _answer(self, model: ChatModel, max_run_s: float) -> Finished:
        try:
            async with asyncio.timeout(max_run_s), asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(self._write_down())
                finished = await self._read(model)
                writing.cancel()
        except TimeoutError:
            raise UpstreamTimeout(f"The answer took longer than the {max_run_s:g} s one may take.") from None
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None  # reader and writer: the first to fail is the reason
        return finished

    async def _read(self, model: ChatModel) -> Finished:
        brief = self._brief
        async with model.stream(brief.model_request, brief.items, shown=brief.shown) as answer:
            async for signals in answer:
                match signals:
                    case [*rest, Finished() as finished]:  # the end is written down by the commit
                        self._take(rest)
                        self._pending += self._seals.finish()
                        return finished
                self._take(signals)
                self._arrived.set()
                while len(self._pending) >= MAX_AT_ONCE:  # a model that is faster than Redis waits
                    self._taken.clear()
                    await self._taken.wait()
        raise UpstreamError("The model's answer broke off before its end. Send the input again.")

    def _take(self, signals: Sequence[Signal]) -> None:
        self._pending += self._seals.admit(self._offer.admit(signals))
        self._size += sum(map(get_size, signals))
        if self._size > MAX_ANSWER_CHARACTERS:
            raise UpstreamError(
                f"The model's answer is longer than {MAX_ANSWER_CHARACTERS:,} characters.", is_final=True
            )

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
        events = self._narration.tell(signals)
        group = Group(after, self._narration.next_number - 1, pack(signals) if signals else b"")
        self._unwritten = Telling(events, group)
        return self._unwritten

    async def _append(self, telling: Telling) -> None:
        await self._writer.append(telling.group)
        self._unwritten = None
        self._publish(telling.events)

    async def _settle(self) -> None:
        """See the group in flight to its end; one that Redis never acknowledged goes first, or the log had a hole."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        if self._unwritten is not None:
            await self._append(self._unwritten)

    async def _fail(self, error: ServiceError) -> None:
        self.error = error
        await self._end(None, ResponseError(error.response_code, error.message))

    async def _end(self, finished: Finished | None, error: ResponseError | None) -> None:
        """Settle and commit; a cancellation waits for that, or nobody knew how the response ended.

        Raises StaleRun, TailLost, Unavailable, also when it is cancelled: then there is something left to do.
        """
        ending = asyncio.ensure_future(self._settle_and_commit(finished, error))
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await ending
            raise

    async def _settle_and_commit(self, finished: Finished | None, error: ResponseError | None) -> None:
        await self._settle()
        signals, self._pending = self._pending, []
        after = self._narration.next_number - 1
        events = self._narration.tell(signals)
        signals += [finished] if finished else []
        ended = self._narration.end(completed_at=int(time.time()), finished=finished, error=error)
        ended = replace(ended, model_input=calibrate(self._brief.model_input))
        result = encode(ended)
        events += self._narration.closing(ended, result)
        items: list[Item] = [] if error else [*self._brief.input, *ended.output]
        failure = describe(self.error) if self.error else None
        outcome = Outcome(response=ended, result=result, items=items, failure=failure)
        await self._writer.commit(outcome, Group(after, events[-1].sequence_number, pack(signals)))
        self.outcome = outcome
        self._publish(events)

    async def _hand_over(self) -> None:
        """Write down what is here, and let another replica go on. Raises StaleRun, TailLost, Unavailable."""
        await self._settle()
        if self._pending:
            await self._append(self._tell_pending())
        await self._writer.release()
        self.is_handed_over = True

    async def _give_up(self) -> None:
        """The log has lost what followers have seen, and it is no longer here: the response is to end as failed."""
        try:
            await self._writer.release(is_broken=True)
        except (StaleRun, ServiceError) as error:
            log.warning("run_not_given_up", reason=type(error).__name__)
        else:
            log.error("run_given_up", detail="a fail-over of Redis has lost a part of this answer")

    def _publish(self, events: Sequence[Event]) -> None:
        self._recent.add(events)
        published, self._published = self._published, asyncio.Event()
        published.set()


def _retrieve(writing: asyncio.Future[None]) -> None:
    """What a group failed at is told by whoever waits for it; when nobody does any more, it concerns nobody."""
    if not writing.cancelled():
        writing.exception()
