"""What a process sets up before it serves."""

import asyncio
import sys
from collections.abc import AsyncIterator

from config.lifespan import leave_generators_unlisted


async def test_a_generator_that_is_left_is_closed_though_nobody_lists_it() -> None:
    closed = asyncio.Event()

    async def count() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.set()

    listing, closing = sys.get_asyncgen_hooks()
    leave_generators_unlisted()
    try:
        assert sys.get_asyncgen_hooks() == (None, closing)
        assert await anext(count()) == 1
        await asyncio.wait_for(closed.wait(), 2)
    finally:
        sys.set_asyncgen_hooks(firstiter=listing)
