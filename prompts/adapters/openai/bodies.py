"""The body of an answer as its server has written it, compressed or not, in pieces that are bounded when inflated.

Compression is not asked for: it holds tokens up. Some proxies compress all the same. The HTTP library would inflate
each read at once, whatever comes of it: sixteen kilobytes of zstandard become half a gigabyte.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Protocol

import httpx2

from prompts.adapters.openai.exchange import SLICE_BYTES, Exchange, Take
from prompts.adapters.openai.lines import unreadable
from prompts.alarms import NEVER

# Of a body that comes compressed though nobody asked for that: far more than a real one has.
MAX_INFLATED_BYTES = 64 * 1024 * 1024
_INFLATABLE = {"gzip", "x-gzip", "deflate"}
# zlib's own word for: the header says whether it is gzip or zlib.
_ANY_HEADER = zlib.MAX_WBITS | 32


class StreamBody(Protocol):
    """The body of a stream, to be closed."""

    async def read(self, due: float = NEVER) -> bytes:
        """See `Exchange.read`. Raises UpstreamError for one that swells without end, or cannot be inflated."""

    async def hand_on(self, take: Take, due: float = NEVER) -> bool:
        """See `Exchange.hand_on`. Raises what `read` does."""

    def close(self) -> None:
        """See `Exchange.close`."""


class InflatedBody:
    """`StreamBody` of one that comes compressed."""

    def __init__(self, body: StreamBody, encoding: str) -> None:
        """Raises UpstreamError for an encoding that was never heard of."""
        self._body = body
        self._inflating = _Inflating(encoding)
        self._pieces: Iterator[bytes] = iter(())

    async def read(self, due: float = NEVER) -> bytes:
        """See `StreamBody`."""
        while not (piece := next(self._pieces, b"")):
            data = await self._body.read(due)
            if not data:
                return b""
            self._pieces = self._inflating.feed(data)
        await asyncio.sleep(0)  # there is no wait between the pieces: others are to have their turn
        return piece

    async def hand_on(self, take: Take, due: float = NEVER) -> bool:
        """See `StreamBody`."""
        wanted: float | None = due
        while wanted is not None:
            piece = await self.read(wanted)
            if not piece:
                return False
            wanted = take(piece)
        return True

    def close(self) -> None:
        """See `StreamBody`."""
        self._body.close()


def open_stream(exchange: Exchange) -> StreamBody:
    """The body, inflated. Raises UpstreamError."""
    encoding = exchange.headers.get("content-encoding", "").strip().lower()
    return exchange if encoding in {"", "identity"} else InflatedBody(exchange, encoding)


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
