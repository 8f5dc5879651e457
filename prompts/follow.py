"""Following a response, wherever it is written: from memory when its run is here, from its log when it is not.

Both tell the same events, byte for byte, from any number on: `Narration` makes them from the same signals.
"""

from collections.abc import AsyncIterator, Sequence

import msgspec

from prompts.domain import ENDED, Message, OutputText, Refusal, Response
from prompts.errors import InvalidRequest, StreamExpired
from prompts.events import Event, Narration, Refused, Signal, Text
from prompts.ports import Entry, EventLog, ResponseStore, StoredResponse
from prompts.reading import read_slices
from prompts.run import Run

decode_response = msgspec.json.Decoder(Response).decode

# A nudge may be lost while Redis is away; then the next look comes by itself.
LOOK_S = 2.0


async def follow_response(
    response_id: str,
    *,
    owner: str,
    after: int = -1,
    quiet_s: float,
    run: Run | None,
    store: ResponseStore,
    event_log: EventLog,
) -> AsyncIterator[Sequence[Event]]:
    """Events above `after` to the terminal one, in groups; an empty group when nothing was said for `quiet_s`.

    `run` is the response's own, when this process writes it.
    The first group comes at once, an empty one when there is nothing above `after` yet.
    Raises NotFound, StreamExpired, InvalidRequest (`after` lies beyond what has been said), Unavailable: before the
    first group, or, when the response is deleted meanwhile, in the middle.
    """
    # Whoever read from Redis may have seen what this process has not been told is written: the log knows.
    is_here = run is not None and after <= run.last_number
    if run is not None and is_here:
        if after == run.last_number:
            yield ()
        async for events in run.follow(after=after, quiet_s=quiet_s):
            after = events[-1].sequence_number if events else after
            yield events
        if run.outcome is not None and run.last_number == after:
            return
    async for events in _follow_log(
        response_id,
        owner=owner,
        after=after,
        quiet_for=0 if is_here else quiet_s,  # so quiet that the first group comes at once
        quiet_s=quiet_s,
        store=store,
        event_log=event_log,
    ):
        yield events


async def _follow_log(
    response_id: str,
    *,
    owner: str,
    after: int,
    quiet_for: float,
    quiet_s: float,
    store: ResponseStore,
    event_log: EventLog,
) -> AsyncIterator[Sequence[Event]]:
    reading = _LogReading(await event_log.get_echo(response_id, owner=owner), owner, after, store, event_log)
    async with event_log.watch(response_id) as watch:
        look_s = min(LOOK_S, quiet_s)
        while True:
            async for events in reading.read():
                quiet_for = 0.0
                yield events
            if reading.is_over:
                return
            if quiet_for >= quiet_s:
                quiet_for = 0.0
                yield ()
            if not await watch.wait(look_s):
                quiet_for += look_s


class _LogReading:
    """One reader's place in a log. The whole log is told from its beginning, and what is above `after` is given out."""

    def __init__(self, echo: Response, owner: str, after: int, store: ResponseStore, event_log: EventLog) -> None:
        self.is_over = False
        self._has_ended = False
        self._owner = owner
        self._after = after
        self._store = store
        self._event_log = event_log
        self._narration = Narration(echo)
        self._opening: list[Event] = self._narration.opening()
        self._cursor = -1

    async def read(self) -> AsyncIterator[Sequence[Event]]:
        """What there is by now above `after`, in groups. Raises as `follow_response`."""
        known = self._cursor
        async for entry in read_slices(self._event_log, self._narration.response.id, after=known):
            events = await self._tell(entry)
            if above := [event for event in events if event.sequence_number > self._after]:
                yield above
        if self._cursor == known and (stored := await self._find_stored()):
            self.is_over = True
            yield self._tell_stored(stored)
        self._check_cursor()

    async def _tell(self, entry: Entry) -> list[Event]:
        events = [] if self._cursor >= 0 else [*self._opening]
        events += self._narration.tell(entry.signals)
        self._cursor = entry.last_number
        return [*events, *await self._tell_end()] if entry.is_last else events

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
        self._has_ended = True  # since the log was read a moment ago, or its log is gone: the next look tells
        return None

    def _check_cursor(self) -> None:
        if self._after > self._cursor >= 0:
            message = f"'starting_after' is {self._after}, but the last event so far is {self._cursor}."
            raise InvalidRequest(message, param="starting_after")

    async def _tell_end(self) -> list[Event]:
        self.is_over = True
        stored = await self._store.get(self._narration.response.id, owner=self._owner)
        return self._narration.closing(decode_response(stored.body), stored.body)

    def _tell_stored(self, stored: StoredResponse) -> list[Event]:
        """The stream of a response whose log is gone: its whole text in one delta a part."""
        ended = decode_response(stored.body)
        signals = [_as_signal(part) for item in ended.output for part in _parts(item)]
        return [*self._opening, *self._narration.tell(signals), *self._narration.closing(ended, stored.body)]


def _parts(item: Message) -> Sequence[OutputText | Refusal]:
    return [part for part in item.content if isinstance(part, OutputText | Refusal)]


def _as_signal(part: OutputText | Refusal) -> Signal:
    return Refused(part.refusal) if isinstance(part, Refusal) else Text(part.text)
