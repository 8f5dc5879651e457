"""The readers at a process: counted once, marked while they are there, unmarked when they leave before the end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from prompts.domain.signals import Text
from prompts.errors import Unavailable
from prompts.ports.observer import FollowerJoined, FollowerLeft
from prompts.ports.reader_marks import Reader
from prompts.run.followers import Followers, new_reader
from prompts.run.following import follow_response
from prompts.usecases.turns import Turn, TurnPorts, wait_for_answer
from tests.support.fakes.event_log import FakeEventLog
from tests.support.fakes.reader_marks import FakeReaderMarks
from tests.support.runner_harness import MAX_S, STOP, Harness, settle
from tests.support.sample_turn import OWNER, RESPONSE_ID
from tests.support.servers import eventually

RENEWAL_S = 0.01


@pytest.fixture
def marks(harness: Harness) -> FakeReaderMarks:
    return FakeReaderMarks(harness.memory)


@pytest.fixture
def followers(harness: Harness, marks: FakeReaderMarks) -> Followers:
    return Followers(observer=harness.observer, marks=marks)


@pytest.fixture
async def renewing(followers: Followers) -> AsyncIterator[None]:
    """The process renews its marks."""
    task = asyncio.create_task(followers.keep_marked(RENEWAL_S))
    yield
    task.cancel()


async def until_marked(followers: Followers) -> None:
    """Wait for the mark of the sample response."""
    await eventually(lambda: followers.is_followed(RESPONSE_ID), within_s=MAX_S)


def follow(harness: Harness, followers: Followers, marked: Reader | None = None) -> Any:
    """Follow the sample response in its log."""
    return follow_response(
        RESPONSE_ID,
        owner=OWNER,
        quiet_s=MAX_S,
        run=None,
        store=harness.store,
        event_log=FakeEventLog(harness.memory),
        followers=followers,
        marked=marked,
    )


async def test_a_reader_is_marked_before_its_first_event_and_unmarked_when_it_leaves(
    harness: Harness, followers: Followers
) -> None:
    events = follow(harness, followers)
    await anext(events)
    assert await followers.is_followed(RESPONSE_ID)
    await events.aclose()
    await settle()
    assert not await followers.is_followed(RESPONSE_ID)


async def test_a_reader_that_is_cancelled_is_unmarked(harness: Harness, followers: Followers) -> None:
    async def read() -> None:
        async for _ in follow(harness, followers):
            pass

    reading = asyncio.create_task(read())
    await until_marked(followers)
    reading.cancel()
    await asyncio.wait([reading])
    await settle()
    assert not await followers.is_followed(RESPONSE_ID)


async def test_one_who_was_marked_by_admission_is_not_marked_again(harness: Harness, followers: Followers) -> None:
    events = follow(harness, followers, marked=new_reader(RESPONSE_ID))
    await anext(events)
    assert not await followers.is_followed(RESPONSE_ID)
    await events.aclose()


@pytest.mark.usefixtures("renewing")
async def test_marks_are_renewed_while_their_readers_are_there(followers: Followers, marks: FakeReaderMarks) -> None:
    reader = new_reader(RESPONSE_ID)
    with followers.join(reader, is_here=True):
        await until_marked(followers)
        await marks.unmark(reader)  # as when it was not renewed in time
        await until_marked(followers)


@pytest.mark.usefixtures("renewing")
async def test_while_redis_is_away_a_reader_reads_on_and_is_marked_later(
    harness: Harness, followers: Followers, marks: FakeReaderMarks
) -> None:
    marks.fates = [Unavailable("away") for _ in range(3)]
    events = follow(harness, followers)
    await anext(events)
    await until_marked(followers)
    assert not marks.fates
    await events.aclose()


async def test_marks_are_renewed_as_soon_as_redis_is_back(followers: Followers, marks: FakeReaderMarks) -> None:
    marks.fates = [Unavailable("away") for _ in range(100)]
    renewing = asyncio.create_task(followers.keep_marked(MAX_S / 10, again_s=RENEWAL_S))
    with followers.join(new_reader(RESPONSE_ID), is_here=True):
        await until_marked(followers)
    renewing.cancel()


async def test_a_renewal_under_way_does_not_bring_back_the_mark_of_one_who_left(
    harness: Harness, followers: Followers, marks: FakeReaderMarks
) -> None:
    gate = asyncio.Event()
    events = follow(harness, followers)
    await anext(events)
    marks.fates = [gate]
    renewing = asyncio.create_task(followers.keep_marked(0))
    await settle()
    assert not marks.fates
    await events.aclose()
    await settle()
    gate.set()
    await settle()
    renewing.cancel()
    assert not await followers.is_followed(RESPONSE_ID)


async def test_a_whole_request_counts_once_wherever_its_answer_is_written(
    harness: Harness, followers: Followers
) -> None:
    turn = Turn(RESPONSE_ID, OWNER, None, None, is_replay=True, is_stored=True, reader=new_reader(RESPONSE_ID))
    ports = TurnPorts(
        store=harness.store,
        event_log=FakeEventLog(harness.memory),
        conversations=cast(Any, None),
        model=cast(Any, None),
        calibration=harness.calibration,
        runner=harness.runner,
        followers=followers,
        defaults=cast(Any, None),
        files=cast(Any, None),
    )
    waiting = asyncio.create_task(wait_for_answer(turn, ports))
    await settle()
    run = await harness.start([Text("Hi.")], [STOP])
    async with asyncio.timeout(MAX_S):
        await run.wait()
        assert b'"completed"' in await waiting
    told = [happening for happening in harness.observer.noticed if isinstance(happening, FollowerJoined | FollowerLeft)]
    assert told == [FollowerJoined(), FollowerLeft()]
