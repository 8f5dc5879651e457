"""A log replays the same bytes, however its signals were grouped, and from any number."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from prompts.answer.events import Event, Narration, encode
from prompts.domain.responses import Response, ResponseError
from prompts.domain.signals import Finished, Refused, Signal, Text, pack, unpack
from prompts.ports.event_log import Entry, EventLog, Group
from prompts.ports.responses import Outcome, StoredResponse
from prompts.run.following import Followers, follow_response
from tests.support.builders import admit, build_draft, open_stores
from tests.support.fakes import FakeResponseStore
from tests.support.servers import ValkeyServer

OWNER = "alice"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SIGNALS = st.lists(st.one_of(TEXTS.map(Text), TEXTS.map(Refused)), max_size=20)
ENDS = st.sampled_from([Finished("stop"), Finished("length"), ResponseError("server_error", "It broke."), None])
End = Finished | ResponseError | None


@dataclass(frozen=True)
class Told:
    """A response as its run sent it."""

    events: Sequence[Event]
    entries: Sequence[Entry]
    ended: Response
    result: bytes


def tell(echo: Response, groups: Sequence[Sequence[Signal]], end: End) -> Told:
    """Send these groups as a run does; the commit writes the last one."""
    narration = Narration(echo)
    events = narration.opening()
    entries = [Entry(events[-1].sequence_number, [], is_last=False)]
    *early, last = groups
    for group in early:
        events += narration.tell(group)
        entries.append(Entry(narration.next_number - 1, unpack(pack(group)), is_last=False))
    events += narration.tell(last)
    finished = end if isinstance(end, Finished) else None
    error = end if isinstance(end, ResponseError) else None
    ended = narration.end(completed_at=1_700_000_001, finished=finished, error=error)
    result = encode(ended)
    events += narration.closing(ended, result)
    signals = [*last, *([finished] if finished else [])]
    entries.append(Entry(events[-1].sequence_number, unpack(pack(signals)), is_last=True))
    return Told(events, entries, ended, result)


def cut(signals: Sequence[Signal], at: Sequence[int]) -> list[Sequence[Signal]]:
    """The signals in groups. Only the last group may be empty."""
    places = sorted({place for place in at if 0 < place < len(signals)})
    return [signals[start:stop] for start, stop in zip([0, *places], [*places, len(signals)], strict=True)]


class ScriptedLog:
    """`EventLog` of one response. It grows by an entry whenever its reader waits, and returns a few entries a read."""

    def __init__(self, echo: Response, entries: Sequence[Entry], *, there: int, at_once: int) -> None:
        self._echo = echo
        self._entries = entries
        self._there = there
        self._at_once = at_once

    async def get_echo(self, response_id: str, *, owner: str) -> Response:
        """See `EventLog.get_echo`."""
        return self._echo

    async def read(self, response_id: str, *, after: int) -> Sequence[Entry]:
        """See `EventLog.read`."""
        return [entry for entry in self._entries[: self._there] if entry.last_number > after][: self._at_once]

    @asynccontextmanager
    async def watch(self, response_id: str) -> AsyncIterator["ScriptedLog"]:
        """See `EventLog.watch`."""
        yield self

    async def wait(self, within_s: float) -> bool:
        """See `Watch.wait`."""
        self._there += 1
        return True

    async def wait_released(self, within_s: float) -> bool:
        """See `Watch.wait_released`."""
        return False

    @property
    def is_whole(self) -> bool:
        """Whether the log has its end."""
        return self._there >= len(self._entries)


class StandingStore(FakeResponseStore):
    """The stored response while its log grows."""

    log: ScriptedLog | None = None
    told: Told | None = None

    async def get(self, response_id: str, *, owner: str) -> StoredResponse:
        """See `ResponseStore.get`."""
        assert self.told is not None
        if self.log is not None and not self.log.is_whole:
            return StoredResponse("in_progress", encode(self.told.ended))
        return StoredResponse(self.told.ended.status, self.told.result)


async def follow(response_id: str, *, after: int, store: StandingStore, event_log: EventLog) -> list[Event]:
    """All events above `after`."""
    following = follow_response(
        response_id,
        owner=OWNER,
        after=after,
        quiet_s=5,
        run=None,
        store=store,
        event_log=event_log,
        followers=Followers(),
    )
    async with asyncio.timeout(20):
        return list(chain.from_iterable([events async for events in following]))


@given(
    signals=SIGNALS,
    at=st.lists(st.integers(0, 20)),
    end=ENDS,
    is_background=st.booleans(),
    there=st.integers(1, 8),
    at_once=st.integers(1, 5),
    data=st.data(),
)
def test_any_grouping_read_from_any_number_tells_the_same_bytes(  # noqa: PLR0917 -- hypothesis gives them by name
    signals: Sequence[Signal],
    at: Sequence[int],
    end: End,
    is_background: bool,
    there: int,
    at_once: int,
    data: st.DataObject,
) -> None:
    draft = build_draft()
    echo = Response(
        id=draft.response.id, created_at=1_700_000_000, status="in_progress", model="m", background=is_background
    )
    at_once_told = tell(echo, [signals], end)
    told = tell(echo, cut(signals, at), end)
    assert told.events == at_once_told.events
    # A cursor beyond the log's end is refused; a reader that continues has a cursor within it.
    there = min(there, len(told.entries))
    after = data.draw(st.integers(-1, told.entries[there - 1].last_number))
    log = ScriptedLog(echo, told.entries, there=there, at_once=at_once)
    store = StandingStore()
    store.log, store.told = log, told

    read = asyncio.run(follow(echo.id, after=after, store=store, event_log=log))

    assert [event.data for event in read] == [event.data for event in told.events[after + 1 :]]


@pytest.mark.parametrize("seed", range(20))
async def test_a_log_in_redis_tells_the_same_bytes(valkey: ValkeyServer, seed: int) -> None:
    chance = random.Random(seed)
    words = ["a", " word", 'in "quotes"', "\u2028", "😀", "\x00\n", "é" * 40]
    kinds: list[Callable[[str], Signal]] = [Text, Text, Refused]
    signals = [chance.choice(kinds)(chance.choice(words)) for _ in range(chance.randrange(30))]
    end = chance.choice([Finished("stop"), Finished("length"), ResponseError("server_error", "It broke."), None])
    async with Redis.from_url(valkey.url) as redis:
        stores = open_stores(redis)
        draft = build_draft()
        admitted = await admit(stores, draft)
        told = tell(admitted.response, cut(signals, chance.sample(range(30), 8)), end)
        opening, *early, last = told.entries
        after = opening.last_number
        for entry in early:
            group = Group(after, entry.last_number, pack(entry.signals))
            await stores.responses.append(draft.response.id, group, epoch=admitted.epoch, lease_s=9)
            after = entry.last_number
        outcome = Outcome(told.ended, told.result, [])
        closing = Group(after, last.last_number, pack(last.signals))
        await stores.responses.commit(outcome, closing, owner=OWNER, epoch=admitted.epoch)

        assert await stores.event_log.get_echo(draft.response.id, owner=OWNER) == admitted.response
        entries = await stores.event_log.read(draft.response.id, after=-1)
        assert entries == told.entries
        log = ScriptedLog(admitted.response, entries, there=len(entries), at_once=3)
        for after in {-1, chance.randrange(len(told.events)), 0}:
            store = StandingStore()
            store.log, store.told = log, told
            read = await follow(draft.response.id, after=after, store=store, event_log=log)
            assert [event.data for event in read] == [event.data for event in told.events[after + 1 :]]
