"""Fair shares: an owner may have many places, and never the last ones."""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack

import pytest

from prompts.errors import Overloaded, RateLimited, Unavailable
from prompts.run.shares import Shares
from tests.support.runner_harness import MAX_S, STOP, Harness, settle


def fill(harness: Harness, owner: str, stack: ExitStack) -> int:
    """Take places until one is refused; how many there were."""
    for count in range(1_000):
        try:
            stack.enter_context(harness.runner.attend(owner))
        except (RateLimited, Overloaded):
            return count
    raise AssertionError("there is no limit")


def test_an_owner_leaves_a_tenth_to_others(harness: Harness) -> None:
    harness.make_runner(max_runs=200)
    with ExitStack() as stack:
        assert fill(harness, "mallory", stack) == 180
        with pytest.raises(RateLimited, match="kept for others"), harness.runner.reserve("mallory"):
            pass
        with harness.runner.reserve("alice"):
            pass


def test_owners_together_leave_places_as_well(harness: Harness) -> None:
    harness.make_runner(max_runs=200)
    with ExitStack() as stack:
        taken = [fill(harness, f"mallory {number}", stack) for number in range(2)]
        assert taken == [180, 18]
        with harness.runner.reserve("alice"):
            pass


def test_without_others_a_small_process_is_one_owners(harness: Harness) -> None:
    harness.make_runner(max_runs=2)
    with ExitStack() as stack:
        assert fill(harness, "alice", stack) == 2


def test_a_limit_of_the_process_and_one_of_all(harness: Harness) -> None:
    harness.make_runner(max_runs=100, owner_runs=10, owner_runs_in_all=15)
    with ExitStack() as stack:
        assert fill(harness, "alice", stack) == 10
    harness.runner.shares.hear("alice", 12)
    with ExitStack() as stack:
        assert fill(harness, "alice", stack) == 3
        assert fill(harness, "bob", stack) == 10
    harness.runner.shares.hear("alice", 0)
    with ExitStack() as stack:
        assert fill(harness, "alice", stack) == 10


def test_what_has_begun_is_taken_over_whoever_has_how_much(harness: Harness) -> None:
    harness.make_runner(max_runs=100, owner_runs=1)
    with harness.runner.reserve("alice"), harness.runner.reserve(is_new=False):
        pass


async def test_a_run_has_its_place_until_its_end(harness: Harness) -> None:
    harness.make_runner(max_runs=100, owner_runs=1)
    gate = asyncio.Event()
    run = await harness.start(gate, [STOP])  # of alice
    with pytest.raises(RateLimited), harness.runner.reserve("alice"):
        pass
    gate.set()
    async with asyncio.timeout(MAX_S):
        await run.wait()
    await settle()
    with harness.runner.reserve("alice"):
        pass


async def test_what_is_held_is_told_when_it_changes_and_again_when_it_was_not_heard() -> None:
    shares, told = Shares(), asyncio.Queue[Mapping[str, int]]()
    is_away = True

    async def tell(answers: Mapping[str, int]) -> None:
        told.put_nowait(answers)
        if is_away:
            raise Unavailable("away")

    telling = asyncio.create_task(shares.keep_told(tell, 0.01))
    shares.take("alice")
    async with asyncio.timeout(MAX_S):
        heard = [await told.get() for _ in range(3)]
        is_away = False
        shares.give_back("alice")
        while await told.get() != {"alice": 0}:
            pass
    assert heard[:3] == [{"alice": 1}] * 3
    telling.cancel()
