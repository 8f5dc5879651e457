"""Following a response, wherever it is written: from memory when its run is here, from its log when it is not.

Both tell the same events, byte for byte, from any number on: `Narration` makes them from the same signals.
"""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import structlog

from prompts.answer.events import Event, Narration
from prompts.domain.responses import ENDED, Response
from prompts.domain.signals import read_signals
from prompts.errors import InvalidRequest, ServiceError, StreamExpired, Unavailable
from prompts.ports.event_log import Entry, EventLog
from prompts.ports.reader_marks import Reader
from prompts.ports.responses import ResponseStore, StoredResponse
from prompts.run.followers import Followers, Pace, new_reader
from prompts.run.log_reader import read_slices
from prompts.run.quiet import Quiet
from prompts.run.run import Run
from prompts.run.shared_events import ResponsesInUse, SharedEvents

log = structlog.get_logger(__name__)

decode_response = msgspec.json.Decoder(Response).decode

# So few take no longer than waiting for a turn: what a live answer says at once.
SIGNALS_AT_ONCE = 16


async def follow_response(
    response_id: str,
    *,
    owner: str,
    after: int = -1,
    quiet_s: float,
    run: Run | None,
    store: ResponseStore,
    event_log: EventLog,
    followers: Followers,
    marked: Reader | None = None,
) -> AsyncGenerator[Sequence[Event], None]:
    """Events above `after` to the terminal one, in groups; an empty group whenever nothing was told for `quiet_s`.

    `run` is the response's own, when this process writes it. `marked` is a reader whom admission has marked already.
    When its replica dies there is a pause, and the events go on as soon as another one has taken it over.
    The first group comes at once, an empty one when there is nothing above `after` yet.
    Raises NotFound, StreamExpired, InvalidRequest (`after` lies beyond what has been said), Unavailable: before the
    first group; in the middle when the response is deleted meanwhile, when Redis stays away, or as Draining when this
    process can wait no longer.
    """
    reader = marked or new_reader(response_id)
    with followers.join(reader, is_here=run is not None):
        if marked is None:
            await followers.mark(reader)
        async for events in follow_joined(
            response_id,
            owner=owner,
            after=after,
            quiet=Quiet(quiet_s),
            run=run,
            store=store,
            event_log=event_log,
            followers=followers,
        ):
            yield events


async def follow_joined(
    response_id: str,
    *,
    owner: str,
    after: int = -1,
    quiet: Quiet,
    run: Run | None,
    store: ResponseStore,
    event_log: EventLog,
    followers: Followers,
) -> AsyncIterator[Sequence[Event]]:
    """`follow_response` for a reader who has joined already."""
    # A reader who comes from another replica may have seen events whose acknowledgement this process still awaits.
    is_here = run is not None and after <= run.last_number
    if run is not None and is_here:
        if after == run.last_number:
            yield ()
        async for events in run.follow(after=after, quiet=quiet):
            after = events[-1].sequence_number if events else after
            yield events
        if run.outcome is not None and run.last_number == after:
            return
    own = run if is_here else None
    shared = await _share(response_id, owner, own, event_log=event_log, in_use=followers.in_use)
    reading = _LogReading(
        shared,
        owner,
        after,
        store=store,
        event_log=event_log,
        pace=followers.pace,
        telling=followers.telling,
        has_begun=is_here,
    )
    async for events in _follow_log(reading, quiet=quiet, event_log=event_log, followers=followers):
        yield events


async def _share(
    response_id: str, owner: str, run: Run | None, *, event_log: EventLog, in_use: ResponsesInUse
) -> SharedEvents:
    """A function of its own, so that no reader holds an echo of its own."""
    if shared := in_use.find(owner, response_id):
        return shared
    echo = await event_log.get_echo(response_id, owner=owner) if run is None else run.response
    return in_use.share(owner, echo)


async def _follow_log(
    reading: "_LogReading", *, quiet: Quiet, event_log: EventLog, followers: Followers
) -> AsyncIterator[Sequence[Event]]:
    async with event_log.watch(reading.response_id) as watch:
        while True:
            async for events in reading.read():
                quiet.restart()
                yield events
            if reading.is_over:
                return
            followers.check()
            if not (reading.has_begun and quiet.left_s):  # the first group comes at once
                reading.has_begun = True
                quiet.restart()
                yield ()
            await watch.wait(min(followers.pace.look_s, quiet.left_s))


