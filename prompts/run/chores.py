"""What the chores of a process have in common: replicas look for work apart, and no cancellation is lost.

The driver of Redis waits with `asyncio.wait_for`, which before Python 3.12 forgets a cancellation that comes with the
answer. So a chore looks for one itself, and whoever cancels it does so again until it ends.
"""

import asyncio
import random
from contextlib import suppress
from typing import Any

# Of the time between two looks: replicas that began together do not look together for long.
JITTER = 0.25


def jitter(seconds: float) -> float:
    """About so long, and not longer."""
    return seconds * random.uniform(1 - JITTER, 1)  # noqa: S311 -- no secret


async def wait_for_work(woken: asyncio.Event, *, look_s: float) -> None:
    """Until somebody says that there may be work, or it is time for a look. The event is cleared."""
    with suppress(TimeoutError):
        async with asyncio.timeout(jitter(look_s)):
            await woken.wait()
    woken.clear()


def stop_if_cancelled() -> None:
    """Raise the cancellation that a call of Redis has lost."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def cancel_until_done(task: asyncio.Task[Any], *, again_s: float) -> None:
    """Cancel a task until it has ended, every so many seconds. Whoever calls looks at what it ended with."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=again_s)
