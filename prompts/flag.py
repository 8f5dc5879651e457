"""An event of asyncio's for what there is one of in each stream: nobody waits for most of them."""

import asyncio


class Flag:
    """As `asyncio.Event`, in a tenth of its 800 bytes: it has no queue while nobody waits."""

    __slots__ = ("_is_set", "_waiting")

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: list[asyncio.Future[None]] | None = None

    def is_set(self) -> bool:
        """See asyncio."""
        return self._is_set

    def set(self) -> None:
        """Whoever waits goes on, also when the flag is cleared at once."""
        self._is_set = True
        for waiter in self._waiting or ():
            if not waiter.done():
                waiter.set_result(None)

    def clear(self) -> None:
        """See asyncio."""
        self._is_set = False

    async def wait(self) -> None:
        """Until it is set."""
        if self._is_set:
            return
        waiting = self._waiting = self._waiting or []
        waiting.append(waiter := asyncio.get_running_loop().create_future())
        try:
            await waiter
        finally:
            waiting.remove(waiter)
            if not waiting and self._waiting is waiting:
                self._waiting = None
