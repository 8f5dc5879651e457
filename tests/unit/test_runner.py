"""All runs of a process: limits, release, drain."""

import asyncio

import pytest

from prompts.domain.signals import Text
from prompts.errors import Draining, Overloaded, StaleRun, StorageFull, UpstreamError
from tests.support.fakes.chat_model import Step
from tests.support.runner_harness import MAX_S, STOP, Harness, check, read, settle, written
from tests.support.sample_turn import RESPONSE_ID, make_brief

# The epoch of a takeover of a run with the epoch "1".
NEXT = "2.a"


@pytest.mark.parametrize("steps", [[], [[Text("1")]]], ids=["before its first word", "in the middle"])
async def test_a_released_run_writes_no_end_and_reports_when_the_model_is_disconnected(
    harness: Harness, steps: list[Step]
) -> None:
    run = await harness.start(*steps, asyncio.Event(), [STOP])
    await settle()
    tries = harness.store.tries
    harness.runner.let_go(RESPONSE_ID, NEXT)
    async with asyncio.timeout(MAX_S):
        await run.wait()
        await settle()
    assert harness.released == [(RESPONSE_ID, True)]
    assert (run.outcome, run.error, harness.store.outcome) == (None, None, None)
    assert harness.store.tries == tries
    assert run.is_let_go
    assert harness.runner.find(RESPONSE_ID) is None
    assert [event.type for event in await read(run)][:2] == ["response.created", "response.in_progress"]


async def test_a_run_that_is_released_twice_reports_to_both(harness: Harness) -> None:
    run = await harness.start([Text("1")], asyncio.Event())
    await settle()
    harness.runner.let_go(RESPONSE_ID, NEXT)
    harness.runner.let_go(RESPONSE_ID, "3.b")
    async with asyncio.timeout(MAX_S):
        await run.wait()
    harness.runner.let_go(RESPONSE_ID, NEXT)
    await settle()
    assert harness.released[0] == (RESPONSE_ID, True)
    harness.runner.let_go(RESPONSE_ID, NEXT)
    await settle()
    assert len(harness.released) >= 2


async def test_a_run_may_be_released_before_its_first_step(harness: Harness) -> None:
    run = await harness.start(asyncio.Event())
    harness.runner.let_go(RESPONSE_ID, NEXT)
    async with asyncio.timeout(MAX_S):
        await run.wait()
        await settle()
    assert harness.released == [(RESPONSE_ID, True)]
    assert harness.store.outcome is None


async def test_when_a_release_meets_the_end_the_store_decides(harness: Harness) -> None:
    harness.store.commit_fates = [gate := asyncio.Event()]
    run = await harness.start([Text("1"), STOP])
    await settle()
    harness.runner.let_go(RESPONSE_ID, NEXT)
    await settle()
    assert harness.store.outcome is None
    gate.set()
    assert check(await read(run))["status"] == "completed"


@pytest.mark.parametrize("is_let_go", [True, False])
async def test_a_failure_after_a_release_is_not_shown(harness: Harness, is_let_go: bool) -> None:
    """The replica that took the response over decides how it ended."""
    gate = asyncio.Event()
    harness.store.commit_fates = [(gate, StaleRun())]
    run = await harness.start(UpstreamError("It broke off."))
    await settle()
    if is_let_go:
        harness.runner.let_go(RESPONSE_ID, NEXT)
    gate.set()
    async with asyncio.timeout(MAX_S):
        await run.wait()
    assert (run.outcome, run.error) == (None, None)


async def test_releasing_a_response_that_does_not_run_here_reports_at_once(harness: Harness) -> None:
    harness.runner.let_go(RESPONSE_ID, NEXT)
    await settle()
    assert [response_id for response_id, _ in harness.released] == [RESPONSE_ID]


