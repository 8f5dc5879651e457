"""A reader who comes back late begins at a waypoint of the log, and sees what a reader from the start would see."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from prompts.answer.events import Event, Narration, encode
from prompts.domain.items import Logprob
from prompts.domain.responses import Response, ResponseError
from prompts.domain.signals import (
    Argued,
    Called,
    CalledTool,
    Finished,
    HostedCall,
    HostedReturned,
    Opened,
    Refused,
    RoundEnded,
    Sealed,
    Signal,
    Summarized,
    Text,
    Thought,
    pack,
)
from prompts.domain.waypoints import pack_waypoint, unpack_waypoint
from prompts.errors import StreamExpired, Unavailable
from prompts.ports.event_log import Group
from prompts.ports.responses import Draft, Outcome
from prompts.run.ending import retell
from prompts.run.followers import Followers, Pace
from prompts.run.following import follow_response
from prompts.run.waypoints import MAX_WAYPOINT_BYTES, SIGNALS_A_WAYPOINT, WaypointPace
from tests.support.builders import build_draft
from tests.support.fakes.event_log import FakeEventLog
from tests.support.fakes.memory import Memory
from tests.support.fakes.records import new_root
from tests.support.fakes.response_store import FakeResponseStore
from tests.support.runner_harness import MAX_S, settle
from tests.support.words import ANSWERS, ENDS, splits

OWNER = "alice"
STOP = Finished("stop")
End = Finished | ResponseError | None


@dataclass
class Writer:
    """A run of a response with a log in memory; it leaves a waypoint behind each group when it is told so."""

    draft: Draft = field(default_factory=build_draft)
    entries_a_read: int = 2
    events: list[Event] = field(default_factory=list)
    """All events so far, as a narration from the start tells them."""

    def __post_init__(self) -> None:
        memory = Memory()
        self.store = FakeResponseStore(memory)
        self.log = FakeEventLog(memory, entries_a_read=self.entries_a_read)
        root = new_root(self.draft.response.id, OWNER)
        kept = memory.place(self.draft, owner=OWNER, root=root, history=(), created_at=self.draft.response.created_at)
        self.id, self.kept = kept.id, kept
        self.narration = Narration(kept.echo)
        self.events += self.narration.opening()

    async def append(self, signals: Sequence[Signal], *, has_waypoint: bool) -> None:
        """Write one group."""
        after = self.narration.next_number - 1
        self.narration.begin_group()
        self.events += self.narration.tell(signals)
        waypoint = self.narration.find_waypoint() if has_waypoint else None
        packed = pack_waypoint(waypoint) if waypoint else b""
        group = Group(after, self.narration.next_number - 1, pack(signals), packed)
        await self.store.append(self.id, group, epoch="1", lease_s=9)

    async def take_over(self) -> None:
        """Go on as another run, which has read the log."""
        self.narration = await retell(self.kept.echo, event_log=self.log)

    async def end(self, signals: Sequence[Signal], end: End) -> None:
        """Commit with the last signals."""
        after = self.narration.next_number - 1
        self.events += self.narration.tell(signals)
        finished = end if isinstance(end, Finished) else None
        error = end if isinstance(end, ResponseError) else None
        ended = self.narration.end(completed_at=1_700_000_001, finished=finished, error=error)
        self.events += self.narration.closing(ended, encode(ended))
        last = Group(after, self.events[-1].sequence_number, pack([*signals, *([finished] if finished else [])]))
        await self.store.commit(Outcome(ended, encode(ended), []), last, owner=OWNER, epoch="1")

    async def read(self, after: int, *, look_s: float = MAX_S) -> list[Event]:
        """All events above `after`, to the end of the response."""
        following = follow_response(
            self.id,
            owner=OWNER,
            after=after,
            quiet_s=MAX_S,
            run=None,
            store=self.store,
            event_log=self.log,
            followers=Followers(Pace(look_s=look_s)),
        )
        async with asyncio.timeout(MAX_S):
            return list(chain.from_iterable([events async for events in following]))


def with_events(groups: Sequence[Sequence[Signal]], response: Response) -> list[list[Signal]]:
    """The groups, those without an event joined with the next: a log has no entry without one."""
    narration, joined, open_group = Narration(response), [], list[Signal]()
    narration.opening()
    for group in groups:
        open_group += group
        if narration.tell(group):
            joined.append(open_group)
            open_group = []
    return [*joined, open_group]


@dataclass(frozen=True)
class Plan:
    """An answer, how its run cuts it, behind which groups it leaves waypoints, and when another run takes it over."""

    groups: Sequence[Sequence[Signal]]
    waypoints: Sequence[bool]
    taken_over_at: int
    end: End
    entries_a_read: int
    is_background: bool


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any plan."""
    groups = draw(ANSWERS.flatmap(splits) | ANSWERS.map(lambda signals: [[signal] for signal in signals]))
    waypoints = draw(st.just([True] * len(groups)) | st.lists(st.booleans(), min_size=len(groups)))
    taken_over_at = draw(st.integers(-1, len(groups)))
    return Plan(groups, waypoints, taken_over_at, draw(ENDS), draw(st.integers(1, 5)), draw(st.booleans()))


