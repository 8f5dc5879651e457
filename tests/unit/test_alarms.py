"""Alarms and limits: many deadlines on one timer."""

import asyncio

import pytest

from prompts.alarms import LOOK_S, NEVER, Alarm, Limit

SOON = 2 * LOOK_S


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_an_alarm_rings_once_when_it_is_due() -> None:
    rung: list[float] = []
    alarm = Alarm(lambda: rung.append(now()), now() + SOON).start()
    due = alarm.due
    await asyncio.sleep(4 * SOON)
    alarm.stop()

    assert len(rung) == 1
    assert rung[0] >= due


async def test_an_alarm_that_is_moved_on_or_stopped_does_not_ring() -> None:
    rung: list[str] = []
    moved = Alarm(lambda: rung.append("moved"), now() + SOON).start()
    stopped = Alarm(lambda: rung.append("stopped"), now() + SOON).start()
    moved.due = NEVER
    stopped.stop()
    await asyncio.sleep(3 * SOON)
    moved.stop()

    assert not rung


async def test_a_limit_ends_a_wait_that_takes_too_long() -> None:
    async def wait() -> None:
        with Limit() as limit:
            for _ in range(3):
                limit.due = now() + 60
                await asyncio.sleep(0)
            limit.due = now() + SOON
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await wait()

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_limit_is_not_taken_for_a_cancellation() -> None:
    async def wait() -> None:
        with Limit(now() + 60):
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_cancellation_beside_a_limit_goes_on() -> None:
    entered: list[Limit] = []

    async def wait() -> None:
        with Limit(now() + SOON) as limit:
            entered.append(limit)
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    entered[0]._ring()
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_an_error_of_its_own_is_kept() -> None:
    with pytest.raises(ValueError, match="own"), Limit(now() + 60):
        raise ValueError("own")
