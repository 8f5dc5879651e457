"""The body of an answer as its server has written it, compressed or not, in pieces that are bounded when inflated.

Compression is not asked for: it holds tokens up. Some proxies compress all the same. The HTTP library would inflate
each read at once, whatever comes of it: sixteen kilobytes of zstandard become half a gigabyte.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

import aiohttp
import httpx2
from typing_extensions import override

from prompts.adapters.openai.lines import unreadable
from prompts.alarms import NEVER, Alarm

# Of a body that comes compressed though nobody asked for that: far more than a real one has.
MAX_INFLATED_BYTES = 64 * 1024 * 1024
# What is read of it at once: a few milliseconds' work.
SLICE_BYTES = 64 * 1024
_INFLATABLE = {"gzip", "x-gzip", "deflate"}
# zlib's own word for: the header says whether it is gzip or zlib.
_ANY_HEADER = zlib.MAX_WBITS | 32


class Overdue(Exception):
    """Nothing came in time."""


class StreamBody:
    """The body of a stream, read as it arrives.

    Many reads share one alarm: its ring is an error of the stream, so no read needs a timer or a cancellation.
    """

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        """`close` has to be called."""
        self._response = response
        self._content = response.content
        self._alarm = Alarm(self._ring).start()

    async def read(self, due: float) -> bytes:
        """All that has arrived, as far as it can be worked on at once; nothing at the end.

        Raises Overdue when nothing came until `due`, in the event loop's time, and aiohttp's errors.
        """
        self._alarm.due = due
        try:
            return await self._content.read(SLICE_BYTES)
        finally:
            self._alarm.due = NEVER

    async def close(self) -> None:
        """Give the connection back if the body has ended, and close it otherwise."""
        self._alarm.stop()
        self._response.release()
        await self._response.wait_for_close()

    def _ring(self) -> None:
        self._content.set_exception(Overdue())


class InflatedBody(StreamBody):
    """The same of one that comes compressed."""

    def __init__(self, response: aiohttp.ClientResponse, encoding: str) -> None:
        """Raises UpstreamError for an encoding that was never heard of."""
        self._inflating = _Inflating(encoding)
        self._pieces: Iterator[bytes] = iter(())
        super().__init__(response)

    @override
    async def read(self, due: float) -> bytes:
        """See `StreamBody.read`. Raises UpstreamError for one that swells without end, or cannot be inflated."""
        while not (piece := next(self._pieces, b"")):
            data = await super().read(due)
            if not data:
                return b""
            self._pieces = self._inflating.feed(data)
        await asyncio.sleep(0)  # there is no wait between the pieces: others are to have their turn
        return piece


def open_stream(response: aiohttp.ClientResponse) -> StreamBody:
    """The body, inflated; whoever opens it closes it. Raises UpstreamError."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    return StreamBody(response) if encoding in {"", "identity"} else InflatedBody(response, encoding)


def open_body(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """The body, inflated. Raises UpstreamError for one that swells without end, or cannot be inflated."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    return response.aiter_raw() if encoding in {"", "identity"} else _inflate(response.aiter_raw(), encoding)


async def _inflate(parts: AsyncIterator[bytes], encoding: str) -> AsyncGenerator[bytes, None]:
    inflating = _Inflating(encoding)
    async for data in parts:
        for piece in inflating.feed(data):
            yield piece
            await asyncio.sleep(0)  # there is no wait between the pieces: others are to have their turn


class _Inflating:
    """Inflates one body."""

    def __init__(self, encoding: str) -> None:
        if encoding not in _INFLATABLE:
            raise unreadable()
        self._inflating = zlib.decompressobj(_ANY_HEADER)
        self._size = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The pieces that these bytes hold. Raises UpstreamError."""
        rest = data
        while rest and not self._inflating.eof:
            try:
                piece = self._inflating.decompress(rest, SLICE_BYTES)
            except zlib.error as exc:
                raise unreadable() from exc
            rest = self._inflating.unconsumed_tail
            self._size += len(piece)
            if self._size > MAX_INFLATED_BYTES:
                raise unreadable()
            if piece:
                yield piece
