"""Runs against a store and a model that do what the script says: order, groups, leases, ends."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from prompts import sse
from prompts.domain import Usage
from prompts.errors import (
    Draining,
    InvalidPrompt,
    Overloaded,
    StaleRun,
    StorageFull,
    Unavailable,
    UpstreamError,
)
from prompts.events import Event, Finished, Text
from prompts.run import MAX_AT_ONCE, Run, Told
from prompts.runner import Limits, Runner
from tests.fakes import (
    RESPONSE_ID,
    Append,
    FakeResponseStore,
    ScriptedModel,
    Step,
    make_draft,
    make_model_input,
)
from tests.oracle import check_events

# Everything here happens within milliseconds; this is for a run that hangs.
MAX_S = 5
STOP = Finished("stop", Usage(1, 2, 3))
Start = Callable[..., Awaitable[Run]]


class House:
    """A runner with its store and model."""

    def __init__(self) -> None:
        self.store = FakeResponseStore()
        self.model = ScriptedModel([])
        self.released: list[tuple[str, bool]] = []
        self.is_full = False
        self.runner = self.make_runner()

    def make_runner(self, *, max_runs: int = 10, max_run_s: float = MAX_S, lease_s: float = 1.0) -> Runner:
        """Replace the runner by one with other limits."""
        limits = Limits(max_runs=max_runs, max_run_s=max_run_s, lease_s=lease_s)
        self.runner = Runner(
            store=self.store,
            model=self.model,
            limits=limits,
            release=self.note_release,
            check_storage=self.check_storage,
        )
        return self.runner

    async def note_release(self, response_id: str) -> None:
        """What the runner says when the model's connection of a response that was let go is closed."""
        self.released.append((response_id, self.model.is_closed))

    def check_storage(self) -> None:
        """Refuses when the test says so."""
        if self.is_full:
            raise StorageFull("Full.")

    async def start(self, *steps: Step) -> Run:
        """Begin a run whose model goes through these steps."""
        self.model.steps = steps
        draft = make_draft()
        with self.runner.reserve():
            admitted = await self.store.admit(draft, owner="alice", history_tokens=0, lease_s=1)
            return self.runner.start(draft, admitted, [], owner="alice", model_input=make_model_input())

    async def run(self, *steps: Step) -> Run:
        """The same, to its end."""
        run = await self.start(*steps)
        async with asyncio.timeout(MAX_S):
            await run.wait()
        return run


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A fresh one, emptied at the end."""
    house = House()
    yield house
    await house.runner.close()


async def read(run: Run, *, after: int = -1) -> list[Event]:
    """The events of a run above a number, followed to its end."""
    async with asyncio.timeout(MAX_S):
        return [event async for events in run.follow(after=after, quiet_s=MAX_S) for event in events]


def check(events: Sequence[Event]) -> dict[str, Any]:
    """The final response of a whole sequence of events."""
    return check_events([msgspec.json.decode(event.data) for event in events])


def texts(appends: Sequence[Append]) -> list[list[str]]:
    """What each group says."""
    return [[signal.text for signal in append.signals if isinstance(signal, Text)] for append in appends]


async def settle() -> None:
    """Let everything that can happen now happen."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_it_works(house: House) -> None:
    run = await house.run([Text("Good ")], [Text("morning!"), STOP])
    final = check(await read(run))
    assert final["output"][0]["content"][0]["text"] == "Good morning!"
    assert run.outcome == house.store.outcome
    assert [text for group in texts(house.store.appends) for text in group] == ["Good ", "morning!"]
    assert house.store.appends[-1].signals[-1] == STOP
    assert house.model.is_closed


async def test_what_arrives_while_a_group_is_in_flight_goes_out_together(house: House) -> None:
    gate = asyncio.Event()
    house.store.append_fates = [gate]
    end = asyncio.Event()
    run = await house.start([Text("1")], house.store.called, [Text("2")], [Text("3")], [Text("4")], end, [STOP])
    await settle()
    assert house.store.appends == []
    gate.set()
    await settle()
    assert texts(house.store.appends) == [["1"], ["2", "3", "4"]]
    end.set()
    check(await read(run))


async def test_nothing_is_shown_that_is_not_written(house: House) -> None:
    gate, end = asyncio.Event(), asyncio.Event()
    house.store.append_fates = [gate]
    run = await house.start([Text("1")], end, [STOP])
    reader = run.follow(after=-1, quiet_s=MAX_S)
    assert [event.type for event in await anext(reader)] == ["response.created", "response.in_progress"]
    waiting = asyncio.ensure_future(anext(reader))
    await settle()
    assert not waiting.done()
    gate.set()
    assert [event.type for event in await waiting][-1] == "response.output_text.delta"
    house.store.commit_fates = [committed := asyncio.Event()]
    end.set()
    waiting = asyncio.ensure_future(anext(reader))
    await settle()
    assert not waiting.done()
    committed.set()
    assert [event.type for event in await waiting][-1] == "response.completed"


