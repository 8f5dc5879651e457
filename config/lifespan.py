"""The ASGI lifespan and SIGTERM: opens the state of a process, hands it to every request, closes it.

It knows no app: the given context manager opens the state, and the state knows how to drain itself.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import FrameType
from typing import Protocol

import structlog
from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from config.response_headers import API_HEADERS

log = structlog.get_logger(__name__)


class Drainable(Protocol):
    """What the lifespan needs of the state it opens."""

    def state(self) -> dict[str, object]:
        """The entries of `scope["state"]`; every request gets the same objects."""

    async def drain(self) -> None:
        """Refuse new work and let running work end. Returns within the grace that the process has."""

    async def wait_until_worn(self) -> None:
        """Returns when the process is to be replaced by a fresh one; never, where it is not."""

    async def wind_down(self) -> None:
        """Serve the connections that are open; no others come any more. Returns within bounded time."""


class Lifespan:
    """The life of a process: start-up, the drain after SIGTERM, shutdown."""

    def __init__(self, open_state: Callable[[], AbstractAsyncContextManager[Drainable]]) -> None:
        self._open_state = open_state

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()  # lifespan.startup
        async with self._open_state() as opened:
            if "state" in scope:
                scope["state"].update(opened.state())
            server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)  # uvicorn's, whose handler this is
            _defer_sigterm(opened)
            recycling = asyncio.create_task(_recycle_when_worn(opened, server), name="recycle")
            _freeze_garbage()
            leave_generators_unlisted()
            await send({"type": "lifespan.startup.complete"})
            await receive()  # lifespan.shutdown
            recycling.cancel()
        await send({"type": "lifespan.shutdown.complete"})


def _freeze_garbage() -> None:
    """Leave what start-up made out of every later collection: looking at it all stops the event loop for 0.1 s."""
    gc.collect()
    gc.freeze()


def leave_generators_unlisted() -> None:
    """Asynchronous generators are closed by those who use them, or when the last reference to them goes.

    The event loop lists all of them for its end, when these have ended, too: seven a turn, each in a weak set.
    """
    sys.set_asyncgen_hooks(firstiter=None)


async def _recycle_when_worn(opened: Drainable, server: object) -> None:
    """Close the listening sockets of this process, wind down, and leave as after a SIGTERM."""
    await opened.wait_until_worn()
    for listener in getattr(server, "servers", ()):
        listener.close()  # the other workers accept on theirs
    await opened.wind_down()
    os.kill(os.getpid(), signal.SIGTERM)


def _defer_sigterm(opened: Drainable) -> None:
    """Drain first, then call the server's own handler, which closes the socket within 0.1 s."""
    if signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL, signal.SIG_IGN, None):
        return  # no server handles SIGTERM here (a test's loop, a management command)
    server_handler = signal.getsignal(signal.SIGTERM)
    loop = asyncio.get_running_loop()
    drains: set[asyncio.Task[None]] = set()  # asyncio keeps only a weak reference to a task

    async def drain(frame: FrameType | None) -> None:
        log.info("draining")
        try:
            await opened.drain()
        finally:
            log.info("drained")
            if callable(server_handler):
                server_handler(signal.SIGTERM, frame)

    def begin(_number: int, frame: FrameType | None) -> None:
        if not drains:
            loop.call_soon_threadsafe(lambda: drains.add(loop.create_task(drain(frame))))

    signal.signal(signal.SIGTERM, begin)


async def refuse_without_lifespan(send: ASGISendCallable) -> None:
    """Answer 503 when the server never ran the lifespan (`uvicorn --lifespan off`)."""
    log.error("no_lifespan", detail="this ASGI server did not run the lifespan; start it with lifespan support")
    body = (
        b'{"error":{"message":"The server was started without ASGI lifespan support, so nothing is connected.",'
        b'"type":"server_error","param":null,"code":"dependency_unavailable"}}'
    )
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *API_HEADERS]
    await send({"type": "http.response.start", "status": 503, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": body, "more_body": False})
