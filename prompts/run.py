"""A run: one response on its way from the model into the log, and to whoever follows.

It asks the model, narrates its signals as events, and writes them down in groups: an append that finds none in flight
goes out at once, what arrives meanwhile goes together. No timers: latency is one round trip when idle, and groups grow
by themselves under load. An event is published to followers only after Redis has acknowledged its group (promise 2).

A run ends in one commit. A reader that leaves changes nothing; cancelling its task (shutdown) saves what was written.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import structlog
from msgspec.structs import replace

from prompts.domain import Item, ModelInput, ModelMessage, ResponseError
from prompts.ending import describe
from prompts.errors import (
    InternalError,
    ReplicaLost,
    ServiceError,
    StaleRun,
    Unavailable,
    UpstreamError,
    UpstreamTimeout,
)
from prompts.events import Event, Finished, Narration, Signal, encode, pack
from prompts.ports import Admitted, ChatModel, Draft, Outcome, ResponseStore

log = structlog.get_logger(__name__)

# Between two tries while Redis is away: short enough to lose no time, long enough not to be load.
RETRY_S = 0.2
# A third of the lease: two renewals may fail before it is lost.
RENEWALS_A_LEASE = 3


# 32 MB of text is what a terminal event of a few seconds' worth of network can carry; no model writes a tenth of it.
MAX_ANSWER_CHARACTERS = 8_000_000
# Of a run's events, what a process keeps for followers; a reader further behind goes on from Redis.
MAX_KEPT_BYTES = 2_000_000
# What is told at once: a millisecond of the event loop, and what a connection holds for a reader that does not read.
MAX_AT_ONCE = 200


class Told:
    """The latest events of a run, by their numbers, in bounded memory."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events: deque[Event] = deque(events)
        self._size = sum(len(event.data) for event in events)

    def add(self, events: Sequence[Event]) -> None:
        """Keep these, and drop the oldest for them where there is no room."""
        self._events += events
        self._size += sum(len(event.data) for event in events)
        while self._size > MAX_KEPT_BYTES and len(self._events) > 1:
            self._size -= len(self._events.popleft().data)

    @property
    def last_number(self) -> int:
        """The number of the latest one."""
        return self._events[-1].sequence_number

    def find(self, after: int) -> Sequence[Event] | None:
        """Some of those above `after`, oldest first; None when the next is no longer here."""
        behind = self.last_number - after
        if behind > len(self._events):
            return None
        latest = list(islice(reversed(self._events), max(0, behind)))
        return latest[: -MAX_AT_ONCE - 1 : -1]


@dataclass(frozen=True, slots=True)
class Group:
    """Signals on their way to the log, and the events that are published when they are there."""

    events: Sequence[Event]
    packed: bytes
    last_number: int


