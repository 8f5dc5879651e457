"""One HTTP request: its body, its answer, and the moment its client disconnects.

Plain ASGI, except `abort`, which needs the server's transport. Behind a server that hides the transport the connection
is closed instead.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from standin.errors import ClientGone, StandInError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]


class Client:
    """One request and its answer. Call `close` when done. A method that waits raises ClientGone on a disconnect."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._receive, self._send = receive, send
        self._disconnect: asyncio.Task[None] | None = None

    async def read_body(self) -> bytes:
        parts = []
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(parts)

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status and headers at once."""
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes, *, is_last: bool = False) -> None:
        """Send a part of the body."""
        await self._send({"type": "http.response.body", "body": data, "more_body": not is_last})

    async def reply_json(self, status: int, body: bytes, headers: Headers = ()) -> None:
        """Send a whole JSON answer."""
        length = (b"content-length", str(len(body)).encode())
        await self.start(status, [(b"content-type", b"application/json"), length, *headers])
        await self.write(body, is_last=True)

    async def reply_error(self, error: StandInError) -> None:
        """Send an error in OpenAI's envelope."""
        await self.reply_json(error.status, error.body, error.headers)

    async def pause(self, seconds: float) -> None:
        """Wait, but not after the client disconnects. With 0 seconds it lets other tasks run."""
        disconnect = self._watch_disconnect()
        if seconds > 0:
            await asyncio.wait([disconnect], timeout=seconds)
        else:
            await asyncio.sleep(0)
        if disconnect.done():
            raise ClientGone

    async def wait_until_gone(self) -> None:
        """Send nothing until the client disconnects; then raise ClientGone."""
        await asyncio.wait([self._watch_disconnect()])
        raise ClientGone

    async def abort(self) -> None:
        """Abort the connection in the middle of the answer, after what was written has been sent."""
        await asyncio.sleep(0)  # uvloop writes at the end of a loop iteration
        transport = getattr(getattr(self._send, "__self__", None), "transport", None)
        if transport is not None:
            transport.abort()
            await asyncio.wait([self._watch_disconnect()])

    def close(self) -> None:
        """Stop watching for a disconnect."""
        if self._disconnect is not None:
            self._disconnect.cancel()

    def _watch_disconnect(self) -> asyncio.Task[None]:
        if self._disconnect is None:
            self._disconnect = asyncio.create_task(self._wait_for_disconnect())
        return self._disconnect

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
