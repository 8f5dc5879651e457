"""What the writer of a process asks of Redis beside the words themselves: no more often than it has to."""

import asyncio

import pytest

from prompts.adapters.redis.append_queue import TELL_S, Append, OpenLog
from prompts.ports.event_log import Group

RESPONSE_ID = "resp_00000000000000000000000000000000"
LEASE_S = 10.0
WORD = Group(3, 4, b'["word"]')
WAYPOINT = Group(3, 4, b'["word"]', b"{}")
RENEWAL = Group(4, 4, b"")


@pytest.fixture
def log() -> OpenLog:
    return OpenLog(RESPONSE_ID)


async def prepare(log: OpenLog, now: float, group: Group = WORD, *, tells_all: bool = False) -> bytes:
    """What goes with a group that is sent now."""
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    append = Append(RESPONSE_ID, group, log, epoch="1", lease_s=LEASE_S, answer=answer)
    append.prepare(now, tells_all=tells_all)
    return append.extras


async def test_of_an_unknown_log_the_lease_is_renewed_and_everybody_told(log: OpenLog) -> None:
    assert await prepare(log, 100) == b"10000 1 "
    assert await prepare(log, 100.1) == b""


async def test_a_lease_is_renewed_when_a_tenth_of_it_is_over(log: OpenLog) -> None:
    renewed = [at for at in range(100, 110) if (await prepare(log, at + 0.5)).startswith(b"10000 ")]
    assert renewed == list(range(100, 110))
    assert (await prepare(log, 110.4)).startswith(b"0 ")


async def test_a_group_that_says_nothing_renews_it_always_and_tells_nobody(log: OpenLog) -> None:
    assert [await prepare(log, 100 + at, RENEWAL) for at in (0, 0.1)] == [b"10000 0 "] * 2


async def test_whoever_may_watch_is_told_some_times_a_second(log: OpenLog) -> None:
    told = [at for at in range(100) if (await prepare(log, at / 100))]
    assert len(told) == 1 / TELL_S


async def test_whoever_watches_is_told_each_time(log: OpenLog) -> None:
    log.has_watchers = True
    assert [(await prepare(log, 100 + at / 100))[-2:] for at in range(5)] == [b"1 "] * 5


async def test_where_it_cannot_be_known_who_watches_everybody_is_told_each_time(log: OpenLog) -> None:
    assert [(await prepare(log, 100 + at / 100, tells_all=True))[-2:] for at in range(5)] == [b"1 "] * 5


async def test_when_something_went_wrong_nothing_is_known(log: OpenLog) -> None:
    await prepare(log, 100)
    log.forget()
    assert await prepare(log, 100.1) == b"10000 1 "


async def test_a_waypoint_goes_along(log: OpenLog) -> None:
    assert [await prepare(log, at, WAYPOINT) for at in (100, 100.1)] == [b"10000 1 {}", b"0 0 {}"]