class Run:
    """One response being written by this process: who follows it sees every event from the first."""

    def __init__(
        self,
        draft: Draft,
        admitted: Admitted,
        *,
        owner: str,
        store: ResponseStore,
        lease_s: float,
        model_input: ModelInput,
    ) -> None:
        """`admitted` has been written down with its opening events."""
        self.response = admitted.response
        self.outcome: Outcome | None = None
        self.error: ServiceError | None = None
        self._draft = draft
        self._epoch = admitted.epoch
        self._owner = owner
        self._store = store
        self._lease_s = lease_s
        self._model_input = model_input
        self._narration = Narration(admitted.response)
        self._told = Told(self._narration.opening())  # admission has written them down
        self._size = 0
        self._pending: list[Signal] = []
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._published = asyncio.Event()
        self._writing: asyncio.Future[None] | None = None
        self._group: Group | None = None
        self._written_at = time.monotonic()
        self._is_over = False
        self._is_let_go = False

    async def follow(self, *, after: int, quiet_s: float) -> AsyncIterator[Sequence[Event]]:
        """Events above the number `after`, in the groups that are ready; an empty one after `quiet_s`.

        Ends after the terminal event; or before it, when the rest has to be read from the log: the run was let go, or
        the reader fell further behind than a process keeps.
        """
        while True:
            published = self._published
            ready = self._told.find(after)
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
        return self._told.last_number

    @property
    def is_let_go(self) -> bool:
        """Whether it was taken away; whoever took it may be waiting for the model's connection to be closed."""
        return self._is_let_go

    def let_go(self) -> None:
        """The response is another's from now on: nothing more is written, not even an end."""
        self._is_let_go = True

    async def wait(self) -> None:
        """Until the run is over, with `outcome` set, or without one when it was lost to another replica."""
        while not self._is_over:
            await self._published.wait()

    async def execute(self, model: ChatModel, messages: Sequence[ModelMessage], *, max_run_s: float) -> None:
        """Ask the model and see the response to its end. Cancelled: what was written is kept, the response `failed`."""
        try:
            await self._execute(model, messages, max_run_s)
        except StaleRun:
            self.error = None  # how the response ended is for others to say
            if not self._is_let_go:
                log.warning("run_lost")
        except ServiceError as error:
            # Nothing more can be written: the lease expires, and whoever looks after expired leases ends the response.
            self.error = self.error or error
            log.warning("run_not_ended", code=error.code)
        finally:
            self._is_over = True
            self._publish([])

    async def _execute(self, model: ChatModel, messages: Sequence[ModelMessage], max_run_s: float) -> None:
        """Raises StaleRun, and a ServiceError only when the end could not be written down."""
        try:
            finished = await self._answer(model, messages, max_run_s)
        except StaleRun:
            raise
        except ServiceError as error:
            await self._fail(error)
        except asyncio.CancelledError:
            if self._is_let_go:
                raise StaleRun from None
            await self._fail(ReplicaLost("The replica that wrote this answer was stopped. Send the input again."))
            raise
        except Exception:
            log.exception("run_crashed")
            message = "The server made a mistake while it wrote this answer. Send the input again."
            await self._fail(InternalError(message))
        else:
            await self._end(finished, None)

    async def _answer(self, model: ChatModel, messages: Sequence[ModelMessage], max_run_s: float) -> Finished:
        try:
            async with asyncio.timeout(max_run_s), asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(self._write_down())
                finished = await self._read(model, messages)
                writing.cancel()
        except TimeoutError:
            raise UpstreamTimeout(f"The answer took longer than the {max_run_s:g} s one may take.") from None
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None  # reader and writer: the first to fail is the reason
        return finished

    async def _read(self, model: ChatModel, messages: Sequence[ModelMessage]) -> Finished:
        async with model.stream(self._draft.model_request, messages) as answer:
            async for signals in answer:
                match signals:
                    case [*rest, Finished() as finished]:  # the end is written down by the commit
                        self._take(rest)
                        return finished
                self._take(signals)
                self._arrived.set()
                while len(self._pending) >= MAX_AT_ONCE:  # a model that is faster than Redis waits
                    self._taken.clear()
                    await self._taken.wait()
        raise UpstreamError("The model's answer broke off before its end. Send the input again.")

    def _take(self, signals: Sequence[Signal]) -> None:
        self._pending += signals
        self._size += sum(len(signal.text) for signal in signals if not isinstance(signal, Finished))
        if self._size > MAX_ANSWER_CHARACTERS:
            raise UpstreamError(
                f"The model's answer is longer than {MAX_ANSWER_CHARACTERS:,} characters.", is_final=True
            )

    async def _write_down(self) -> None:
        """Append what has arrived, group by group; when nothing arrives, keep the lease."""
        while True:
            try:
                async with asyncio.timeout(self._lease_s / RENEWALS_A_LEASE):
                    await self._arrived.wait()
            except TimeoutError:
                pass
            # Shielded: a group in flight when the reader ends is finished, so that the commit follows it in order.
            self._writing = asyncio.ensure_future(self._append_group(self._take_group()))
            await asyncio.shield(self._writing)

    def _take_group(self) -> Group:
        self._arrived.clear()
        self._taken.set()
        signals, self._pending = self._pending, []
        events = self._narration.tell(signals)
        self._group = Group(events, pack(signals) if signals else b"", self._narration.next_number - 1)
        return self._group

    async def _append_group(self, group: Group) -> None:
        async def append() -> None:
            await self._store.append(
                self.response.id,
                epoch=self._epoch,
                lease_s=self._lease_s,
                last_number=group.last_number,
                signals=group.packed,
            )

        await self._persist(append)
        self._group = None
        self._publish(group.events)

    async def _persist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write, and while Redis is away try again until the lease is lost; writes are idempotent."""
        while True:
            try:
                await write()
            except Unavailable:
                if time.monotonic() - self._written_at > self._lease_s:
                    raise
                await asyncio.sleep(RETRY_S)
            else:
                self._written_at = time.monotonic()
                return

    async def _fail(self, error: ServiceError) -> None:
        self.error = error
        await self._end(None, ResponseError(error.response_code, error.message))

    async def _end(self, finished: Finished | None, error: ResponseError | None) -> None:
        """Settle and commit; a cancellation waits for that, or nobody knew how the response ended."""
        ending = asyncio.ensure_future(self._settle_and_commit(finished, error))
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await asyncio.gather(ending, return_exceptions=True)
            raise

    async def _settle_and_commit(self, finished: Finished | None, error: ResponseError | None) -> None:
        await self._settle()
        signals, self._pending = self._pending, []
        events = self._narration.tell(signals)
        signals += [finished] if finished else []
        ended = self._narration.end(completed_at=int(time.time()), finished=finished, error=error)
        ended = replace(ended, model_input=self._model_input)
        result = encode(ended)
        events += self._narration.closing(ended, result)
        items: list[Item] = [] if error else [*self._draft.input, *ended.output]
        failure = describe(self.error) if self.error else None
        outcome = Outcome(response=ended, result=result, items=items, failure=failure)
        await self._commit(outcome, last_number=events[-1].sequence_number, signals=pack(signals))
        self.outcome = outcome
        self._publish(events)

    async def _settle(self) -> None:
        """See the group in flight to its end; one that Redis never acknowledged goes first, or the log had a hole."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        if self._group is not None:
            await self._append_group(self._group)

    async def _commit(self, outcome: Outcome, *, last_number: int, signals: bytes) -> None:
        async def commit() -> None:
            await self._store.commit(
                outcome, owner=self._owner, epoch=self._epoch, last_number=last_number, signals=signals
            )

        await self._persist(commit)

    def _publish(self, events: Sequence[Event]) -> None:
        self._told.add(events)
        published, self._published = self._published, asyncio.Event()
        published.set()
