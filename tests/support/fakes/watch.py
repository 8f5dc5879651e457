"""`Watch` in memory."""

import asyncio


class FakeWatch:
    """`Watch` of one log."""

    def __init__(self) -> None:
        self._grown = asyncio.Event()
        self._released = asyncio.Event()

    def nudge(self) -> None:
        """The log may have grown."""
        self._grown.set()

    def tell_released(self) -> None:
        """The connection to the model is closed."""
        self._grown.set()
        self._released.set()

    async def wait(self, within_s: float) -> bool:
        """See `Watch.wait`."""
        if not await _is_set(self._grown, within_s):
            return False
        self._grown.clear()
        return True

    async def wait_released(self, within_s: float) -> bool:
        """See `Watch.wait_released`."""
        return await _is_set(self._released, within_s)


async def _is_set(event: asyncio.Event, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
