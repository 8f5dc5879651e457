"""A flag: an event that keeps nothing while nobody waits."""

import asyncio

import pytest

from prompts.flag import Flag


async def test_whoever_waits_goes_on_when_it_is_set() -> None:
    flag = Flag()
    waiting = [asyncio.create_task(flag.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)

    flag.set()
    await asyncio.gather(*waiting)
    assert flag.is_set()
    await flag.wait()


async def test_whoever_waited_goes_on_when_it_is_cleared_at_once_and_the_next_one_waits() -> None:
    flag = Flag()
    first = asyncio.create_task(flag.wait())
    await asyncio.sleep(0)
    flag.set()
    flag.clear()
    second = asyncio.create_task(flag.wait())
    await first
    await asyncio.sleep(0)

    assert not flag.is_set()
    assert not second.done()
    flag.set()
    await second


async def test_one_who_waits_no_more_holds_up_nobody() -> None:
    flag = Flag()
    gone, stays = asyncio.create_task(flag.wait()), asyncio.create_task(flag.wait())
    await asyncio.sleep(0)
    gone.cancel()
    flag.set()

    with pytest.raises(asyncio.CancelledError):
        await gone
    await stays
