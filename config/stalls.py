"""Clients that take nothing of what they are sent. A transport would keep it for them without end."""

import asyncio
from collections.abc import Callable


class StallWatch:
    """Tells when nothing of what waits to go out was taken for `limit_s`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit_s: float) -> None:
        self._loop = loop
        self._limit_s = limit_s
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.Transport, on_stall: Callable[[], None]) -> None:
        """Watch this transport from now on."""
        self.forget()
        size = transport.get_write_buffer_size()
        self._timer = self._loop.call_later(self._limit_s, self._check, transport, size, on_stall)

    def forget(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self, transport: asyncio.Transport, size_before: int, on_stall: Callable[[], None]) -> None:
        self._timer = None
        if transport.get_write_buffer_size() < size_before:
            self.begin(transport, on_stall)
        else:
            on_stall()


def close_at_once(transport: asyncio.Transport) -> None:
    """Close without waiting for a client to take the rest."""
    if transport.get_write_buffer_size():
        transport.abort()
    else:
        transport.close()
