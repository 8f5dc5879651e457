"""Many streams, one look: the sockets of streams that are heard beside many others are read in rounds.

A token that comes alone wakes the process, and that is most of what it costs. Nobody sees that a word of a stream comes
some milliseconds later, and the log's writer waits as long for the groups of others. So the sockets of many streams are
taken from the event loop, and read together every `ROUND_S`. A stream that begins is not among them, nor one that has
few beside it, nor one over TLS, whose bytes are the event loop's to decrypt.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from selectors import EVENT_READ, BaseSelector, DefaultSelector, SelectorKey

from prompts.per_loop import PerLoop

# Longer than the log's writer keeps its calls apart (`append_queue.py`): it writes at once what a round brings.
ROUND_S = 0.0125
# With fewer streams most rounds would bring one token, or none.
MIN_STREAMS = 12
# Sockets that are read without a pause, half a millisecond: then whatever else has come has its turn.
MAX_AT_ONCE = 24
# Far more than a stream brings in a round; the rest is read in the next one.
READ_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """Where a stream comes from."""

    transport: asyncio.Transport
    fd: int


class Rounds:
    """The streams of one event loop that may be read in rounds."""

    def __init__(self) -> None:
        self._sources: dict[asyncio.Protocol, Source] = {}
        """Of all that have joined, whether they are read in rounds by now or not."""
        self._selector: BaseSelector | None = None
        """Of those that are read in rounds, while there are any."""
        self._next: asyncio.Handle | None = None
        self._due = 0.0

    def join(self, stream: asyncio.Protocol, transport: asyncio.Transport) -> None:
        """Read it in rounds while there are many: `data_received` is called as the transport would call it.

        Until it leaves, the transport is neither paused nor resumed by anybody else.
        """
        if transport.get_extra_info("sslcontext") is not None or transport.is_closing():
            return
        source = self._sources[stream] = Source(transport, transport.get_extra_info("socket").fileno())
        if self._selector is not None:
            _take(self._selector, stream, source)
        elif len(self._sources) >= MIN_STREAMS:
            self._begin()

    def leave(self, stream: asyncio.Protocol) -> None:
        """Have the event loop read it again. It may have left before, or never joined."""
        source = self._sources.pop(stream, None)
        if source is None or self._selector is None:
            return
        _give_back(self._selector, stream, source)
        if len(self._sources) < MIN_STREAMS // 2:
            self._end()

    def _begin(self) -> None:
        self._selector = DefaultSelector()
        for stream, source in self._sources.items():
            _take(self._selector, stream, source)
        self._plan()

    def _end(self) -> None:
        """They have become few."""
        selector, self._selector = self._selector, None
        assert selector is not None
        for stream, source in self._sources.items():
            _give_back(selector, stream, source)
        selector.close()
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _plan(self) -> None:
        """Rounds keep their time: gaps between tokens of one stream stay as they are."""
        loop = asyncio.get_running_loop()
        self._due = max(self._due + ROUND_S, loop.time())
        self._next = loop.call_at(self._due, self._look)

    def _look(self) -> None:
        assert self._selector is not None
        self._read(self._selector.select(0))

    def _read(self, found: Sequence[tuple[SelectorKey, int]]) -> None:
        """Read what has come, a part at a time."""
        if rest := found[MAX_AT_ONCE:]:
            self._next = asyncio.get_running_loop().call_soon(self._read, rest)
        else:
            self._plan()
        for key, _ in found[:MAX_AT_ONCE]:
            source = self._sources.get(key.data)  # none when it has left since
            if source is not None and not source.transport.is_closing():
                self._read_one(key.data, source)

    def _read_one(self, stream: asyncio.Protocol, source: Source) -> None:
        try:
            data = os.read(source.fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.leave(stream)  # the transport finds out how it has ended
            return
        try:
            stream.data_received(data)
        except Exception as error:  # noqa: BLE001  # a stream that fails is closed, as its transport would close it
            failed = {"message": "a stream failed in a round", "exception": error}
            asyncio.get_running_loop().call_exception_handler(failed)
            self.leave(stream)
            source.transport.abort()


def _take(selector: BaseSelector, stream: asyncio.Protocol, source: Source) -> None:
    if source.fd in selector.get_map():  # it was that of a connection that is closed, and has not left yet
        selector.unregister(source.fd)
    source.transport.pause_reading()
    selector.register(source.fd, EVENT_READ, stream)


def _give_back(selector: BaseSelector, stream: asyncio.Protocol, source: Source) -> None:
    key = selector.get_map().get(source.fd)
    if key is not None and key.data is stream:
        selector.unregister(source.fd)
    if not source.transport.is_closing():
        source.transport.resume_reading()


_rounds = PerLoop(Rounds)


def find_rounds(loop: asyncio.AbstractEventLoop) -> Rounds:
    """Those of this event loop."""
    return _rounds.find(loop)
