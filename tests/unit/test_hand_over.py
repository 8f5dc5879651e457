"""A leaving process hands over its runs; a log that a fail-over has shortened is repaired, or its run gives up."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from prompts.answer.events import TERMINAL, Event
from prompts.domain.signals import Text
from prompts.errors import StaleRun, TailLost, Unavailable, UpstreamError
from prompts.run.run import Run
from tests.support.fakes.fates import Fate
from tests.support.fakes.response_store import FakeResponseStore
from tests.support.runner_harness import MAX_S, STOP, Harness, check, read, settle, texts, written
from tests.support.sample_turn import LAST_OPENING_NUMBER, RESPONSE_ID, make_brief


def check_handed_over(run: Run, store: FakeResponseStore) -> None:
    """Check that the response was released once, for others to continue, and that nothing says it ended."""
    assert run.is_handed_over
    assert (run.outcome, run.error, store.outcome) == (None, None, None)
    assert store.released == [False]


def check_unended(events: Sequence[Event]) -> None:
    """Check that the events stop without an end and without a gap."""
    assert not [event for event in events if event.type in TERMINAL]
    assert [event.sequence_number for event in events] == list(range(len(events)))


def check_whole(store: FakeResponseStore) -> None:
    """Check that each group follows the one before."""
    groups = [append for append in store.appends if append.last_number > append.after]
    assert all(later.after == earlier.last_number for earlier, later in pairwise(groups))


# --- leaving ---


async def test_closing_hands_over_and_keeps_the_text_written_so_far(harness: Harness) -> None:
    run = await harness.start([Text("1 "), Text("2 ")], asyncio.Event())
    await settle()
    await harness.runner.close()
    check_handed_over(run, harness.store)
    assert written(harness.store) == "1 2 "
    assert harness.model.is_closed
    told = await read(run)
    check_unended(told)
    assert [event.type for event in told][-2:] == ["response.output_text.delta"] * 2
    assert harness.runner.find(RESPONSE_ID) is None


async def test_signals_that_arrived_are_written_before_the_hand_over(harness: Harness) -> None:
    harness.store.append_fates = [gate := asyncio.Event()]
    run = await harness.start([Text("1")], harness.store.called, [Text("2")], [Text("3")], asyncio.Event())
    await settle()
    closing = asyncio.ensure_future(harness.runner.close())
    await settle()
    assert not closing.done()
    assert harness.store.released == []
    gate.set()
    await closing
    check_handed_over(run, harness.store)
    assert texts(harness.store.appends) == [["1"], ["2", "3"]]
    check_whole(harness.store)
    check_unended(await read(run))


async def test_a_run_that_has_said_nothing_is_handed_over_as_it_is(harness: Harness) -> None:
    run = await harness.start(asyncio.Event())
    await harness.runner.close()
    check_handed_over(run, harness.store)
    assert harness.store.appends == []
    assert [event.type for event in await read(run)] == ["response.created", "response.in_progress"]


async def test_a_run_that_begins_while_the_process_closes_is_handed_over(harness: Harness) -> None:
    harness.model.steps = [asyncio.Event()]
    with harness.runner.reserve():
        await harness.runner.close()
        run = harness.runner.start(make_brief())
    async with asyncio.timeout(MAX_S):
        await run.wait()
    check_handed_over(run, harness.store)


async def test_a_run_that_is_ending_is_finished_here(harness: Harness) -> None:
    harness.store.commit_fates = [gate := asyncio.Event()]
    run = await harness.start([Text("1"), STOP])
    await settle()
    closing = asyncio.ensure_future(harness.runner.close())
    await settle()
    gate.set()
    await closing
    assert check(await read(run))["status"] == "completed"
    assert harness.store.released == []


async def test_a_follower_learns_that_the_rest_comes_from_elsewhere(harness: Harness) -> None:
    run = await harness.start([Text("1")], asyncio.Event())
    following = asyncio.ensure_future(read(run))
    await settle()
    await harness.runner.close()
    check_unended(await following)


@pytest.mark.parametrize(
    ("append_fates", "release_fates"),
    [
        ([None, Unavailable("away")], []),
        ([None, Unavailable("away"), Unavailable("away")], [Unavailable("away")]),
        ([], [Unavailable("away"), Unavailable("away")]),
    ],
    ids=["at the last words", "all the time", "at the release"],
)
async def test_a_hand_over_outlasts_a_store_that_is_away_for_a_moment(
    harness: Harness, append_fates: list[Fate], release_fates: list[Fate]
) -> None:
    harness.store.append_fates, harness.store.release_fates = append_fates, release_fates
    run = await harness.start([Text("1")], harness.store.called, [Text("2")], asyncio.Event())
    await settle()
    await harness.runner.close()
    check_handed_over(run, harness.store)
    assert written(harness.store) == "12"
    check_whole(harness.store)


@pytest.mark.parametrize(
    ("append_fates", "release_fates"),
    [
        ([StaleRun()] * 3, []),
        ([Unavailable("away")] * 10, []),
        ([], [StaleRun()]),
        ([], [Unavailable("away")] * 10),
    ],
    ids=["taken while it writes", "away while it writes", "taken at the release", "away at the release"],
)
async def test_a_failed_hand_over_is_left_to_the_lease(
    harness: Harness, append_fates: list[Fate], release_fates: list[Fate]
) -> None:
    harness.make_runner(lease_s=0.1)
    gate = asyncio.Event()
    harness.store.append_fates = [gate, *append_fates]
    harness.store.release_fates = release_fates
    run = await harness.start([Text("1")], harness.store.called, [Text("2")], asyncio.Event())
    await settle()
    closing = asyncio.ensure_future(harness.runner.close())
    await settle()
    gate.set()
    await closing
    assert not run.is_handed_over
    assert (run.outcome, run.error, harness.store.outcome) == (None, None, None)
    assert harness.store.released == []
    check_unended(await read(run))


async def test_a_run_may_be_taken_while_it_is_handed_over(harness: Harness) -> None:
    """A cancellation comes while the process leaves.

    The run writes nothing more, and its followers learn that it is over.
    """
    harness.store.release_fates = [(asyncio.Event(), StaleRun())]
    run = await harness.start([Text("1")], asyncio.Event())
    await settle()
    closing = asyncio.ensure_future(harness.runner.close())
    await settle()
    harness.runner.let_go(RESPONSE_ID, "2.a")
    await closing
    assert run.is_let_go
    assert not run.is_handed_over
    assert harness.released == [(RESPONSE_ID, True)]
    assert (run.outcome, harness.store.outcome) == (None, None)


# --- a log that has lost its end ---


async def test_a_lost_log_tail_is_written_again_in_order(harness: Harness) -> None:
    """First what Redis had acknowledged and lost, then what was to be written."""
    gates = [asyncio.Event() for _ in range(3)]
    run = await harness.start([Text("1")], gates[0], [Text("2")], gates[1], [Text("3")], gates[2], [Text("4")], [STOP])
    for gate in gates[:2]:
        await settle()
        gate.set()
    await settle()
    assert texts(harness.store.appends) == [["1"], ["2"], ["3"]]
    harness.lose_tail(harness.store.appends[0].last_number)
    gates[2].set()
    final = check(await read(run))
    assert final["status"] == "completed"
    assert final["output"][0]["content"][0]["text"] == "1234" == written(harness.store)
    assert texts(harness.store.appends)[:4] == [["1"], ["2"], ["3"], ["4"]]
    check_whole(harness.store)
    assert harness.store.released == []


async def test_the_whole_log_but_its_opening_is_written_again(harness: Harness) -> None:
    gate = asyncio.Event()
    run = await harness.start([Text("1")], gate, [Text("2")], [STOP])
    await settle()
    harness.lose_tail(LAST_OPENING_NUMBER)
    gate.set()
    assert check(await read(run))["output"][0]["content"][0]["text"] == "12" == written(harness.store)
    check_whole(harness.store)


async def test_a_lease_renewal_notices_a_lost_log_tail(harness: Harness) -> None:
    """The log is repaired also while the model is silent."""
    harness.make_runner(lease_s=0.1)
    gate = asyncio.Event()
    run = await harness.start([Text("1")], gate, [STOP])
    await settle()
    harness.lose_tail(LAST_OPENING_NUMBER)
    async with asyncio.timeout(MAX_S):
        while written(harness.store) != "1":
            harness.store.called.clear()
            await harness.store.called.wait()
            await settle()
    gate.set()
    assert check(await read(run))["status"] == "completed"


@pytest.mark.parametrize("end", [[STOP], UpstreamError("It broke off.")], ids=["its own", "a failure"])
async def test_a_lost_log_tail_is_written_again_before_the_end(harness: Harness, end: Any) -> None:
    gate = asyncio.Event()
    run = await harness.start([Text("1")], gate, end)
    await settle()
    harness.lose_tail(LAST_OPENING_NUMBER)
    gate.set()
    final = check(await read(run))
    assert final["output"][0]["content"][0]["text"] == "1"
    assert texts(harness.store.appends) == [["1"], []]
    check_whole(harness.store)
    assert harness.store.released == []


async def test_a_lost_log_tail_is_written_again_before_a_hand_over(harness: Harness) -> None:
    run = await harness.start([Text("1")], gate := asyncio.Event(), [Text("2")], asyncio.Event())
    await settle()
    harness.lose_tail(LAST_OPENING_NUMBER)
    harness.store.append_fates = [Unavailable("away")]
    gate.set()
    await settle()
    await harness.runner.close()
    check_handed_over(run, harness.store)
    assert written(harness.store) == "12"
    check_whole(harness.store)


async def test_a_log_may_lose_its_tail_again_while_it_is_repaired(harness: Harness) -> None:
    gates = [asyncio.Event() for _ in range(2)]
    run = await harness.start([Text("1")], gates[0], [Text("2")], gates[1], [Text("3")], [STOP])
    await settle()
    gates[0].set()
    await settle()
    harness.lose_tail(LAST_OPENING_NUMBER)
    # The first repaired group is acknowledged; then Redis is away for a moment.
    harness.store.append_fates = [None, None, Unavailable("away")]
    gates[1].set()
    assert check(await read(run))["output"][0]["content"][0]["text"] == "123" == written(harness.store)
    check_whole(harness.store)


@pytest.mark.parametrize("fate", [None, Unavailable("away")], ids=["at once", "after a moment"])
async def test_a_run_gives_up_when_it_cannot_repair_the_log(harness: Harness, fate: Fate) -> None:
    """This process does not have what was shown before it took over, so it cannot write that part again."""
    brief = make_brief(shown=["Good ", "mor"], epoch="2.a")
    before = brief.narration.next_number - 1
    run = await harness.start([Text("1")], gate := asyncio.Event(), [Text("2")], asyncio.Event(), brief=brief)
    await settle()
    harness.lose_tail(LAST_OPENING_NUMBER)
    harness.store.release_fates = [fate]
    gate.set()
    async with asyncio.timeout(MAX_S):
        await run.wait()
    assert harness.store.released == [True]
    assert (run.outcome, run.error, harness.store.outcome) == (None, None, None)
    assert not run.is_handed_over
    assert harness.model.is_closed
    told = await read(run, after=before)
    assert [event.type for event in told] == ["response.output_text.delta"]


@pytest.mark.parametrize("end", [[STOP], UpstreamError("It broke off.")], ids=["its own", "a failure"])
async def test_a_run_gives_up_when_its_end_does_not_follow_the_log(harness: Harness, end: Any) -> None:
    brief = make_brief(shown=["Good "], epoch="2.a")
    run = await harness.start(gate := asyncio.Event(), end, brief=brief)
    await settle()
    harness.lose_tail(LAST_OPENING_NUMBER)
    gate.set()
    async with asyncio.timeout(MAX_S):
        await run.wait()
    assert harness.store.released == [True]
    assert (run.outcome, run.error, harness.store.outcome) == (None, None, None)


async def test_a_run_gives_up_when_its_hand_over_does_not_follow_the_log(harness: Harness) -> None:
    gate = asyncio.Event()
    harness.store.append_fates = [gate]
    run = await harness.start([Text("1")], asyncio.Event(), brief=make_brief(shown=["Good "], epoch="2.a"))
    await settle()
    harness.lose_tail(LAST_OPENING_NUMBER)
    closing = asyncio.ensure_future(harness.runner.close())
    await settle()
    gate.set()
    await closing
    assert harness.store.released == [True]
    assert not run.is_handed_over


async def test_a_run_gives_up_when_its_end_does_not_follow_the_log_while_the_process_closes(harness: Harness) -> None:
    gate = asyncio.Event()
    harness.store.commit_fates = [(gate, TailLost(LAST_OPENING_NUMBER))]
    run = await harness.start([STOP], brief=make_brief(shown=["Good "], epoch="2.a"))
    await settle()
    closing = asyncio.ensure_future(harness.runner.close())
    await settle()
    gate.set()
    await closing
    assert harness.store.released == [True]
    assert (run.outcome, run.error) == (None, None)


@pytest.mark.parametrize("fate", [StaleRun(), Unavailable("away")])
async def test_giving_up_may_fail(harness: Harness, fate: Exception) -> None:
    """Then the lease expires, and another replica continues from what is in the log."""
    harness.make_runner(lease_s=0.1)
    harness.store.release_fates = [fate] * 10
    run = await harness.start(gate := asyncio.Event(), [Text("1")], brief=make_brief(shown=["Good "], epoch="2.a"))
    harness.lose_tail(LAST_OPENING_NUMBER)
    gate.set()
    async with asyncio.timeout(MAX_S):
        await run.wait()
    assert harness.store.released == []
    assert (run.outcome, run.error) == (None, None)


async def test_a_group_that_is_cut_in_two_cannot_be_written_again(harness: Harness) -> None:
    """Redis keeps groups whole. A log that ends inside a group belongs to another run."""
    run = await harness.start([Text("1"), Text("2")], gate := asyncio.Event(), [Text("3")], asyncio.Event())
    await settle()
    harness.lose_tail(harness.store.appends[0].last_number - 1)
    gate.set()
    async with asyncio.timeout(MAX_S):
        await run.wait()
    assert harness.store.released == [True]
