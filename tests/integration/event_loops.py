"""The event loops on which the service may run; the fixture `run` gives each (conftest.py)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import uvloop

# As long as the work of a test may take.
WAIT_S = 10
Run: TypeAlias = Callable[[Awaitable[None]], None]


def run_on(loop: str) -> Run:
    """Runs a test's coroutine on one of them, "asyncio" or "uvloop"."""
    factory = uvloop.new_event_loop if loop == "uvloop" else None

    async def limited(work: Awaitable[None]) -> None:
        async with asyncio.timeout(WAIT_S):
            await work

    def run_one(work: Awaitable[None]) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(limited(work))

    return run_one
