"""What the observer is told of runs and of those who follow them."""

import asyncio
from typing import TypeVar

from prompts.domain.signals import Text
from prompts.errors import StaleRun
from prompts.ports.observer import FollowerJoined, FollowerLeft, RunEnded, RunStarted
from prompts.run.followers import Followers, new_reader
from tests.support.fakes.observer import FakeObserver
from tests.support.runner_harness import MAX_S, STOP, Harness, settle
from tests.support.sample_turn import make_brief

Told = TypeVar("Told")


def get_only(harness: Harness, kind: type[Told]) -> Told:
    """The only happening of this kind."""
    [found] = [happening for happening in harness.observer.noticed if isinstance(happening, kind)]
    return found


def list_names(harness: Harness) -> list[str]:
    """The names of the happenings in order; what repeats itself, such as appends, once."""
    names = [type(happening).__name__ for happening in harness.observer.noticed]
    return [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name]


async def test_the_observer_is_told_of_a_run_from_its_start_to_its_end(harness: Harness) -> None:
    await harness.run([Text("1")], settle, [STOP])
    await settle()
    assert list_names(harness) == ["RunStarted", "FirstTokenCame", "Appended", "RunEnded", "RunLeft"]
    ended = get_only(harness, RunEnded)
    assert (ended.status, ended.code, ended.usage) == ("completed", None, STOP.usage)


async def test_the_first_word_after_a_takeover_is_not_the_first_of_its_answer(harness: Harness) -> None:
    await harness.run([Text("2")], settle, [STOP], brief=make_brief(shown=["1"], epoch="2"))
    await settle()
    assert list_names(harness) == ["RunStarted", "Appended", "RunEnded", "RunLeft"]
    assert get_only(harness, RunStarted).is_takeover


async def test_the_observer_is_told_of_a_run_that_is_handed_over(harness: Harness) -> None:
    await harness.start([Text("1")], asyncio.Event())
    await settle()
    await harness.runner.close()
    await settle()
    assert list_names(harness) == ["RunStarted", "FirstTokenCame", "Appended", "RunHandedOver", "RunLeft"]


async def test_the_observer_is_told_of_a_run_that_lost_its_lease(harness: Harness) -> None:
    harness.store.append_fates = [StaleRun()]
    run = await harness.start([Text("1")], asyncio.Event())
    async with asyncio.timeout(MAX_S):
        await run.wait()
    await settle()
    assert list_names(harness) == ["RunStarted", "FirstTokenCame", "RunLost", "RunLeft"]


async def test_the_observer_is_told_who_follows() -> None:
    observer = FakeObserver()
    followers = Followers(observer=observer)
    with followers.join(new_reader("resp_1"), is_here=True):
        assert observer.noticed == [FollowerJoined()]
    assert observer.noticed == [FollowerJoined(), FollowerLeft()]