@pytest.mark.parametrize(
    ("epoch", "taken_by", "is_taken"),
    [
        ("1", "", True),
        ("1", "2.a", True),
        ("1", "1", False),
        ("2.a", "1", False),
        ("2.a", "2.a", False),
        ("2.a", "2.b", False),
        ("2.a", "3.c", True),
        ("9.a", "10.b", True),
        ("10.a", "9.b", False),
        ("2.a", "", True),
    ],
)
@pytest.mark.parametrize("is_early", [False, True], ids=["while it runs", "before it has begun"])
async def test_a_run_is_released_for_a_later_epoch_and_for_a_deletion(
    harness: Harness, epoch: str, taken_by: str, is_taken: bool, is_early: bool
) -> None:
    """A process hears of its own seizures too. Of two seizures with the same count, the store decides."""
    gate = asyncio.Event()
    harness.model.steps = [[Text("1")], gate, [STOP]]
    harness.place(make_brief(epoch=epoch))
    with harness.runner.reserve():
        if is_early:
            harness.runner.let_go(RESPONSE_ID, taken_by)
            await settle()
            assert harness.released == [(RESPONSE_ID, False)]
        run = harness.runner.start(make_brief(epoch=epoch))
    if not is_early:
        await settle()
        harness.runner.let_go(RESPONSE_ID, taken_by)
    await settle()
    assert run.is_let_go == is_taken
    gate.set()
    async with asyncio.timeout(MAX_S):
        await run.wait()
    assert (run.outcome is None) == is_taken
    assert (harness.store.outcome is None) == is_taken


async def test_an_early_release_is_forgotten_when_no_place_is_reserved(harness: Harness) -> None:
    with harness.runner.reserve():
        harness.runner.let_go(RESPONSE_ID, NEXT)
    assert check(await read(await harness.run([Text("1"), STOP])))["status"] == "completed"


async def test_a_response_may_come_back_to_the_process_that_lost_it(harness: Harness) -> None:
    gate = asyncio.Event()
    harness.store.append_fates = [(gate, StaleRun())]
    lost = await harness.start([Text("1")], asyncio.Event())
    await settle()
    mine = await harness.start([Text("2")], asyncio.Event(), brief=make_brief(epoch=NEXT))
    gate.set()
    async with asyncio.timeout(MAX_S):
        await lost.wait()
    await settle()
    assert harness.runner.find(RESPONSE_ID) is mine
    harness.runner.let_go(RESPONSE_ID, "2.b")
    assert not mine.is_let_go
    harness.runner.let_go(RESPONSE_ID, "3.c")
    async with asyncio.timeout(MAX_S):
        await mine.wait()
    await settle()
    assert harness.runner.find(RESPONSE_ID) is None


async def test_a_full_store_refuses_new_runs_but_allows_takeovers(harness: Harness) -> None:
    harness.is_full = True
    with pytest.raises(StorageFull), harness.runner.reserve():
        pass
    with harness.runner.reserve(is_new=False):
        pass


async def test_no_more_runs_than_allowed(harness: Harness) -> None:
    harness.make_runner(max_runs=2)
    gate = asyncio.Event()
    await harness.start(gate, [STOP])
    with harness.runner.reserve(), pytest.raises(Overloaded), harness.runner.reserve():
        pass
    with harness.runner.reserve():
        pass
    gate.set()


async def test_a_drain_waits_refuses_and_then_hands_over(harness: Harness) -> None:
    gate = asyncio.Event()
    run = await harness.start([Text("1")], gate, [STOP])
    draining = asyncio.ensure_future(harness.runner.drain(MAX_S))
    await settle()
    for is_new in (True, False):
        with pytest.raises(Draining), harness.runner.reserve(is_new=is_new):
            pass
    gate.set()
    await draining
    assert check(await read(run))["status"] == "completed"
    assert harness.store.released == []

    harness.forget_end()
    harness.make_runner()
    run = await harness.start([Text("1")], asyncio.Event())
    await harness.runner.drain(0.05)
    assert run.is_handed_over
    assert (harness.store.released, harness.store.outcome) == ([False], None)
    assert written(harness.store) == "1"


async def test_a_drain_waits_for_what_is_being_admitted(harness: Harness) -> None:
    with harness.runner.reserve():
        draining = asyncio.ensure_future(harness.runner.drain(MAX_S))
        await settle()
        harness.model.steps = [[Text("1"), STOP]]
        run = harness.runner.start(make_brief())
    await draining
    assert check(await read(run))["status"] == "completed"
