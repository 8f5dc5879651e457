"""One client's connection, on a raw socket: measuring must cost little."""

import asyncio
import time
from dataclasses import dataclass
from typing import cast

from typing_extensions import override

DELTA = b"event: response.output_text.delta"
COMPLETED = b"event: response.completed"
LAST_CHUNK = b"\r\n0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. Times are in ms from the request's last byte; `deltas` is the number of text events."""

    first_event_ms: float
    first_delta_ms: float
    whole_ms: float
    deltas: int
    body: str = ""


class LoadError(Exception):
    """A server's answer was wrong; the message shows it."""


class Exchange:
    """The answer to one request, while it arrives."""

    def __init__(self) -> None:
        self.is_over = False
        self._began = time.perf_counter()
        self._first_event = self._first_delta = 0.0
        self._head = b""
        self._has_head = False
        self._body: list[bytes] = []
        self._missing: int | None = None
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """Take the bytes that arrived. Raises LoadError for any status but 200."""
        if not self._has_head:
            self._head += data
            head, self._has_head, data = _split_head(self._head)
            if self._has_head:
                self._read_head(head)
            if not data:
                return
        now = time.perf_counter()
        self._first_event = self._first_event or now
        if not self._first_delta and DELTA in data:
            self._first_delta = now
        self._body.append(data)
        self._look_for_end(data)

    def get_answer(self, *, is_streamed: bool) -> Answer:
        """The answer; its body when it is no stream. Raises LoadError when a stream did not end as a turn should."""
        ended, body = time.perf_counter(), b"".join(self._body)
        if is_streamed and COMPLETED not in body:
            raise LoadError(f"a turn did not complete: {body[-500:]!r}")
        return Answer(
            first_event_ms=self._since_began(self._first_event),
            first_delta_ms=self._since_began(self._first_delta or ended),
            whole_ms=self._since_began(ended),
            deltas=body.count(DELTA),
            body="" if is_streamed else body.decode(),
        )

    def _read_head(self, head: bytes) -> None:
        if head[9:12] != b"200":
            raise LoadError(f"not 200: {self._head[:1000]!r}")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                self._missing = int(line.partition(b":")[2])

    def _look_for_end(self, data: bytes) -> None:
        if self._missing is None:
            self._tail = (self._tail + data)[-len(LAST_CHUNK) :]
            self.is_over = self._tail == LAST_CHUNK
        else:
            self._missing -= len(data)
            self.is_over = self._missing == 0

    def _since_began(self, moment: float) -> float:
        return (moment - self._began) * 1000


def _split_head(data: bytes) -> tuple[bytes, bool, bytes]:
    """The head without its end, whether it is complete, and the bytes of the body so far."""
    head, end, body = data.partition(b"\r\n\r\n")
    return head, bool(end), body


class Connection(asyncio.Protocol):
    """One kept-alive connection with one exchange at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._exchange = Exchange()
        self._done: asyncio.Future[None] | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    @override
    def data_received(self, data: bytes) -> None:
        try:
            self._exchange.feed(data)
        except LoadError as error:
            self._settle(error)
        else:
            if self._exchange.is_over:
                self._settle(None)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._settle(LoadError("the server closed the connection in the middle of an answer"))

    async def ask(self, request: bytes) -> Exchange:
        """Send the request and wait for the end of its answer. Raises LoadError."""
        assert self._transport is not None, "not connected"
        self._done = asyncio.get_running_loop().create_future()
        self._exchange = Exchange()
        self._transport.write(request)
        await self._done
        return self._exchange

    def close(self) -> None:
        assert self._transport is not None, "not connected"
        self._transport.close()

    def _settle(self, error: LoadError | None) -> None:
        if self._done is None or self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)
