"""Following a response in the log: behind the buffer, after the run left, while Redis is away, during a drain."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from itertools import chain
from typing import Any

import pytest
from msgspec.structs import replace

from prompts.answer.events import Event, Narration
from prompts.answer.pieces import PIECES_AT_ONCE
from prompts.domain.signals import Argued, Called, Finished, Refused, Signal, Text, Thought
from prompts.errors import Draining, Unavailable
from prompts.run.follower_buffer import MAX_AT_ONCE
from prompts.run.followers import LOOK_S as LOOKS_EVERY_S
from prompts.run.followers import Followers, Pace
from prompts.run.following import follow_response
from prompts.run.log_reader import SIGNALS_A_SLICE
from prompts.run.run import Run
from prompts.run.shared_events import ResponsesInUse
from tests.support.counting import counting_generators
from tests.support.fakes.chat_model import Step
from tests.support.fakes.event_log import FakeEventLog
from tests.support.fakes.fates import Fate
from tests.support.runner_harness import MAX_S, STOP, Harness, check, settle
from tests.support.sample_turn import RESPONSE_ID, make_brief

WORDS = 300
# How often a reader without a nudge reads the log; in the service every two seconds.
LOOK_S = 0.01
# Redis is away for this many reads.
AWAY_LOOKS = 5


def away(looks: int = AWAY_LOOKS) -> list[Fate]:
    """The results of these reads while Redis is away."""
    return [Unavailable("away") for _ in range(looks)]


class FollowClient:
    """A client that follows the response through this process."""

    def __init__(self, harness: Harness) -> None:
        self.store = harness.store
        self.log = FakeEventLog(harness.memory)
        self.followers = Followers()

    def set_pace(self, **pace: Any) -> None:
        """How often followers look, how long they wait, and how much they get at once."""
        self.followers = Followers(Pace(**pace))

    def follow(
        self, *, run: Run | None, after: int = -1, quiet_s: float = LOOK_S
    ) -> AsyncGenerator[Sequence[Event], None]:
        """See `follow_response`."""
        return follow_response(
            RESPONSE_ID,
            owner="alice",
            after=after,
            quiet_s=quiet_s,
            run=run,
            store=self.store,
            event_log=self.log,
            followers=self.followers,
        )

    async def read(self, *, run: Run | None, after: int = -1) -> list[Event]:
        async with asyncio.timeout(MAX_S):
            return list(chain.from_iterable([events async for events in self.follow(run=run, after=after)]))


@pytest.fixture
def client(harness: Harness) -> FollowClient:
    return FollowClient(harness)


async def see_words(reader: AsyncIterator[Sequence[Event]], count: int) -> list[Event]:
    """Read until `count` words have come."""
    seen: list[Event] = []
    async with asyncio.timeout(MAX_S):
        while len([event for event in seen if event.type.endswith(".delta")]) < count:
            seen += await anext(reader)
    return seen


async def read_rest(reader: AsyncIterator[Sequence[Event]]) -> list[Event]:
    """All events from here on."""
    async with asyncio.timeout(MAX_S):
        return list(chain.from_iterable([events async for events in reader]))


async def see_quiet(reader: AsyncIterator[Sequence[Event]], groups: int = 3) -> None:
    """Check that several empty groups come, and no error."""
    async with asyncio.timeout(MAX_S):
        assert [list(await anext(reader)) for _ in range(groups)] == [[]] * groups


async def test_one_generator_is_between_a_run_and_its_reader(harness: Harness, client: FollowClient) -> None:
    run = await harness.start([Text("1")], harness.store.called, [Finished("stop")])
    async with asyncio.timeout(MAX_S):
        await run.wait()
    with counting_generators() as begun:
        assert await client.read(run=run)
    assert begun == ["follow_response"]


# --- from memory to the log ---


@pytest.mark.parametrize("signals_a_slice", [1, 7, 1000])
async def test_a_reader_that_falls_behind_goes_on_from_the_log(
    harness: Harness, client: FollowClient, signals_a_slice: int
) -> None:
    harness.make_runner(max_kept_bytes=2_000)
    client.set_pace(signals_a_slice=signals_a_slice)
    gate = asyncio.Event()
    words: list[Step] = [[Text(f"{number} ")] for number in range(WORDS)]
    run = await harness.start([Text("first ")], harness.store.called, gate, *words, [Finished("stop")])
    reader = client.follow(run=run)
    seen: list[Event] = [*await anext(reader)]
    gate.set()
    async with asyncio.timeout(MAX_S):
        await run.wait()
    seen += await read_rest(reader)
    assert client.log.is_read
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert seen[-1].type == "response.completed"
    assert len([event for event in seen if event.type.endswith(".delta")]) == WORDS + 1
    assert harness.store.outcome is not None
    assert seen[-1].data.endswith(harness.store.outcome.result + b"}")


async def test_a_run_and_the_one_that_takes_it_over_leave_waypoints(harness: Harness, client: FollowClient) -> None:
    harness.make_runner(signals_a_waypoint=60)
    words: list[list[Step]] = [[[Text(f"{number} ")], settle] for number in range(WORDS // 2)]
    run = await harness.start(*chain.from_iterable(words), asyncio.Event())
    async with asyncio.timeout(MAX_S):
        while run.last_number < WORDS // 2 + 3:
            await settle()
    await harness.runner.close()
    kept = harness.memory.responses[RESPONSE_ID]
    before = len(kept.waypoints)
    harness.make_runner(signals_a_waypoint=60)
    shown = [f"{number} " for number in range(WORDS // 2)]
    await harness.run(*chain.from_iterable(words), [STOP], brief=make_brief(shown=shown, epoch="2.a"))
    assert (before, len(kept.waypoints)) == (2, 4)
    whole = await client.read(run=None)
    for after in range(0, len(whole), 7):
        assert await client.read(run=None, after=after) == whole[after + 1 :]


async def test_a_reader_of_a_run_that_is_handed_over_goes_on_with_the_next(
    harness: Harness, client: FollowClient
) -> None:
    run = await harness.start([Text("1 ")], asyncio.Event())
    reader = client.follow(run=run)
    seen = await see_words(reader, 1)
    await harness.runner.close()
    assert run.is_handed_over
    await see_quiet(reader)
    harness.make_runner()
    gate = asyncio.Event()
    await harness.start([Text("2 ")], gate, [Text("3"), STOP], brief=make_brief(shown=["1 "], epoch="2.a"))
    seen += await see_words(reader, 1)
    gate.set()
    seen += await read_rest(reader)
    assert check(seen)["output"][0]["content"][0]["text"] == "1 2 3"
    assert await client.read(run=None) == seen


async def test_a_nudge_spares_the_wait_for_the_next_look(harness: Harness, client: FollowClient) -> None:
    gate = asyncio.Event()
    await harness.start([Text("1")], gate, [STOP])
    await settle()
    harness.memory.are_nudges_lost = True
    reader = client.follow(run=None, quiet_s=MAX_S)
    seen = await see_words(reader, 1)
    resting = asyncio.ensure_future(read_rest(reader))
    await settle()
    gate.set()
    await settle()
    assert not resting.done()
    harness.memory.are_nudges_lost = False
    harness.memory.nudge(RESPONSE_ID)
    async with asyncio.timeout(LOOKS_EVERY_S / 2):
        assert check([*seen, *await resting])["status"] == "completed"


async def test_nudges_that_bring_no_event_do_not_hide_that_the_log_is_quiet(
    harness: Harness, client: FollowClient
) -> None:
    await harness.start([Text("1")], asyncio.Event())
    reader = client.follow(run=None, quiet_s=0.1)
    await see_words(reader, 1)

    async def nudge_again_and_again() -> None:
        while True:
            harness.memory.nudge(RESPONSE_ID)
            await asyncio.sleep(0.01)

    nudging = asyncio.ensure_future(nudge_again_and_again())
    await see_quiet(reader)
    nudging.cancel()


async def test_a_reader_from_any_number_of_a_run_that_was_taken_over_sees_the_rest(
    harness: Harness, client: FollowClient
) -> None:
    run = await harness.start([Text("1 ")], asyncio.Event())
    await settle()
    await harness.runner.close()
    harness.make_runner()
    gate = asyncio.Event()
    second = await harness.start([Text("2")], gate, [STOP], brief=make_brief(shown=["1 "], epoch="2.a"))
    await settle()
    readers = [client.follow(run=second, after=after) for after in range(-1, second.last_number + 1)]
    first_groups = [list(await anext(reader)) for reader in readers]
    gate.set()
    rests = [[*first, *await read_rest(reader)] for first, reader in zip(first_groups, readers, strict=True)]
    for number, rest in enumerate(rests):
        assert rest == rests[0][number:]
    assert check(rests[0])["output"][0]["content"][0]["text"] == "1 2"
    assert [event.sequence_number for event in rests[0]][: run.last_number] == list(range(run.last_number))


# --- Redis is away ---


@pytest.mark.parametrize("healthy_reads", [1, 2, 3])
async def test_a_reader_that_has_begun_is_kept_while_redis_is_away(
    harness: Harness, client: FollowClient, healthy_reads: int
) -> None:
    words: list[list[Step]] = [[[Text(f"{number} ")], settle] for number in range(6)]
    await harness.run(*chain.from_iterable(words), [STOP])
    whole = await client.read(run=None)
    assert check(whole)["status"] == "completed"
    client.log.read_fates = [None, *[None] * healthy_reads, *away()]  # the first one reads the echo
    assert await client.read(run=None) == whole
    assert client.log.read_fates == []


async def test_an_end_that_could_not_be_read_at_once_is_shown_later(harness: Harness, client: FollowClient) -> None:
    """The log is complete, but Redis is away when the final response is read."""
    await harness.run([Text("1"), STOP])
    whole = await client.read(run=None)
    assert check(whole)["status"] == "completed"
    client.store.get_fates = away()
    assert await client.read(run=None) == whole
    assert client.store.get_fates == []


async def test_a_reader_whose_run_was_lost_while_redis_is_away_is_kept(harness: Harness, client: FollowClient) -> None:
    harness.make_runner(lease_s=0.05)
    gate = asyncio.Event()
    run = await harness.start([Text("1 ")], gate, [Text("2")], asyncio.Event())
    reader = client.follow(run=run)
    seen = await see_words(reader, 1)
    harness.store.append_fates = away()
    client.log.read_fates, client.store.get_fates = away(), away()
    gate.set()
    async with asyncio.timeout(MAX_S):
        await run.wait()
    await see_quiet(reader, AWAY_LOOKS)
    harness.make_runner()
    harness.store.append_fates = []
    client.log.read_fates, client.store.get_fates = [], []
    await harness.run([Text("2"), STOP], brief=make_brief(shown=["1 "], epoch="2.a"))
    seen += await read_rest(reader)
    assert check(seen)["output"][0]["content"][0]["text"] == "1 2"


async def test_a_reader_that_waits_for_the_first_new_event_is_kept_too(harness: Harness, client: FollowClient) -> None:
    """It has been answered: an empty group counts as a beginning."""
    gate = asyncio.Event()
    run = await harness.start([Text("1 ")], gate, [Text("2"), STOP])
    await settle()
    reader = client.follow(run=None, after=run.last_number)
    assert await anext(reader) == ()
    client.log.read_fates = away()
    await see_quiet(reader, AWAY_LOOKS)
    gate.set()
    assert [event.type for event in await read_rest(reader)][-1] == "response.completed"


@pytest.mark.parametrize("healthy_calls", [0, 1], ids=["at the echo", "at the log"])
async def test_a_new_reader_is_refused_while_redis_is_away(
    harness: Harness, client: FollowClient, healthy_calls: int
) -> None:
    await harness.run([Text("1"), STOP])
    client.log.read_fates = [*[None] * healthy_calls, *away()]
    with pytest.raises(Unavailable):
        await anext(client.follow(run=None))


async def test_a_reader_is_cut_off_when_redis_stays_away(harness: Harness, client: FollowClient) -> None:
    client.set_pace(redis_away_s=5 * LOOK_S)
    await harness.start([Text("1")], asyncio.Event())
    await settle()
    reader = client.follow(run=None)
    await see_words(reader, 1)
    client.log.read_fates = away(100 * AWAY_LOOKS)
    with pytest.raises(Unavailable):
        await read_rest(reader)


async def test_short_outages_of_redis_cut_no_reader_off(harness: Harness, client: FollowClient) -> None:
    """Only the time without a break counts."""
    client.set_pace(redis_away_s=20 * LOOK_S)
    gate = asyncio.Event()
    await harness.start([Text("1")], gate, [STOP])
    await settle()
    reader = client.follow(run=None)
    seen = await see_words(reader, 1)
    client.log.read_fates = [*away(), None] * 8
    async with asyncio.timeout(MAX_S):
        while client.log.read_fates:
            assert await anext(reader) == ()
    gate.set()
    assert check([*seen, *await read_rest(reader)])["status"] == "completed"


# --- the process leaves ---


async def test_a_drain_waits_for_followers(harness: Harness, client: FollowClient) -> None:
    gate = asyncio.Event()
    await harness.start([Text("1")], gate, [STOP])
    await settle()
    reading_on = asyncio.ensure_future(client.read(run=None))
    await settle()
    draining = asyncio.ensure_future(client.followers.drain(MAX_S))
    await settle()
    assert not draining.done()
    gate.set()
    assert check(await reading_on)["status"] == "completed"
    async with asyncio.timeout(MAX_S):
        await draining


async def test_a_drain_without_followers_ends_at_once() -> None:
    async with asyncio.timeout(MAX_S):
        await Followers().drain(10 * MAX_S)


async def test_a_drain_cuts_off_followers_that_still_wait(harness: Harness, client: FollowClient) -> None:
    await harness.start([Text("1")], asyncio.Event())
    await settle()
    reader = client.follow(run=None)
    seen = await see_words(reader, 1)
    assert seen
    resting = asyncio.ensure_future(read_rest(reader))
    async with asyncio.timeout(MAX_S):
        await client.followers.drain(LOOK_S)
    with pytest.raises(Draining):
        await resting


async def test_written_events_are_shown_even_after_the_drain(harness: Harness, client: FollowClient) -> None:
    await harness.run([Text("1"), STOP])
    await client.followers.drain(0)
    assert check(await client.read(run=None))["status"] == "completed"


async def test_a_drain_does_not_wait_for_ever_for_a_reader_that_does_not_read(
    harness: Harness, client: FollowClient
) -> None:
    client.set_pace(look_s=LOOK_S)
    await harness.start([Text("1")], asyncio.Event())
    await settle()
    reader = client.follow(run=None)
    await anext(reader)
    async with asyncio.timeout(MAX_S):
        await client.followers.drain(LOOK_S)
    await reader.aclose()


async def test_readers_that_leave_are_not_waited_for(harness: Harness, client: FollowClient) -> None:
    await harness.start([Text("1")], asyncio.Event())
    await settle()
    reader = client.follow(run=None)
    await see_words(reader, 1)
    draining = asyncio.ensure_future(client.followers.drain(10 * MAX_S))
    await settle()
    await reader.aclose()
    async with asyncio.timeout(MAX_S):
        await draining


# --- many readers ---


async def write_long(harness: Harness, words: int) -> None:
    """The log of an ended response of so many words, in groups of many."""
    run = await harness.start([Text(f"{number} ") for number in range(words)], [STOP])
    async with asyncio.timeout(MAX_S):
        await run.wait()


async def test_many_readers_leave_everybody_else_a_turn(harness: Harness, client: FollowClient) -> None:
    """One of them tells a slice in a pass of the event loop."""
    await write_long(harness, 1_000)
    told = 0
    most_in_a_pass = 0

    async def read() -> None:
        nonlocal told
        async for events in client.follow(run=None):
            told += len([event for event in events if event.type.endswith(".delta")])

    readers = [asyncio.create_task(read()) for _ in range(20)]
    async with asyncio.timeout(10 * MAX_S):
        while not all(reader.done() for reader in readers):
            before = told
            await asyncio.sleep(0)
            most_in_a_pass = max(most_in_a_pass, told - before)
    assert told == 20 * 1_000
    assert most_in_a_pass <= 2 * SIGNALS_A_SLICE


async def test_a_reader_far_behind_in_memory_leaves_everybody_else_a_turn(
    harness: Harness, client: FollowClient
) -> None:
    run = await harness.start([Text(f"{number} ") for number in range(1_000)], [STOP])
    async with asyncio.timeout(MAX_S):
        await run.wait()
    groups = 0

    async def read() -> None:
        nonlocal groups
        async for _ in client.follow(run=run):
            groups += 1

    reader = asyncio.create_task(read())
    passes = 0
    while not reader.done():
        await asyncio.sleep(0)
        passes += 1
    assert groups >= 1_000 // MAX_AT_ONCE
    assert passes >= groups


async def test_the_first_and_last_events_are_there_once_for_all_readers(harness: Harness, client: FollowClient) -> None:
    await write_long(harness, 10)
    readers = [client.follow(run=None) for _ in range(3)]
    seen = [[*await anext(reader)] for reader in readers]
    for number, reader in enumerate(readers):
        seen[number] += await read_rest(reader)
    assert seen[0] == seen[1] == seen[2]
    for number in (0, 1, -2, -1):
        assert seen[0][number] is seen[1][number] is seen[2][number]


async def test_what_a_reader_has_seen_is_not_said_again(harness: Harness, client: FollowClient) -> None:
    await write_long(harness, 300)
    all_events = await client.read(run=None)
    for after in (0, 1, 5, 150, len(all_events) - 5, len(all_events) - 2):
        assert await client.read(run=None, after=after) == all_events[after + 1 :]


def test_events_below_the_first_one_that_is_told_are_not_written() -> None:
    signals: list[Signal] = [
        Thought("a"),
        Text("b"),
        Text("c"),
        Refused("d"),
        Text("e"),
        Called(0, "call", "f"),
        Argued(0, "{}"),
    ]
    whole = Narration(make_brief().response)
    events = [*whole.opening(), *whole.tell(signals)]
    for first in range(len(events) + 1):
        narration = Narration(make_brief().response, first_told=first)
        told = [*narration.opening(), *narration.tell(signals)]
        assert [event for event in told if event.data] == events[first:]
        assert narration.next_number == len(events)
        assert narration.list_said() == whole.list_said()


def test_a_reader_holds_a_long_text_in_few_pieces() -> None:
    narration = Narration(make_brief().response)
    came = [f"{number} " for number in range(100 * PIECES_AT_ONCE)]
    narration.tell(map(Text, came))
    pieces = narration.find_open_text()
    assert pieces is not None
    assert len(pieces) == len(came)
    held = list(pieces)
    assert "".join(held) == "".join(came)
    assert len(held) == 100


def test_the_response_in_use_is_forgotten_with_its_last_reader() -> None:
    in_use, echo = ResponsesInUse(), make_brief().response
    one = in_use.share("alice", echo)
    assert in_use.share("alice", replace(echo)) is in_use.find("alice", echo.id) is one
    assert in_use.find("bob", echo.id) is None
    del one
    assert in_use.find("alice", echo.id) is None
