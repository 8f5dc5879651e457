"""The ASGI lifespan protocol and SIGTERM: opens the state once a process, hands it to every request, closes it.

Knows no app: what is opened is whatever the given context manager yields, and it says itself how it drains.
"""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import FrameType
from typing import Protocol

import structlog
from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope

log = structlog.get_logger(__name__)


class Drainable(Protocol):
    """What the lifespan asks of the state it opened."""

    def state(self) -> dict[str, object]:
        """The entries of `scope["state"]`, the same objects for every request."""

    async def drain(self) -> None:
        """Refuse new work, let what runs come to its end; returns within the grace the process has."""


class Lifespan:
    """One process's life: start-up, the drain that SIGTERM begins, shutdown."""

    def __init__(self, open_state: Callable[[], AbstractAsyncContextManager[Drainable]]) -> None:
        self._open_state = open_state

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()  # lifespan.startup
        async with self._open_state() as opened:
            if "state" in scope:
                scope["state"].update(opened.state())
            _defer_sigterm(opened)
            await send({"type": "lifespan.startup.complete"})
            await receive()  # lifespan.shutdown
        await send({"type": "lifespan.shutdown.complete"})


def _defer_sigterm(opened: Drainable) -> None:
    """Let the drain run before the server's own handler, which closes the socket within 0.1 s of the signal."""
    if signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL, signal.SIG_IGN, None):
        return  # not under a server that handles it (a test's loop, a management command)
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
    """503 for a server that never ran the lifespan (`uvicorn --lifespan off`): there is nothing to serve with."""
    log.error("no_lifespan", detail="this ASGI server did not run the lifespan; start it with lifespan support")
    body = (
        b'{"error":{"message":"The server was started without ASGI lifespan support, so nothing is connected.",'
        b'"type":"server_error","param":null,"code":"dependency_unavailable"}}'
    )
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 503, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": body, "more_body": False})
