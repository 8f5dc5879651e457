"""Reading a request's body: when its key has been looked at, at a pace, and within the memory that bodies may take."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import closing, suppress

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGIReceiveEvent, ASGISendCallable, HTTPScope, Scope

from config.http_exchange import HttpExchange
from prompts.errors import BodyTooLarge, BodyTooSlow, Overloaded, ServiceError
from prompts.flag import Flag

# The pace that Apache asks for (`mod_reqtimeout`): so long for whatever comes, then so many bytes for each second more.
GRACE_S = 20.0
MIN_BYTES_A_SECOND = 500
MB = 1024 * 1024
# Of a number of bytes; Python refuses to read one of thousands.
MAX_DIGITS = 18


class ClientLeft(Exception):
    """The connection is closed; there is nobody to answer."""


class BodyRoom:
    """The memory for the bodies of all requests that a process serves."""

    def __init__(self, max_bytes: int) -> None:
        self._free_bytes = max_bytes

    def take(self, size: int) -> None:
        """Raises Overloaded where there is not so much."""
        if size > self._free_bytes:
            raise Overloaded("This replica holds as many request bodies as it may. Send the request again.")
        self._free_bytes -= size

    def give_back(self, size: int) -> None:
        """Of what was taken."""
        self._free_bytes += size


def find_exchange(receive: ASGIReceiveCallable) -> HttpExchange | None:
    """The exchange behind an application's `receive`; None under another server, as `make run` may use."""
    exchange = getattr(receive, "__self__", None)
    return exchange if isinstance(exchange, HttpExchange) else None


class RequestBody:
    """The body of one request. Nothing of it is asked for before `read`: the server holds 64 KB of it until then."""

    def __init__(
        self,
        scope: HTTPScope,
        receive: ASGIReceiveCallable,
        *,
        max_bytes: int,
        room: BodyRoom,
        grace_s: float = GRACE_S,
    ) -> None:
        self._declared_bytes = _find_length(scope["headers"])
        self._receive = receive
        self._exchange = find_exchange(receive)
        self._max_bytes = max_bytes
        self._room = room
        self._grace_s = grace_s
        self._taken_bytes = 0
        self._is_over = Flag()
        self._has_left = False

    async def read(self) -> bytes:
        """All of it. Raises BodyTooLarge, BodyTooSlow, Overloaded, ClientLeft."""
        self._take(self._declared_bytes)
        if self._exchange is not None and (whole := self._exchange.find_body()) is not None:
            self._take(len(whole))
            self._is_over.set()
            return whole
        parts: list[bytes] = []
        size = 0
        async for part in self._receive_parts():
            size += len(part)
            self._take(size)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def stream(self, *, max_bytes: int) -> AsyncIterator[bytes]:
        """Its parts as they come, which nobody holds: they take no room. Raises as `read`, but for Overloaded."""
        _check_size(self._declared_bytes, max_bytes)
        size = 0
        async for part in self._receive_parts():
            size += len(part)
            _check_size(size, max_bytes)
            yield part

    async def _receive_parts(self) -> AsyncIterator[bytes]:
        """Raises BodyTooSlow, ClientLeft."""
        size, began = 0, asyncio.get_running_loop().time()
        while True:
            try:
                async with asyncio.timeout_at(began + self._grace_s + size / MIN_BYTES_A_SECOND):
                    message = await self._receive()
            except TimeoutError:
                raise BodyTooSlow("The body came too slowly. Send the request again.", retry_after_s=1) from None
            if message["type"] == "http.disconnect":
                self._note_left()
                raise ClientLeft
            assert message["type"] == "http.request"
            size += len(message["body"])
            if not message["more_body"]:
                self._is_over.set()
            yield message["body"]
            if not message["more_body"]:
                return

    async def wait_until_left(self) -> None:
        """Returns when the client has left; while the body was not read, nobody can know."""
        await self._is_over.wait()
        while not self._has_left:
            self._has_left = (await self._receive())["type"] == "http.disconnect"

    def close(self) -> None:
        """Its request is served: there is room for another one."""
        self._room.give_back(self._taken_bytes)
        self._taken_bytes = 0

    def _take(self, size: int) -> None:
        _check_size(size, self._max_bytes)
        if size > self._taken_bytes:
            self._room.take(size - self._taken_bytes)
            self._taken_bytes = size

    def _note_left(self) -> None:
        self._has_left = True
        self._is_over.set()


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise BodyTooLarge(f"The body is larger than {max_bytes / MB:.2g} MB. Send less at once.")


class BoundedBodies:
    """An ASGI application whose requests have a body of bounded size: it is read before the application is called."""

    def __init__(self, application: ASGI3Application, *, max_bytes: int, room: BodyRoom) -> None:
        self._application = application
        self._max_bytes = max_bytes
        self._room = room

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert scope["type"] == "http"
        body = RequestBody(scope, receive, max_bytes=self._max_bytes, room=self._room)
        with suppress(ClientLeft), closing(body):
            try:
                whole = await body.read()
            except ServiceError as error:
                await _refuse(error, send)
            else:
                await self._application(scope, _replay(whole, receive), send)


def _replay(body: bytes, receive: ASGIReceiveCallable) -> ASGIReceiveCallable:
    """`receive` as it was before the body was read."""
    messages: list[ASGIReceiveEvent] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> ASGIReceiveEvent:
        return messages.pop() if messages else await receive()

    return receive_again


async def _refuse(error: ServiceError, send: ASGISendCallable) -> None:
    content = error.message.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(content))]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, error.retry_after_s)))
    await send({"type": "http.response.start", "status": error.status, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": content, "more_body": False})


def _find_length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """What `Content-Length` says; 0 where it says nothing that is a number of bytes."""
    for name, value in headers:
        if name == b"content-length":
            return int(value[:MAX_DIGITS]) if value.isdigit() else 0
    return 0