async def test_the_end_waits_for_the_group_in_flight(house: House) -> None:
    gate = asyncio.Event()
    house.store.append_fates = [gate]
    run = await house.start([Text("1")], house.store.called, [Text("2"), STOP])
    await settle()
    assert house.store.outcome is None
    gate.set()
    check(await read(run))
    assert texts(house.store.appends) == [["1"], ["2"]]
    numbers = [append.last_number for append in house.store.appends]
    assert numbers == sorted(numbers)


async def test_the_lease_is_renewed_while_the_model_is_silent(house: House) -> None:
    house.make_runner(lease_s=0.6)
    enough = asyncio.Event()
    run = await house.start(enough, [Text("1"), STOP])
    async with asyncio.timeout(MAX_S):
        while len(house.store.appends) < 3:
            house.store.called.clear()
            await house.store.called.wait()
            await settle()
    renewals = list(house.store.appends)
    assert all(not append.signals and append.last_number == 1 for append in renewals)
    assert all(later.at - earlier.at < 0.6 for earlier, later in pairwise(renewals))
    enough.set()
    check(await read(run))


async def test_a_store_that_is_away_for_a_moment_loses_nothing(house: House) -> None:
    house.store.append_fates = [Unavailable("away"), Unavailable("away")]
    house.store.commit_fates = [Unavailable("away")]
    run = await house.run([Text("1")], house.store.called, [Text("2")], [STOP])
    final = check(await read(run))
    assert final["status"] == "completed"
    assert final["output"][0]["content"][0]["text"] == "12"
    assert house.store.tries == len(house.store.appends) + 3


async def test_a_store_that_stays_away_ends_the_run_with_the_lease(house: House) -> None:
    house.make_runner(lease_s=0.1)
    house.store.append_fates = [Unavailable("away") for _ in range(20)]
    run = await house.run([Text("1")], asyncio.Event())
    assert run.outcome is None
    assert isinstance(run.error, Unavailable)
    assert house.store.outcome is None
    assert house.store.appends == []
    assert house.model.is_closed
    assert [event.type for event in await read(run)] == ["response.created", "response.in_progress"]


async def test_a_store_that_comes_back_just_after_the_lease_shows_no_hole(house: House) -> None:
    """The group that was never acknowledged goes out before the end; numbers stay without a gap."""
    house.make_runner(lease_s=0.1)
    house.store.append_fates = [Unavailable("away"), Unavailable("away")]
    run = await house.run([Text("1")], asyncio.Event())
    final = check(await read(run))
    assert final["status"] == "failed"
    assert final["output"][0]["content"][0]["text"] == "1"
    assert texts(house.store.appends) == [["1"], []]


async def test_an_end_that_cannot_be_written_is_not_told_as_another_end(house: House) -> None:
    house.make_runner(lease_s=0.1)
    house.store.commit_fates = [Unavailable("away"), Unavailable("away")]
    run = await house.run([Text("1"), STOP])
    assert run.outcome is None
    assert isinstance(run.error, Unavailable)
    assert [event.type for event in await read(run)] == ["response.created", "response.in_progress"]


@pytest.mark.parametrize("steps", [[asyncio.Event()], [[STOP]]])
async def test_a_run_that_was_taken_over_writes_nothing_more(house: House, steps: list[Step]) -> None:
    house.store.append_fates = [StaleRun()] * 2
    house.store.commit_fates = [StaleRun()]
    run = await house.run([Text("1")], house.store.called, *steps)
    assert run.outcome is None
    assert house.store.outcome is None
    assert house.store.appends == []
    assert house.model.is_closed
    assert [event.type for event in await read(run)] == ["response.created", "response.in_progress"]


@pytest.mark.parametrize("steps", [[], [[Text("1")]]], ids=["before its first word", "in the middle"])
async def test_a_run_that_is_let_go_writes_no_end_and_says_so_when_the_model_is_left(
    house: House, steps: list[Step]
) -> None:
    run = await house.start(*steps, asyncio.Event(), [STOP])
    await settle()
    tries = house.store.tries
    house.runner.let_go(RESPONSE_ID)
    async with asyncio.timeout(MAX_S):
        await run.wait()
        await settle()
    assert house.released == [(RESPONSE_ID, True)]
    assert (run.outcome, run.error, house.store.outcome) == (None, None, None)
    assert house.store.tries == tries
    assert run.is_let_go
    assert house.runner.find(RESPONSE_ID) is None
    assert [event.type for event in await read(run)][:2] == ["response.created", "response.in_progress"]


