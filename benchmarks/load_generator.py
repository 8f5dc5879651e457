"""The clients of a benchmark, in a process of their own, on raw sockets: measuring must cost little.

    python -m benchmarks.load_generator        a Job as JSON on each line of stdin, a Report on each line of stdout

A lane is one kept-alive connection. It sends its next request when the last answer has ended (closed loop).
"""

import asyncio
import sys
import time
from collections.abc import Iterable
from typing import cast

import msgspec
import uvloop
from msgspec import Struct
from typing_extensions import override

# Far longer than any answer here: a hanging server ends the benchmark instead of blocking it.
MAX_JOB_S = 60.0
DELTA = b"event: response.output_text.delta"
COMPLETED = b"event: response.completed"
LAST_CHUNK = b"\r\n0\r\n\r\n"


class Job(Struct, kw_only=True):
    """The requests to send. A lane is the requests of one connection, as bytes on the wire, in order."""

    port: int
    lanes: list[list[str]]
    repeat: int = 1
    is_streamed: bool = False
    keep_bodies: bool = False


class Answer(Struct, kw_only=True):
    """One answer. Times are in ms from the request's last byte; `deltas` is the number of text events."""

    first_event_ms: float
    first_delta_ms: float
    whole_ms: float
    deltas: int
    body: str = ""


class Report(Struct, kw_only=True):
    """The time of a job from its first request to its last answer, and each answer; or the error."""

    seconds: float = 0.0
    answers: list[Answer] = []
    error: str | None = None


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

    def get_answer(self, job: Job) -> Answer:
        """The whole answer. Raises LoadError when a stream did not end as a turn should."""
        ended, body = time.perf_counter(), b"".join(self._body)
        if job.is_streamed and COMPLETED not in body:
            raise LoadError(f"a turn did not complete: {body[-500:]!r}")
        return Answer(
            first_event_ms=self._since_began(self._first_event),
            first_delta_ms=self._since_began(self._first_delta or ended),
            whole_ms=self._since_began(ended),
            deltas=body.count(DELTA),
            body=body.decode() if job.keep_bodies else "",
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


async def run_job(job: Job) -> Report:
    """Run all lanes at once. A failure is the report's `error`."""
    try:
        async with asyncio.timeout(MAX_JOB_S), asyncio.TaskGroup() as tasks:
            connections = [await _connect(job.port) for _ in job.lanes]
            began = time.perf_counter()
            lanes = [
                tasks.create_task(_run_lane(job, connection, requests))
                for connection, requests in zip(connections, job.lanes, strict=True)
            ]
    except TimeoutError:
        return Report(error=f"not done after {MAX_JOB_S:g} s")
    except ExceptionGroup as group:
        return Report(error=str(group.exceptions[0]))
    seconds = max(lane.result()[0] for lane in lanes) - began
    return Report(seconds=seconds, answers=[answer for lane in lanes for answer in lane.result()[1]])


async def _connect(port: int) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection


async def _run_lane(job: Job, connection: Connection, requests: Iterable[str]) -> tuple[float, list[Answer]]:
    encoded = [request.encode() for request in requests] * job.repeat
    answers = [(await connection.ask(request)).get_answer(job) for request in encoded]
    ended = time.perf_counter()
    connection.close()
    return ended, answers


def main() -> None:
    """Run jobs until stdin ends."""
    decode, encode = msgspec.json.Decoder(Job).decode, msgspec.json.Encoder().encode
    # Not sys.stdout: with PYTHONUNBUFFERED it is unbuffered, and may write only a part of a long line.
    with open(sys.stdout.fileno(), "wb", closefd=False) as reports:
        for line in sys.stdin.buffer:
            reports.write(encode(uvloop.run(run_job(decode(line)))) + b"\n")
            reports.flush()


if __name__ == "__main__":
    main()
