"""Following a response, wherever it is written: from memory when its run is here, from its log when it is not.

Both tell the same events, byte for byte, from any number on: `Narration` makes them from the same signals.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import msgspec

from prompts.answer.events import Event, Narration
from prompts.domain.responses import ENDED, Response
from prompts.domain.signals import read_signals
from prompts.errors import Draining, InvalidRequest, StreamExpired, Unavailable
from prompts.ports.event_log import Entry, EventLog
from prompts.ports.observer import UNOBSERVED, FollowerJoined, FollowerLeft, Observer
from prompts.ports.responses import ResponseStore, StoredResponse
from prompts.run.log_reader import SIGNALS_A_SLICE, read_slices
from prompts.run.quiet import Quiet
from prompts.run.run import Run

decode_response = msgspec.json.Decoder(Response).decode

# A nudge may be lost while Redis is away, so followers also look by themselves.
LOOK_S = 2.0
# A reader is told nothing for so long at most. Below the idle limit of every common proxy (nginx 60 s, AWS ALB 60 s,
# Heroku 55 s), and often enough for clients that give up a stream without events (openai/codex#31539).
KEEP_ALIVE_S = 15.0
# Readers are kept while Redis is away for so long: a restart or a fail-over is shorter.
REDIS_AWAY_S = 30.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a follower looks by itself, how long it is kept while Redis is away, how much it is told at once.

    `keep_alive_s` is how long its client hears nothing at most.
    """

    look_s: float = LOOK_S
    keep_alive_s: float = KEEP_ALIVE_S
    redis_away_s: float = REDIS_AWAY_S
    signals_a_slice: int = SIGNALS_A_SLICE


class Followers:
    """The readers of responses at this process, wherever the responses are written."""

    def __init__(self, pace: Pace = Pace(), observer: Observer = UNOBSERVED) -> None:
        self.pace = pace
        self._observer = observer
        self._count = 0
        self._left = asyncio.Event()
        self._is_leaving = False
        self._is_over = False

    @contextmanager
    def join(self, *, is_here: bool) -> Iterator[None]:
        """For as long as one follows; `is_here` says that the response is written by this process.

        Raises Draining for what any other replica can serve for longer.
        """
        if self._is_leaving and not is_here:
            raise Draining("This replica is leaving. Send the request again; another one will serve it.")
        self._count += 1
        self._observer.notice(FollowerJoined())
        try:
            yield
        finally:
            self._count -= 1
            self._observer.notice(FollowerLeft())
            self._left.set()

    def check(self) -> None:
        """Raises Draining when the process can serve them no longer."""
        if self._is_over:
            raise Draining("This replica is leaving. Ask again for the events after the last one you have.")

    def start_draining(self) -> None:
        """The process leaves: nobody joins any more but for what is written here."""
        self._is_leaving = True

    async def drain(self, within_s: float) -> None:
        """Wait until all have left, and after `within_s` send them away."""
        await self._wait(within_s)
        self._is_over = True
        await self._wait(2 * self.pace.look_s)  # every reader looks at least once in this time

    async def wait_until_left(self) -> None:
        """Returns when nobody follows here any more."""
        while self._count:
            self._left.clear()
            await self._left.wait()

    async def _wait(self, within_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self.wait_until_left()


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
) -> AsyncGenerator[Sequence[Event], None]:
    """Events above `after` to the terminal one, in groups; an empty group whenever nothing was told for `quiet_s`.

    `run` is the response's own, when this process writes it. When its replica dies there is a pause, and the events
    go on as soon as another one has taken it over.
    The first group comes at once, an empty one when there is nothing above `after` yet.
    Raises NotFound, StreamExpired, InvalidRequest (`after` lies beyond what has been said), Unavailable: before the
    first group; in the middle when the response is deleted meanwhile, when Redis stays away, or as Draining when this
    process can wait no longer.
    """
    with followers.join(is_here=run is not None):
        async for events in _follow(
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


async def _follow(
    response_id: str,
    *,
    owner: str,
    after: int,
    quiet: Quiet,
    run: Run | None,
    store: ResponseStore,
    event_log: EventLog,
    followers: Followers,
) -> AsyncIterator[Sequence[Event]]:
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
    echo = run.response if run is not None and is_here else await event_log.get_echo(response_id, owner=owner)
    reading = _LogReading(echo, owner, after, store=store, event_log=event_log, pace=followers.pace, has_begun=is_here)
    async for events in _follow_log(reading, quiet=quiet, event_log=event_log, followers=followers):
        yield events


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
    """One reader's place in a log. The whole log is told from its beginning, and what is above `after` is given out."""

    def __init__(
        self,
        echo: Response,
        owner: str,
        after: int,
        *,
        store: ResponseStore,
        event_log: EventLog,
        pace: Pace,
        has_begun: bool,
    ) -> None:
        self.response_id = echo.id
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
        self._narration = Narration(echo)
        self._opening: list[Event] = self._narration.opening()
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
                if above := self._above(self._tell(entry)):
                    yield above
        if self._is_at_end:
            if above := self._above(await self._tell_end()):
                yield above
        elif self._cursor == known and (stored := await self._find_stored()):
            self.is_over = True
            yield self._tell_stored(stored)
        self._check_cursor()

    def _tell(self, entry: Entry) -> list[Event]:
        events = [] if self._cursor >= 0 else [*self._opening]
        self._cursor, self._is_at_end = entry.last_number, entry.is_last
        return [*events, *self._narration.tell(entry.signals)]

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

    async def _tell_end(self) -> list[Event]:
        stored = await self._store.get(self._narration.response.id, owner=self._owner)
        self.is_over = True
        return self._narration.closing(decode_response(stored.body), stored.body)

    def _tell_stored(self, stored: StoredResponse) -> list[Event]:
        """The events of a response whose log is gone, rebuilt with one delta a part."""
        ended = decode_response(stored.body)
        signals = read_signals(ended.output)
        return [*self._opening, *self._narration.tell(signals), *self._narration.closing(ended, stored.body)]
