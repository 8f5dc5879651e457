"""`Watch` in memory."""

import asyncio


class FakeWatch:
    """`Watch` of one log."""

    def __init__(self) -> None:
        self._grown = asyncio.Event()
        self._news = asyncio.Event()
        self._released = asyncio.Event()

    def nudge(self, *, is_news: bool = False) -> None:
        """The log may have grown; or there `is_news`: it has ended, or a reader has left."""
        self._grown.set()
        if is_news:
            self._news.set()

    def tell_released(self) -> None:
        """The connection to the model is closed."""
        self._grown.set()
        self._released.set()

    async def wait(self, within_s: float) -> bool:
        """See `Watch.wait`."""
        return await _take(self._grown, within_s)

    async def wait_news(self, within_s: float) -> bool:
        """See `Watch.wait_news`."""
        return await _take(self._news, within_s)

    async def wait_released(self, within_s: float) -> bool:
        """See `Watch.wait_released`."""
        return await _is_set(self._released, within_s)


async def _take(event: asyncio.Event, within_s: float) -> bool:
    if not await _is_set(event, within_s):
        return False
    event.clear()
    return True


async def _is_set(event: asyncio.Event, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