def make_draft(*, is_background: bool = False) -> Draft:
    """A draft of a plain response, or of one in the background."""
    draft = build_draft()
    response = Response(
        id=draft.response.id, created_at=1_700_000_000, status="in_progress", model="m", background=is_background
    )
    return replace(draft, response=response, last_opening_number=1 + is_background)


@settings(deadline=None, max_examples=300)  # the machine is shared
@given(plans())
def test_any_answer_read_from_any_number_goes_on_with_the_same_bytes(plan: Plan) -> None:
    """While it is written, from each number that is there by then; and from every number when it has ended."""

    async def write_and_read() -> None:
        writer = Writer(make_draft(is_background=plan.is_background), plan.entries_a_read)
        groups = with_events(plan.groups, writer.kept.echo)
        live: list[tuple[int, asyncio.Task[list[Event]]]] = []
        for number, signals in enumerate(groups[:-1]):
            if number == plan.taken_over_at:
                await writer.take_over()
            await writer.append(signals, has_waypoint=plan.waypoints[number])
            after = writer.events[-1].sequence_number
            live.append((after, asyncio.create_task(writer.read(after))))
            await settle()
        await writer.end(groups[-1], plan.end)
        read = [(after, await reading) for after, reading in live]
        read += [(after, await writer.read(after)) for after in range(-1, len(writer.events))]
        for after, events in read:
            assert [event.data for event in events] == [event.data for event in writer.events[after + 1 :]]

    asyncio.run(write_and_read())


# --- what is read ---


def list_numbers(writer: Writer) -> list[int]:
    """The last numbers of the entries of the log."""
    return [entry.last_number for entry in writer.kept.log]


async def write(writer: Writer, *groups: Sequence[Signal]) -> None:
    """Write groups with a waypoint behind each."""
    for signals in groups:
        await writer.append(signals, has_waypoint=True)


def repeat(say: Callable[[str], Signal], times: int = 20) -> list[list[Signal]]:
    """Groups of one word each."""
    return [[say(f"{number} ")] for number in range(times)]


def argue(text: str) -> Signal:
    """More of the first call's input."""
    return Argued(0, text)


def sum_up(text: str) -> Signal:
    """More of a summary's second part."""
    return Summarized(text, 1)


CALL = CalledTool(0, "call_1", "patch", "custom")
ANSWERS_TO_THE_END: dict[str, list[list[Signal]]] = {
    "a text": repeat(Text),
    "a refusal behind a text": [[Text("Well, ")], *repeat(Refused)],
    "a thought": repeat(Thought),
    "a summary": repeat(sum_up),
    "a call": [[CALL], *repeat(argue)],
    "a call without a word": [[Called(0, "call_1", "ping")], *repeat(Text)],
    "a text behind a call": [[Called(0, "call_1", "ping")], [Argued(0, "x")], *repeat(Text)],
}


@pytest.mark.parametrize("groups", ANSWERS_TO_THE_END.values(), ids=ANSWERS_TO_THE_END)
async def test_a_late_reader_reads_nothing_of_what_was_said_before(groups: list[list[Signal]]) -> None:
    writer = Writer()
    await write(writer, *groups)
    await writer.end([], STOP)
    late = writer.kept.log[-3].last_number
    del writer.kept.log[1:-4]  # whoever reads from an earlier place does not get far
    assert await writer.read(late) == writer.events[late + 1 :]


THINKING: list[list[Signal]] = repeat(Thought)
IN_MID_STREAM: dict[str, tuple[list[list[Signal]], list[Signal]]] = {
    "a text behind a thought": (THINKING, [Text("Good day.")]),
    "a thought with a new seal": ([*THINKING, [Sealed("seal"), Thought("more")]], [Text("Good day.")]),
    "a thought with an old seal": ([[Thought("Hm."), Sealed("seal")], *THINKING], [Text("Good day.")]),
    "a text with odds": ([[Text(f"{number} ", [Logprob("x", -number / 2)])] for number in range(20)], [CALL]),
    "a part behind a call": ([[CALL, Text("Well, ")], *repeat(Text)], [Refused("No."), Argued(0, "x")]),
    "a call behind a text": (repeat(Text), [CALL]),
    "a refusal behind a text": (repeat(Text), [Refused("No.")]),
    "a summary behind a thought": (THINKING, [Summarized("In short.")]),
    "a second message": ([[Text("One")], [Text("two")], [Opened("final_answer"), Text("a"), Text("b")]], [Opened()]),
    "a round": (
        repeat(Text),
        [RoundEnded([HostedCall("c", "file_search", "s", "{}")]), HostedReturned("c", "[]")],
    ),
}