async def test_a_run_that_is_let_go_twice_says_so_to_both(house: House) -> None:
    run = await house.start([Text("1")], asyncio.Event())
    await settle()
    house.runner.let_go(RESPONSE_ID)
    house.runner.let_go(RESPONSE_ID)
    async with asyncio.timeout(MAX_S):
        await run.wait()
    house.runner.let_go(RESPONSE_ID)
    await settle()
    assert house.released[0] == (RESPONSE_ID, True)
    house.runner.let_go(RESPONSE_ID)
    await settle()
    assert len(house.released) >= 2


async def test_a_run_may_be_let_go_before_its_first_step(house: House) -> None:
    run = await house.start(asyncio.Event())
    house.runner.let_go(RESPONSE_ID)
    async with asyncio.timeout(MAX_S):
        await run.wait()
        await settle()
    assert house.released == [(RESPONSE_ID, True)]
    assert house.store.outcome is None


async def test_letting_go_while_the_end_is_written_leaves_it_to_the_store_who_was_first(house: House) -> None:
    house.store.commit_fates = [gate := asyncio.Event()]
    run = await house.start([Text("1"), STOP])
    await settle()
    house.runner.let_go(RESPONSE_ID)
    await settle()
    assert house.store.outcome is None
    gate.set()
    assert check(await read(run))["status"] == "completed"

    house.store.outcome = None
    house.store.commit_fates = [StaleRun()]
    run = await house.run([Text("1")], UpstreamError("It broke off."))
    assert (run.outcome, run.error) == (None, None)  # how it ended is for whoever took it to say


async def test_what_is_let_go_of_and_not_here_is_released_at_once(house: House) -> None:
    house.runner.let_go(RESPONSE_ID)
    await settle()
    assert [response_id for response_id, _ in house.released] == [RESPONSE_ID]


async def test_a_model_that_is_faster_than_the_store_waits(house: House) -> None:
    house.store.append_fates = [gate := asyncio.Event()]
    words: list[Step] = [[Text(f"{number} ")] for number in range(5 * MAX_AT_ONCE)]
    run = await house.start([Text("first ")], house.store.called, *words, [STOP])
    for _ in range(20):
        await settle()
    gate.set()
    final = check(await read(run))
    assert final["output"][0]["content"][0]["text"] == "first " + "".join(f"{n} " for n in range(5 * MAX_AT_ONCE))
    assert max(len(append.signals) for append in house.store.appends) <= MAX_AT_ONCE


async def test_a_full_store_refuses_new_runs(house: House) -> None:
    house.is_full = True
    with pytest.raises(StorageFull), house.runner.reserve():
        pass


async def test_following_from_any_number_gives_the_rest(house: House) -> None:
    run = await house.run([Text("1 ")], house.store.called, [Text("2 "), Text("3")], [STOP])
    everything = await read(run)
    for after in range(-1, len(everything)):
        assert await read(run, after=after) == everything[after + 1 :]


