"""One request and its answer on an HTTP/1.1 connection: uvicorn's, made shorter where every request pays for it.

a head whose length is known   waits for its body: both go out in one write; so does that of a stream whose first part
                               is there
a part of a stream             is one bytes object and one write, with the frame of its chunk; whoever has one and
                               need not wait for the client sends it by a call
headers that never change      are rendered once
a body that is here already    is had without waiting
a client that leaves           is told of by a call, so that nobody needs a task that waits for it
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from asgiref.typing import ASGISendEvent
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HEADER_RE, HEADER_VALUE_RE, STATUS_LINE, RequestResponseCycle

from config.response_headers import ALWAYS

# RFC 9110, 6.4.1: these answers have no body, and so no chunks.
WITHOUT_BODY = (204, 304)
# Of headers. Those that a model's server sends are handed on, and may be any.
MAX_KNOWN_NAMES = 256


class HttpExchange(RequestResponseCycle):
    """A request and its answer. `receive` and `send` are the application's."""

    on_left: Callable[[], object] | None = None
    """Called once, when the client has left before its answer was whole."""
    is_first_part_here = False
    """Whether the first part of a stream is sent right behind its head."""
    _head = b""
    """The head of the answer, while it waits for the body."""

    def leave(self) -> None:
        """The client has left, or is not listened to any more. Whoever waits for its body waits no longer."""
        self.disconnected = True
        self.message_event.set()
        if self.on_left is not None:
            self.on_left()
            self.on_left = None

    def find_body(self) -> bytes | None:
        """The request's body, when all of it has come and nothing of it was read; else None."""
        if self.more_body or self.disconnected or self.response_complete:
            return None
        body, self.body = self.body, bytearray()
        self.message_event.clear()  # what comes next is that the client leaves
        self.flow.resume_reading()  # else nobody would notice that the client leaves
        return bytes(body)

    @override
    async def receive(self) -> Any:
        """See ASGI."""
        message = await super().receive()
        if not self.more_body:
            self.flow.resume_reading()  # likewise
        return message

    @override
    async def send(self, message: ASGISendEvent) -> None:  # type: ignore[override]  # uvicorn has types of its own
        """See ASGI."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if self.response_complete:
            raise RuntimeError(f"'{message['type']}' was sent after the answer was complete.")
        if not self.response_started:
            if message["type"] != "http.response.start":
                raise RuntimeError(f"An answer begins with 'http.response.start', not with '{message['type']}'.")
            self._start(message["status"], message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self._continue(message.get("body", b""), is_last=not message.get("more_body", False))
        else:
            raise RuntimeError(f"After the head comes 'http.response.body', not '{message['type']}'.")

    def push(self, part: bytes) -> bool:
        """Send a part of a stream now; no when the client must be waited for, has left, or is sent no stream."""
        if self.flow.write_paused or self.disconnected or self.response_complete or not self.chunked_encoding:
            return False
        self.transport.write(_frame(part, is_last=False))
        return True

    def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.response_started = True
        self.waiting_for_100_continue = False
        lines = [STATUS_LINE[status], *map(_render_header, self.default_headers)]
        is_closing = False
        for header in headers:
            line = ALWAYS.get(header)
            if line is None:
                line = _render_header(header)
                is_closing = self._heed(header[0].lower(), header[1]) or is_closing
            lines.append(line)
        if not self.keep_alive and not is_closing:
            lines.append(b"connection: close\r\n")
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in WITHOUT_BODY:
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n")
        self._head = b"".join(lines)
        if self.chunked_encoding is not False and not self.is_first_part_here:  # it may be long in coming
            self._write(b"")

    def _heed(self, name: bytes, value: bytes) -> bool:
        """Note what a header says of the body. Whether it says that the connection closes."""
        if name == b"content-length" and self.chunked_encoding is None:
            self.expected_content_length = int(value)
            self.chunked_encoding = False
        elif name == b"transfer-encoding" and value.lower() == b"chunked":
            self.expected_content_length = 0
            self.chunked_encoding = True
        elif name == b"connection" and b"close" in [token.lower().strip() for token in value.split(b",")]:
            self.keep_alive = False
            return True
        return False

    def _continue(self, body: bytes, *, is_last: bool) -> None:
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
            self._write(b"")
        elif self.chunked_encoding:
            self._write(_frame(body, is_last=is_last))
        else:
            if len(body) > self.expected_content_length:
                raise RuntimeError("The body is longer than Content-Length says.")
            self.expected_content_length -= len(body)
            self._write(body)
        if is_last:
            self._end()

    def _write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        if data:
            self.transport.write(data)

    def _end(self) -> None:
        if self.expected_content_length != 0:
            raise RuntimeError("The body is shorter than Content-Length says.")
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


def _render_header(header: tuple[bytes, bytes]) -> bytes:
    name, value = header
    if HEADER_VALUE_RE.search(value):
        raise _unfit()
    return b"%b%b\r\n" % (_render_name(name), value)


@lru_cache(maxsize=MAX_KNOWN_NAMES)
def _render_name(name: bytes) -> bytes:
    """What stands before a header's value. Nearly all names are ours, and there are a few dozen."""
    if HEADER_RE.search(name):
        raise _unfit()
    return b"%b: " % name.lower()


def _unfit() -> RuntimeError:
    return RuntimeError("A header has characters that no header may have.")


def _frame(body: bytes, *, is_last: bool) -> bytes:
    """A chunk (RFC 9112, 7.1)."""
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return chunk + b"0\r\n\r\n" if is_last else chunk
