"""One reader of a response's log: from a waypoint near its cursor to the end, whoever writes it meanwhile."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, nullcontext

import msgspec
import structlog

from prompts.answer.events import Event, Narration
from prompts.domain.responses import ENDED, Response
from prompts.domain.signals import Signal, read_signals
from prompts.errors import InvalidRequest, ServiceError, StreamExpired, Unavailable
from prompts.ports.event_log import Entry, EventLog
from prompts.ports.responses import ResponseStore, StoredResponse
from prompts.run.followers import Pace
from prompts.run.log_reader import read_said, read_slices
from prompts.run.shared_events import SharedEvents

log = structlog.get_logger(__name__)

decode_response = msgspec.json.Decoder(Response).decode

# So few take no longer than waiting for a turn: what a live answer says at once.
SIGNALS_AT_ONCE = 16


class LogFollower:
    """One reader's place in a log. It is read from the last waypoint at `after`, and what is above `after` is told."""

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
        self._narration = _begin_telling(shared.response, after)
        self._has_place = after < self._narration.next_number - 1
        """Whether it is known where to begin reading: at the start, for whoever has not seen the whole opening."""
        self._opening = shared.opening if self._has_place else ()
        self._cursor = -1
        self._begun_behind = -1
        """The number of the entry with the waypoint where reading began."""
        self._told_number = after
        """The number of the last event that the reader has."""
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
        if not self._has_place:
            await self._find_place()
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
                    self._told_number = above[-1].sequence_number
                    yield above
        if self._is_at_end:
            if above := self._above(await self._tell_end()):
                yield above
        elif self._cursor == known and (stored := await self._find_stored()):
            self.is_over = True
            yield await self._tell_stored(stored)
        self._check_cursor()

    async def _find_place(self) -> None:
        """Begin at a waypoint; where there is none near, at the log's beginning."""
        passed = await self._event_log.find_waypoint(self.response_id, upto=self._after)
        if passed is not None:
            self._cursor = self._begun_behind = passed.last_number
            self._narration = Narration.resume(
                self._shared.response,
                number=passed.last_number,
                waypoint=passed.waypoint,
                first_told=self._after + 1,
            )
        self._has_place = True

    async def _tell(self, entry: Entry) -> Sequence[Event]:
        events, self._opening = [*self._opening], ()
        self._cursor, self._is_at_end = entry.last_number, entry.is_last
        signals = entry.signals
        while (tellable := self._narration.count_tellable(signals)) < len(signals):
            events += await self._tell_signals(signals[:tellable])
            await self._read_beginning()
            signals = signals[tellable:]
        return [*events, *await self._tell_signals(signals)]

    async def _tell_signals(self, signals: Sequence[Signal]) -> Sequence[Event]:
        if len(signals) <= SIGNALS_AT_ONCE:
            return self._narration.tell(signals)
        async with self._in_turn():
            return self._narration.tell(signals)

    async def _read_beginning(self) -> None:
        """Read what was said of the current item before the waypoint: an event is to say all of it."""
        found = self._narration.find_cut_item()
        if found is None:
            raise AssertionError("what is told from its beginning lacks nothing")
        item, begin = found
        item.rewind()
        groups = read_said(self._event_log, self.response_id, begin=begin, upto=self._begun_behind)
        try:
            async with aclosing(groups):
                async for signals in groups:
                    async with self._in_turn() if len(signals) > SIGNALS_AT_ONCE else nullcontext():
                        for signal in signals:
                            item.take(signal)
        except Unavailable:
            self._start_over()
            raise
        item.catch_up()

    def _start_over(self) -> None:
        """Read again, for what the reader does not have yet."""
        self._after = self._told_number
        self._narration = _begin_telling(self._shared.response, self._after)
        self._cursor, self._is_at_end, self._has_place = -1, False, False

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


def _begin_telling(response: Response, after: int) -> Narration:
    """A narration behind its opening, of which events above `after` are told."""
    narration = Narration(response, first_told=sys.maxsize)
    narration.opening()
    narration.first_told = after + 1
    return narration
