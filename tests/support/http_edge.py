"""Views behind the lean handler, on connections whose transports keep what is written."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from django.urls import path
from typing_extensions import override
from uvicorn.config import Config
from uvicorn.server import ServerState

from config.http_protocol import HttpProtocol
from config.lean_handler import LeanHandler
from config.request_body import BodyRoom

MAX_S = 10.0


class RecordingTransport(asyncio.Transport):
    """Keeps what is written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_closed = False
        self._grown = asyncio.Event()

    async def wait_for(self, said: bytes) -> None:
        """Until this was written, in one write."""
        while not any(said in data for data in self.writes):
            self._grown.clear()
            await self._grown.wait()

    @override
    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))
        self._grown.set()

    @override
    def is_closing(self) -> bool:
        return self.is_closed

    @override
    def close(self) -> None:
        self.is_closed = True

    @override
    def resume_reading(self) -> None:
        pass

    @override
    def pause_reading(self) -> None:
        pass

    @override
    def get_write_buffer_size(self) -> int:
        return 0


def build_handler(views: Mapping[str, Callable[..., Awaitable[Any]]]) -> LeanHandler:
    """The application that answers each path with its view."""
    urls = tuple(path(name, cast(Any, view)) for name, view in views.items())
    return LeanHandler(cast(str, urls), [], max_body_bytes=1_000_000, room=BodyRoom(1_000_000))


def open_connection(handler: LeanHandler) -> tuple[HttpProtocol, RecordingTransport]:
    """A new connection to it."""
    config = Config(cast(Any, handler), log_config=None, ws="none", proxy_headers=False)
    config.load()
    transport = RecordingTransport()
    protocol = HttpProtocol(config, ServerState(), {})
    protocol.connection_made(transport)
    return protocol, transport


def get(path: str) -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode()


async def settle(protocol: HttpProtocol) -> None:
    """Until the requests of the connection are served."""
    async with asyncio.timeout(MAX_S):
        while protocol.tasks:
            await asyncio.wait(protocol.tasks)
            await asyncio.sleep(0)


def read_stream(writes: list[bytes]) -> bytes:
    """The body of a streamed answer, as it stands: each write after the head is a chunk or two (RFC 9112, 7.1)."""
    _head, _, rest = b"".join(writes).partition(b"\r\n\r\n")
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return body
