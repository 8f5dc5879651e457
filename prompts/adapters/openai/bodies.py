"""The body of an answer as its server has written it, compressed or not, in pieces that are bounded when inflated.

Compression is not asked for: it holds tokens up. Some proxies compress all the same. The HTTP library would inflate
each read at once, whatever comes of it: sixteen kilobytes of zstandard become half a gigabyte.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator

import httpx2

from prompts.adapters.openai.lines import unreadable

# Of a body that comes compressed though nobody asked for that: far more than a real one has.
MAX_INFLATED_BYTES = 64 * 1024 * 1024
# What is read of it at once: a few milliseconds' work.
SLICE_BYTES = 64 * 1024
_INFLATABLE = {"gzip", "x-gzip", "deflate"}
# zlib's own word for: the header says whether it is gzip or zlib.
_ANY_HEADER = zlib.MAX_WBITS | 32


def open_body(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """The body, inflated. Raises UpstreamError for one that swells without end, or cannot be inflated."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    return response.aiter_raw() if encoding in {"", "identity"} else _inflate(response, encoding)


async def _inflate(response: httpx2.Response, encoding: str) -> AsyncGenerator[bytes, None]:
    if encoding not in _INFLATABLE:
        raise unreadable()
    inflating, size = zlib.decompressobj(_ANY_HEADER), 0
    async for data in response.aiter_raw():
        rest = data
        while rest and not inflating.eof:
            try:
                piece = inflating.decompress(rest, SLICE_BYTES)
            except zlib.error as exc:
                raise unreadable() from exc
            rest = inflating.unconsumed_tail
            size += len(piece)
            if size > MAX_INFLATED_BYTES:
                raise unreadable()
            if piece:
                yield piece
            await asyncio.sleep(0)  # there is no wait between the pieces: others are to have their turn