class _LogReading:
    """One reader's place in a log. The whole log is read from its beginning, and what is above `after` is told."""

    def __init__(
        self,
        shared: SharedEvents,
        owner: str,
        after: int,
        *,
        store: ResponseStore,
        event_log: EventLog,
        pace: Pace,
        telling: asyncio.Lock,
        has_begun: bool,
    ) -> None:
        self.response_id = shared.response.id
        self.is_over = False
        self.has_begun = has_begun
        """Whether the reader has been told something, and could not be refused any more."""
        self._has_ended = False
        self._is_at_end = False
        self._owner = owner
        self._after = after
        self._store = store
        self._event_log = event_log
        self._pace = pace
        self._telling = telling
        self._shared = shared
        self._narration = Narration(shared.response, first_told=sys.maxsize)
        before_log = self._narration.opening()
        self._opening = shared.opening if after < before_log[-1].sequence_number else ()
        self._narration.first_told = after + 1
        self._cursor = -1
        self._away_since: float | None = None

    async def read(self) -> AsyncIterator[Sequence[Event]]:
        """What there is by now above `after`, in groups; nothing while Redis is away. Raises as `follow_response`."""
        try:
            async for events in self._read():
                self.has_begun = True
                yield events
        except Unavailable:
            self._away_since = self._away_since or time.monotonic()
            if not self.has_begun or time.monotonic() - self._away_since > self._pace.redis_away_s:
                raise
        except ServiceError:
            raise
        except Exception:
            log.exception("log_unreadable", response_id=self.response_id)
            yield await self._tell_unread()
        else:
            self._away_since = None

    async def _read(self) -> AsyncIterator[Sequence[Event]]:
        known = self._cursor
        if not self._is_at_end:
            slices = read_slices(
                self._event_log,
                self._narration.response.id,
                after=known,
                signals_a_slice=self._pace.signals_a_slice,
            )
            async for entry in slices:
                if above := self._above(await self._tell(entry)):
                    yield above
        if self._is_at_end:
            if above := self._above(await self._tell_end()):
                yield above
        elif self._cursor == known and (stored := await self._find_stored()):
            self.is_over = True
            yield await self._tell_stored(stored)
        self._check_cursor()

    async def _tell(self, entry: Entry) -> Sequence[Event]:
        opening, self._opening = self._opening, ()
        self._cursor, self._is_at_end = entry.last_number, entry.is_last
        if len(entry.signals) <= SIGNALS_AT_ONCE:
            return [*opening, *self._narration.tell(entry.signals)]
        async with self._in_turn():
            events = [*opening, *self._narration.tell(entry.signals)]
            self._narration.merge_pieces()
        return events

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        """One reader at a time, and whatever else the process has to do between two of them."""
        async with self._telling:
            yield
            await asyncio.sleep(0)

    def _above(self, events: Sequence[Event]) -> Sequence[Event]:
        return [event for event in events if event.sequence_number > self._after]

    async def _find_stored(self) -> StoredResponse | None:
        """The response, when nothing is left but to tell it from what is stored; None when its log may still grow."""
        stored = await self._store.get(self._narration.response.id, owner=self._owner)
        if stored.status not in ENDED:
            return None
        if self._cursor < 0 and self._after < 0:
            return stored
        if self._cursor < 0 or self._has_ended:
            message = "The events of this response are no longer kept. Read the response, or stream it from its start."
            raise StreamExpired(message, param="starting_after")
        self._has_ended = True  # it ended after the log was read, or the log is gone: the next look tells which
        return None

    def _check_cursor(self) -> None:
        if self._after > self._cursor >= 0:
            message = f"'starting_after' is {self._after}, but the last event so far is {self._cursor}."
            raise InvalidRequest(message, param="starting_after")

    async def _tell_end(self) -> Sequence[Event]:
        shared = self._shared
        if not shared.closes_at(self._narration.next_number):
            stored = await self._store.get(self._narration.response.id, owner=self._owner)
            async with self._in_turn():
                if not shared.closes_at(self._narration.next_number):
                    self._narration.first_told = 0
                    shared.closing = self._narration.closing(decode_response(stored.body), stored.body)
        self.is_over = True
        return shared.closing

    async def _tell_unread(self) -> Sequence[Event]:
        """The events of a response whose log cannot be read, from what is stored of its end. Raises StreamExpired."""
        stored = await self._store.get(self.response_id, owner=self._owner)
        if stored.status not in ENDED or self._cursor >= 0 or self._after >= 0:
            raise StreamExpired("The events of this response cannot be read. Read the response instead.")
        self.is_over = True
        return await self._tell_stored(stored)

    async def _tell_stored(self, stored: StoredResponse) -> Sequence[Event]:
        """The events of a response whose log is gone, rebuilt with one delta a part."""
        shared = self._shared
        async with self._in_turn():
            if shared.whole is None:
                ended, narration = decode_response(stored.body), Narration(shared.response)
                opening = narration.opening()
                told = narration.tell(read_signals(ended.output))
                shared.whole = [*opening, *told, *narration.closing(ended, stored.body)]
        return shared.whole