@pytest.mark.parametrize(("groups", "closing"), IN_MID_STREAM.values(), ids=IN_MID_STREAM)
@pytest.mark.parametrize("is_live", [True, False])
async def test_what_ends_in_mid_stream_is_told_whole(
    groups: list[list[Signal]], closing: list[Signal], *, is_live: bool
) -> None:
    writer = Writer()
    await writer.append([Text("Before. "), Opened("commentary"), *groups[0]], has_waypoint=True)
    await write(writer, *groups[1:])
    late = list_numbers(writer)[-2]
    reading = asyncio.create_task(writer.read(late)) if is_live else None
    await settle()
    await write(writer, closing)
    await writer.end([Text("The end.")], STOP)
    assert await (reading or writer.read(late)) == writer.events[late + 1 :]


async def test_another_run_leaves_waypoints_as_the_first_one_would_have() -> None:
    """It has told the log again: it knows behind which entry an item begins, and where in the group."""
    writer = Writer()
    await write(writer, *THINKING, [Thought("more"), Text("So: "), Opened("final_answer"), Text("a ")])
    await writer.append([Text("b ")], has_waypoint=False)
    await writer.take_over()
    await write(writer, *repeat(Text))
    late = list_numbers(writer)[-2]
    await write(writer, [CALL])
    await writer.end([], STOP)
    assert await writer.read(late) == writer.events[late + 1 :]


@pytest.mark.parametrize("healthy_reads", range(12))
async def test_redis_may_go_away_at_any_moment(healthy_reads: int) -> None:
    """Also while an earlier text is read again: nothing is told twice, and nothing is left out."""
    writer = Writer(entries_a_read=4)
    await writer.append([Text("Before. "), Opened("commentary")], has_waypoint=True)
    await write(writer, *repeat(Text, 12))
    late = list_numbers(writer)[-2]
    reading = asyncio.create_task(writer.read(late, look_s=0.01))
    await settle()
    writer.log.read_fates = [*[None] * healthy_reads, Unavailable("away")]
    await writer.append([Text("more"), CALL], has_waypoint=False)
    await writer.end([Argued(0, "x")], STOP)
    assert await reading == writer.events[late + 1 :]


async def test_an_earlier_text_that_is_not_kept_any_more_is_said_so() -> None:
    writer = Writer()
    await write(writer, *THINKING)
    late = list_numbers(writer)[-2]
    reading = asyncio.create_task(writer.read(late))
    await settle()
    del writer.kept.log[:-2]
    await write(writer, [Text("Good day.")])
    with pytest.raises(StreamExpired):
        await reading


async def test_a_reader_whose_place_was_lost_in_a_fail_over_is_told_so() -> None:
    """Another run has gone on from an earlier entry, and says something else."""
    writer = Writer()
    await write(writer, *repeat(Text))
    earlier, late = list_numbers(writer)[-5], list_numbers(writer)[-1]
    reading = asyncio.create_task(writer.read(late))
    await settle()
    writer.store.lose_tail(writer.id, earlier)
    await writer.take_over()
    await write(writer, [Text("Something else."), CALL, Argued(0, "x" * 9)], [Argued(0, "y"), Argued(0, "z")])
    with pytest.raises(StreamExpired):
        await reading
    await writer.end([], STOP)
    whole = await writer.read(-1)
    for after in (earlier, list_numbers(writer)[-2], late):
        assert await writer.read(after) == whole[after + 1 :]


# --- where waypoints are ---


def tell(narration: Narration, pace: WaypointPace, *groups: Sequence[Signal]) -> list[bytes]:
    """The waypoints behind the groups."""
    found = []
    for signals in groups:
        narration.begin_group()
        narration.tell(signals)
        found.append(pace.pass_group(narration, len(signals)))
    return found


def begin() -> Narration:
    """A narration behind its opening."""
    narration = Narration(make_draft().response)
    narration.opening()
    return narration


def test_waypoints_are_few_and_small() -> None:
    found = tell(begin(), WaypointPace(), *[[Text("word " * 100)]] * 2_000)
    places = [number for number, waypoint in enumerate(found, 1) if waypoint]
    assert places == list(range(SIGNALS_A_WAYPOINT, 2_000, SIGNALS_A_WAYPOINT))
    assert max(map(len, found)) < 60


def test_large_waypoints_are_rarer_and_very_large_ones_are_not_written() -> None:
    calls: list[Signal] = [CalledTool(number, f"call_{number}", "x" * 60, "custom") for number in range(8)]
    found = tell(begin(), WaypointPace(), calls, *[[Argued(0, "word ")]] * 3_000)
    sizes = [len(waypoint) for waypoint in found if waypoint]
    assert max(sizes) > SIGNALS_A_WAYPOINT
    assert sum(sizes) <= 3_000
    many: list[Signal] = [CalledTool(number, "c" * MAX_WAYPOINT_BYTES, "x", "custom") for number in range(8)]
    assert not any(tell(begin(), WaypointPace(), many, *[[Argued(0, "word ")]] * 9_000))


def test_a_waypoint_of_another_release_is_none() -> None:
    for odd in (b"", b"{}", b"[]", b'["x"]', b"[1,[[9]]]", b"\xff", b"[" * 100_000):
        assert unpack_waypoint(odd) is None
