"""A log replays the same bytes, however its signals were grouped, and from any number."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from redis.asyncio import Redis

from prompts.answer.events import Event, Narration, encode
from prompts.domain.responses import Response, ResponseError
from prompts.domain.signals import Finished, Refused, Signal, Text, pack, unpack
from prompts.ports.event_log import Entry, EventLog, Group
from prompts.ports.responses import Draft, Outcome, ResponseStore
from prompts.run.followers import Followers
from prompts.run.following import follow_response
from tests.support.builders import admit, build_draft, open_stores
from tests.support.fakes.event_log import FakeEventLog
from tests.support.fakes.memory import Memory
from tests.support.fakes.records import new_root
from tests.support.fakes.response_store import FakeResponseStore
from tests.support.runner_harness import settle
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


async def write(told: Told, draft: Draft, store: ResponseStore, *, entries: slice, epoch: str = "1") -> None:
    """Write some of the entries after the opening, as a run does. The last entry ends the response."""
    befores = [entry.last_number for entry in told.entries]
    for before, entry in list(zip(befores, told.entries[1:], strict=False))[entries]:
        group = Group(before, entry.last_number, pack(entry.signals))
        if entry.is_last:
            await store.commit(Outcome(told.ended, told.result, []), group, owner=OWNER, epoch=epoch)
        else:
            await store.append(draft.response.id, group, epoch=epoch, lease_s=9)


async def follow(response_id: str, *, after: int, store: ResponseStore, event_log: EventLog) -> list[Event]:
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


async def follow_as_it_grows(told: Told, draft: Draft, *, after: int, there: int, entries_a_read: int) -> list[Event]:
    """All events above `after`, read while a run writes the log: its first `there` entries are written before."""
    memory = Memory()
    store, event_log = FakeResponseStore(memory), FakeEventLog(memory, entries_a_read=entries_a_read)
    root, created_at = new_root(draft.response.id, OWNER), draft.response.created_at
    memory.place(draft, owner=OWNER, root=root, history=(), created_at=created_at)
    await write(told, draft, store, entries=slice(there - 1))
    following = asyncio.create_task(follow(draft.response.id, after=after, store=store, event_log=event_log))
    for number in range(there - 1, len(told.entries) - 1):
        await settle()
        await write(told, draft, store, entries=slice(number, number + 1))
    return await following


@given(
    signals=SIGNALS,
    at=st.lists(st.integers(0, 20)),
    end=ENDS,
    is_background=st.booleans(),
    there=st.integers(1, 8),
    entries_a_read=st.integers(1, 5),
    data=st.data(),
)
def test_any_grouping_read_from_any_number_tells_the_same_bytes(  # noqa: PLR0917 -- hypothesis gives them by name
    signals: Sequence[Signal],
    at: Sequence[int],
    end: End,
    is_background: bool,
    there: int,
    entries_a_read: int,
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
    draft = replace(draft, response=echo, last_opening_number=told.entries[0].last_number)

    read = asyncio.run(follow_as_it_grows(told, draft, after=after, there=there, entries_a_read=entries_a_read))

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
        await write(told, draft, stores.responses, entries=slice(None), epoch=admitted.epoch)

        assert await stores.event_log.get_echo(draft.response.id, owner=OWNER) == admitted.response
        assert await stores.event_log.read(draft.response.id, after=-1) == told.entries
        for after in {-1, chance.randrange(len(told.events)), 0}:
            read = await follow(draft.response.id, after=after, store=stores.responses, event_log=stores.event_log)
            assert [event.data for event in read] == [event.data for event in told.events[after + 1 :]]
