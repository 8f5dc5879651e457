"""An answer of the model's server that is handed on: its bytes as they come, bounded in time and size."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import httpx2

from prompts.adapters.openai.bodies import open_body
from prompts.adapters.openai.errors import translated_errors
from prompts.adapters.openai.lines import unreadable
from prompts.adapters.openai.streams import Patience
from prompts.adapters.openai.usage import find_last_usage
from prompts.domain.usage import Usage
from prompts.errors import ServiceError, UpstreamError, UpstreamTimeout

EVENT_STREAM = "text/event-stream"
# What is no stream is waited for, up to this size: so that an answer which breaks off is told with a status.
MAX_HELD_BYTES = 1024 * 1024
# 2,048 vectors of 3,072 numbers in digits are 75 MB.
MAX_RELAYED_BYTES = 256 * 1024 * 1024
# Usage is the last that a server says, or nearly.
TAIL_BYTES = 4 * 1024
# The kinds of content that are told as they are: none that a browser would run.
_TELLABLE = re.compile(
    r"(?:text/event-stream|text/plain|application/(?:[\w.-]{1,60}\+)?(?:nd|x-nd)?json)(?: ?; ?charset=\"?utf-8\"?)?",
    re.I,
)
_PAGES = ("text/html", "application/xhtml")
# Where an event ends, and a comment may stand.
_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


@dataclass(slots=True)
class OpenAIAnswer:
    """`RelayedAnswer`."""

    status: int
    content_type: str
    failure: ServiceError | None = None
    retry_after_s: float | None = None
    whole: bytes | None = None
    _parts: AsyncGenerator[bytes, None] | None = None
    _held: bytes = b""
    _tail: bytes = b""

    @property
    def is_stream(self) -> bool:
        """Whether these are events."""
        return self.content_type.startswith(EVENT_STREAM)

    @property
    def usage(self) -> Usage | None:
        """See `RelayedAnswer.usage`."""
        return find_last_usage(self._tail)

    async def begin(self, parts: AsyncGenerator[bytes, None]) -> None:
        """Wait for the first part of a stream, and for all of what is none, if it is not too long."""
        self._parts, held = parts, bytearray()
        async for data in parts:
            held += data
            if self.is_stream or len(held) > MAX_HELD_BYTES:
                break
        else:
            if self.is_stream:
                raise UpstreamError("The model's server gave an empty answer. Send the request again.")
            self.whole = bytes(held)
        self._held, self._tail = bytes(held), bytes(held[-TAIL_BYTES:])

    async def read(self) -> AsyncGenerator[bytes, None]:
        """See `RelayedAnswer.read`."""
        assert self._parts is not None
        yield self._held
        async for data in self._parts:
            if data:
                self._tail = (self._tail + data)[-TAIL_BYTES:]
                yield data
            elif self.is_stream and (not self._tail or self._tail.endswith(_ENDS)):
                yield b""


async def open_answer(
    response: httpx2.Response, patience: Patience, first_by: float, quiet_s: float
) -> AsyncGenerator[bytes, None]:
    """The body as it comes, and an empty part each time that nothing came for `quiet_s`."""
    waiting: asyncio.Task[bytes | None] | None = None
    async with aclosing(_read(response, patience, first_by)) as body:
        try:
            while True:
                waiting = waiting or asyncio.ensure_future(anext(body, None))
                await asyncio.wait({waiting}, timeout=quiet_s)
                if not waiting.done():
                    yield b""
                    continue
                data, waiting = waiting.result(), None
                if data is None:
                    return
                if data:
                    yield data
        finally:
            if waiting is not None:  # a generator cannot be closed while it runs
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)


async def _read(response: httpx2.Response, patience: Patience, first_by: float) -> AsyncGenerator[bytes, None]:
    """The body as it comes, with limits to its pauses and its size."""
    size, limit_s, allowed_s = 0, first_by - time.monotonic(), patience.first_token_s
    async with aclosing(open_body(response)) as body:
        while True:
            try:
                async with asyncio.timeout(limit_s):
                    with translated_errors():
                        data = await anext(body, None)
            except TimeoutError:
                raise too_slow(allowed_s) from None
            if data is None:
                return
            size += len(data)
            if size > MAX_RELAYED_BYTES:
                raise unreadable()
            yield data
            limit_s = allowed_s = patience.silence_s


def read_content_type(told: str | None, *, is_stream: bool) -> str:
    """What the answer's content is called. Raises UpstreamError for a page, of whatever stands before the server."""
    kind = (told or "").strip().lower()
    if not kind:
        return EVENT_STREAM if is_stream else "application/json"
    if kind.startswith(_PAGES):
        raise unreadable()
    return kind if _TELLABLE.fullmatch(kind) else "application/octet-stream"


def too_slow(limit_s: float) -> UpstreamTimeout:
    """The refusal to wait any longer."""
    return UpstreamTimeout(f"The model's server said nothing for {limit_s:g} s. Send the request again.")
