"""All runs of a process: who may begin, who is let go, how a process is left."""

import asyncio

import pytest

from prompts.domain.signals import Text
from prompts.errors import Draining, Overloaded, StaleRun, StorageFull, UpstreamError
from tests.support.fakes import RESPONSE_ID, Step, make_brief
from tests.support.runs import MAX_S, STOP, House, check, read, settle, written

# Whoever takes a response whose run has the epoch "1".
NEXT = "2.a"


@pytest.mark.parametrize("steps", [[], [[Text("1")]]], ids=["before its first word", "in the middle"])
async def test_a_run_that_is_let_go_writes_no_end_and_says_so_when_the_model_is_left(
    house: House, steps: list[Step]
) -> None:
    run = await house.start(*steps, asyncio.Event(), [STOP])
    await settle()
    tries = house.store.tries
    house.runner.let_go(RESPONSE_ID, NEXT)
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
    house.runner.let_go(RESPONSE_ID, NEXT)
    house.runner.let_go(RESPONSE_ID, "3.b")
    async with asyncio.timeout(MAX_S):
        await run.wait()
    house.runner.let_go(RESPONSE_ID, NEXT)
    await settle()
    assert house.released[0] == (RESPONSE_ID, True)
    house.runner.let_go(RESPONSE_ID, NEXT)
    await settle()
    assert len(house.released) >= 2


async def test_a_run_may_be_let_go_before_its_first_step(house: House) -> None:
    run = await house.start(asyncio.Event())
    house.runner.let_go(RESPONSE_ID, NEXT)
    async with asyncio.timeout(MAX_S):
        await run.wait()
        await settle()
    assert house.released == [(RESPONSE_ID, True)]
    assert house.store.outcome is None


async def test_letting_go_while_the_end_is_written_leaves_it_to_the_store_who_was_first(house: House) -> None:
    house.store.commit_fates = [gate := asyncio.Event()]
    run = await house.start([Text("1"), STOP])
    await settle()
    house.runner.let_go(RESPONSE_ID, NEXT)
    await settle()
    assert house.store.outcome is None
    gate.set()
    assert check(await read(run))["status"] == "completed"


@pytest.mark.parametrize("is_let_go", [True, False])
async def test_a_failure_that_came_too_late_is_not_told(house: House, is_let_go: bool) -> None:
    """How it ended is for whoever took it to say."""
    gate = asyncio.Event()
    house.store.commit_fates = [(gate, StaleRun())]
    run = await house.start(UpstreamError("It broke off."))
    await settle()
    if is_let_go:
        house.runner.let_go(RESPONSE_ID, NEXT)
    gate.set()
    async with asyncio.timeout(MAX_S):
        await run.wait()
    assert (run.outcome, run.error) == (None, None)


async def test_what_is_let_go_of_and_not_here_is_released_at_once(house: House) -> None:
    house.runner.let_go(RESPONSE_ID, NEXT)
    await settle()
    assert [response_id for response_id, _ in house.released] == [RESPONSE_ID]


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
async def test_a_run_is_let_go_for_a_later_epoch_and_for_a_deletion(
    house: House, epoch: str, taken_by: str, is_taken: bool, is_early: bool
) -> None:
    """A process hears of its own seizures too; two of one count are for the store to tell apart."""
    gate = asyncio.Event()
    house.model.steps = [[Text("1")], gate, [STOP]]
    with house.runner.reserve():
        if is_early:
            house.runner.let_go(RESPONSE_ID, taken_by)
            await settle()
            assert house.released == [(RESPONSE_ID, False)]
        run = house.runner.start(make_brief(epoch=epoch))
    if not is_early:
        await settle()
        house.runner.let_go(RESPONSE_ID, taken_by)
    await settle()
    assert run.is_let_go == is_taken
    gate.set()
    async with asyncio.timeout(MAX_S):
        await run.wait()
    assert (run.outcome is None) == is_taken
    assert (house.store.outcome is None) == is_taken


async def test_what_was_taken_early_is_forgotten_when_no_place_is_held_any_more(house: House) -> None:
    with house.runner.reserve():
        house.runner.let_go(RESPONSE_ID, NEXT)
    assert check(await read(await house.run([Text("1"), STOP])))["status"] == "completed"


async def test_a_response_may_come_back_to_the_process_that_lost_it(house: House) -> None:
    gate = asyncio.Event()
    house.store.append_fates = [(gate, StaleRun())]
    lost = await house.start([Text("1")], asyncio.Event())
    await settle()
    mine = await house.start([Text("2")], asyncio.Event(), brief=make_brief(epoch=NEXT))
    gate.set()
    async with asyncio.timeout(MAX_S):
        await lost.wait()
    await settle()
    assert house.runner.find(RESPONSE_ID) is mine
    house.runner.let_go(RESPONSE_ID, "2.b")
    assert not mine.is_let_go
    house.runner.let_go(RESPONSE_ID, "3.c")
    async with asyncio.timeout(MAX_S):
        await mine.wait()
    await settle()
    assert house.runner.find(RESPONSE_ID) is None


async def test_a_full_store_refuses_new_runs_and_lets_others_be_taken_over(house: House) -> None:
    house.is_full = True
    with pytest.raises(StorageFull), house.runner.reserve():
        pass
    with house.runner.reserve(is_new=False):
        pass


async def test_no_more_runs_than_allowed(house: House) -> None:
    house.make_runner(max_runs=2)
    gate = asyncio.Event()
    await house.start(gate, [STOP])
    with house.runner.reserve(), pytest.raises(Overloaded), house.runner.reserve():
        pass
    with house.runner.reserve():
        pass
    gate.set()


async def test_a_drain_waits_refuses_and_then_hands_over(house: House) -> None:
    gate = asyncio.Event()
    run = await house.start([Text("1")], gate, [STOP])
    draining = asyncio.ensure_future(house.runner.drain(MAX_S))
    await settle()
    for is_new in (True, False):
        with pytest.raises(Draining), house.runner.reserve(is_new=is_new):
            pass
    gate.set()
    await draining
    assert check(await read(run))["status"] == "completed"
    assert house.store.released == []

    house.forget_end()
    house.make_runner()
    run = await house.start([Text("1")], asyncio.Event())
    await house.runner.drain(0.05)
    assert run.is_handed_over
    assert (house.store.released, house.store.outcome) == ([False], None)
    assert written(house.store) == "1"


async def test_a_drain_waits_for_what_is_being_admitted(house: House) -> None:
    with house.runner.reserve():
        draining = asyncio.ensure_future(house.runner.drain(MAX_S))
        await settle()
        house.model.steps = [[Text("1"), STOP]]
        run = house.runner.start(make_brief())
    await draining
    assert check(await read(run))["status"] == "completed"