async def test_a_reader_behind_what_is_kept_is_sent_to_the_log_without_a_hole(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prompts.run.MAX_KEPT_BYTES", 2_000)
    gate, end = asyncio.Event(), asyncio.Event()
    words: list[Step] = [[Text("word ")] for _ in range(100)]
    run = await house.start([Text("1")], gate, *words, end, [STOP])
    reader = run.follow(after=-1, quiet_s=MAX_S)
    seen = [*await anext(reader)]
    seen += [] if any(event.type.endswith("delta") for event in seen) else await anext(reader)
    quick = asyncio.ensure_future(read(run, after=seen[-1].sequence_number))
    gate.set()
    await settle()
    assert [events async for events in reader] == []  # what it has seen is followed by nothing wrong, and nothing else
    end.set()
    numbers = [event.sequence_number for event in [*seen, *await quick]]
    assert numbers == list(range(len(numbers)))


def test_what_is_kept_is_bounded_and_found_by_number() -> None:
    def events(numbers: range) -> list[Event]:
        return [Event("response.output_text.delta", number, b"x" * 100_000) for number in numbers]

    told = Told(events(range(2)))
    for number in range(2, 100):
        told.add(events(range(number, number + 1)))
    assert told.last_number == 99
    kept = [number for number in range(-1, 100) if told.find(number) is not None]
    assert kept == list(range(79, 100))
    found = told.find(90)
    assert found is not None
    assert [event.sequence_number for event in found] == list(range(91, 100))
    assert told.find(99) == told.find(500) == []


async def test_readers_that_join_late_or_leave_change_nothing(house: House) -> None:
    gate = asyncio.Event()
    run = await house.start([Text("1")], gate, [Text("2")], [STOP])
    leaver = run.follow(after=-1, quiet_s=MAX_S)
    await anext(leaver)
    await leaver.aclose()  # type: ignore[attr-defined]  # an async generator
    early = asyncio.ensure_future(read(run))
    cancelled = asyncio.ensure_future(read(run))
    await settle()
    cancelled.cancel()
    late = asyncio.ensure_future(read(run))
    gate.set()
    assert check(await early)["status"] == "completed"
    assert sse.frames(await early) == sse.frames(await late) == sse.frames(await read(run))


async def test_a_quiet_run_gives_empty_groups_between_its_events(house: House) -> None:
    gate = asyncio.Event()
    run = await house.start(gate, [Text("1"), STOP])
    reader = run.follow(after=-1, quiet_s=0.01)
    assert await anext(reader)
    assert [len(await anext(reader)) for _ in range(3)] == [0, 0, 0]
    gate.set()
    rest = [event async for events in reader for event in events]
    assert rest[-1].type == "response.completed"


async def test_stopping_keeps_the_text_written_so_far(house: House) -> None:
    run = await house.start([Text("1 2 ")], asyncio.Event())
    await settle()
    await house.runner.close()
    final = check(await read(run))
    assert (final["status"], final["error"]["code"]) == ("failed", "replica_lost")
    assert final["output"][0]["content"][0]["text"] == "1 2 "
    assert house.model.is_closed
    assert house.store.outcome is not None
    assert house.store.outcome.items == []


async def test_stopping_at_the_very_start_and_at_the_very_end(house: House) -> None:
    run = await house.start(asyncio.Event())
    await house.runner.close()
    assert check(await read(run))["error"]["code"] == "replica_lost"

    house.store.outcome = None
    house.make_runner()
    house.store.commit_fates = [gate := asyncio.Event()]
    run = await house.start([Text("1"), STOP])
    await settle()
    closing = asyncio.ensure_future(house.runner.close())
    await settle()
    gate.set()
    await closing
    assert check(await read(run))["status"] == "completed"


async def test_a_drain_waits_refuses_and_then_stops(house: House) -> None:
    gate = asyncio.Event()
    run = await house.start([Text("1")], gate, [STOP])
    draining = asyncio.ensure_future(house.runner.drain(MAX_S))
    await settle()
    with pytest.raises(Draining), house.runner.reserve():
        pass
    gate.set()
    await draining
    assert check(await read(run))["status"] == "completed"

    house.store.outcome = None
    house.make_runner()
    run = await house.start([Text("1")], asyncio.Event())
    await house.runner.drain(0.05)
    assert check(await read(run))["error"]["code"] == "replica_lost"


async def test_a_drain_waits_for_what_is_being_admitted(house: House) -> None:
    with house.runner.reserve():
        draining = asyncio.ensure_future(house.runner.drain(MAX_S))
        await settle()
        draft = make_draft()
        house.model.steps = [[Text("1"), STOP]]
        admitted = await house.store.admit(draft, owner="alice", history_tokens=0, lease_s=1)
        run = house.runner.start(draft, admitted, [], owner="alice", model_input=make_model_input())
    await draining
    assert check(await read(run))["status"] == "completed"


async def test_no_more_runs_than_allowed(house: House) -> None:
    house.make_runner(max_runs=2)
    gate = asyncio.Event()
    await house.start(gate, [STOP])
    with house.runner.reserve(), pytest.raises(Overloaded), house.runner.reserve():
        pass
    with house.runner.reserve():
        pass
    gate.set()


async def test_an_answer_may_take_so_long_only(house: House) -> None:
    house.make_runner(max_run_s=0.05)
    began = time.monotonic()
    run = await house.run([Text("1")], asyncio.Event())
    assert time.monotonic() - began < 1
    assert run.error is not None
    assert run.error.code == "upstream_timeout"
    assert check(await read(run))["output"][0]["status"] == "incomplete"


@pytest.mark.parametrize("error", [UpstreamError("It broke off."), InvalidPrompt("No.")])
async def test_the_models_error_is_the_runs(house: House, error: Exception) -> None:
    run = await house.run([Text("1")], error)
    final = check(await read(run))
    assert run.error is error
    assert final["error"]["message"] == str(error)


async def test_an_answer_without_an_end_has_failed(house: House) -> None:
    run = await house.run([Text("1")])
    assert check(await read(run))["status"] == "failed"


async def test_a_mistake_of_ours_is_logged_once_and_told_in_general(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        run = await house.run([Text("1")], ZeroDivisionError("secret detail"))
    final = check(await read(run))
    assert final["error"]["code"] == "server_error"
    assert "secret" not in final["error"]["message"]
    assert run.error is not None
    assert run.error.code == "internal_error"
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
