"""Server-sent events, cut anywhere, as the data they carry; all protocols of model servers stream this way.

By the standard (https://html.spec.whatwg.org/multipage/server-sent-events.html): lines end in CR LF, LF or CR, the
`data` lines of an event are joined by a line feed, a blank line ends it, comments and unknown fields say nothing.
Beyond it, because servers and relays do so:

    no blank line between events     a line that is a whole document is an event of its own
    the last event without its end   counts, when the bytes end
    JSON without `data:`             is data too: a whole answer though a stream was asked for, an error in the middle
"""

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator

import msgspec

from prompts.errors import AnswerTooLarge, UpstreamError

# The longest event we hold in memory; a whole answer in one event is far below.
MAX_EVENT_BYTES = 16 * 1024 * 1024
# Objects, lists and what is in them, of one event: each takes many times as much memory as it has bytes. An answer of
# 8,000 tokens with 20 likelihoods each is below.
MAX_EVENT_OBJECTS = 200_000
MAX_EVENT_ENTRIES = 2_000_000
# An event of fewer bytes cannot have so many that it matters.
_FEW_BYTES = 64 * 1024
# All that comes in one stream. 128,000 tokens, the longest answer there is, are some 60 MB in the wordiest dialect.
MAX_STREAM_BYTES = 256 * 1024 * 1024
# An event takes two or three, and a token one event.
MAX_STREAM_LINES = 1_000_000
# What a JSON document begins with that holds an answer or an error.
_BARE = (b"{", b"[")

_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode


class EventLines:
    """The events of one stream, fed with bytes as they arrive."""

    def __init__(self) -> None:
        self._rest = bytearray()
        """The beginning of a line whose end has not come."""
        self._data: bytes | bytearray = b""
        """The data of an event whose end has not come."""
        self._is_bare = False
        """Whether this is JSON that stands bare, over many lines: it goes on to the end of the body."""
        self._is_first_line = True
        self._ended_with_cr = False
        self.is_between = False
        """Whether nothing waits for its end."""
        self.event_name = b""
        """The `event` field of the event that is being given."""
        self._bytes = 0
        self._lines = 0

    def feed(self, data: bytes) -> Iterable[bytes | bytearray]:
        """The data of each event that these bytes complete; who stops in the middle never looks at the rest.

        Raises AnswerTooLarge for an event that is too long to be one, and for a stream that has no end.
        """
        if self.is_between:
            start = data.find(b"\n") + 1 if data.startswith(b"event:") else 0
            if self._is_one_event(data, start):
                self.event_name = data[6:start].strip()
                return (data[start + 5 : -2].strip(),)
            self.is_between, self.event_name = False, b""
        return self._feed(data)

    def pass_event(self, size: int, lines: int) -> bool:
        """Count an event that somebody reads without these; False where there is no place for one, or one too many."""
        self._bytes += size
        self._lines += lines
        return self.is_between and self._bytes <= MAX_STREAM_BYTES and self._lines <= MAX_STREAM_LINES

    def _is_one_event(self, data: bytes, start: int) -> bool:
        """Whether there is nothing behind `start` but all the data of one event, as a slow model sends each token.

        If so it is counted; `_feed` raises where it is one too many.
        """
        if not (data.startswith(b"data:", start) and data.endswith(b"}\n\n")):
            return False
        if data.find(b"\n", start) != len(data) - 2 or b"\r" in data:
            return False
        self._bytes += len(data)
        self._lines += 2
        return self._bytes <= MAX_STREAM_BYTES and self._lines <= MAX_STREAM_LINES

    def _feed(self, data: bytes) -> Iterator[bytes | bytearray]:
        for line in self._complete(data):
            if line.startswith(b"data:") and not self._is_bare:
                if self._data:
                    yield from self._go_on(line[5:].strip())
                else:
                    self._data = line[5:].strip()
            elif line or self._is_bare:
                yield from self._read_other(line)
            else:
                if self._data:
                    said, self._data = self._data, b""
                    yield said
                if self.event_name:
                    self.event_name = b""
        if len(self._rest) + len(self._data) > MAX_EVENT_BYTES:
            raise too_large()
        has_begun = self._rest or self._data or self.event_name
        self.is_between = not (has_begun or self._is_first_line or self._is_bare or self._ended_with_cr)

    def finish(self) -> Iterator[bytes | bytearray]:
        """What is left when the bytes end: the last line and the last event may lack their end."""
        yield from self.feed(b"\n\n")
        if self._data:
            yield self._data

    def _go_on(self, said: bytes) -> Iterator[bytes | bytearray]:
        """A line of data behind another one: more of the same event, or the next one."""
        if type(self._data) is bytes and is_document(self._data):
            yield self._data
            self._data = said
        else:
            self._add(said)

    def _read_other(self, line: bytes) -> Iterator[bytes | bytearray]:
        """A line that is no data of an event: a field, a comment, or JSON that stands bare."""
        if self._is_bare:
            self._add(line)
        elif line.startswith(b"event:"):
            self.event_name = line[6:].strip()
        elif line.startswith(_BARE):
            if self._data:
                yield self._data
            self._data = line
            self._is_bare = not is_document(line)
            if not self._is_bare:
                yield line
                self._data = b""

    def _complete(self, data: bytes) -> list[bytes]:
        """The lines that these bytes complete; parts of a line are put together once, when its end is there."""
        self._bytes += len(data)
        if self._bytes > MAX_STREAM_BYTES:
            raise too_large()
        if b"\r" in data or self._ended_with_cr:
            data = self._without_cr(data)
        if b"\n" not in data:
            self._rest += data
            return []
        lines = data.split(b"\n")
        self._lines += len(lines)
        if self._lines > MAX_STREAM_LINES:
            raise too_large()
        if self._rest:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        if rest := lines.pop():
            self._rest += rest
        if self._is_first_line:
            self._is_first_line = False
            lines[0] = lines[0].removeprefix(BOM_UTF8)
        return lines

    def _without_cr(self, data: bytes) -> bytes:
        """The same with line feeds only; a CR LF may lie across two reads."""
        if self._ended_with_cr and data.startswith(b"\n"):
            data = data[1:]
            self._ended_with_cr = False
        if data:
            self._ended_with_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _add(self, said: bytes) -> None:
        """One more line of the event's data."""
        if isinstance(self._data, bytes):
            self._data = bytearray(self._data)
        self._data += b"\n"
        self._data += said


def is_document(data: bytes | bytearray | str) -> bool:
    """Whether this is one whole JSON document, and not the beginning of one."""
    try:
        _decode_raw(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def check_event(said: bytes | bytearray) -> None:
    """Raises AnswerTooLarge for an event that would become far too many objects; cheap, before it is decoded."""
    if len(said) < _FEW_BYTES:
        return
    if said.count(b"{") + said.count(b"[") > MAX_EVENT_OBJECTS or said.count(b",") > MAX_EVENT_ENTRIES:
        raise too_large()


def too_large() -> AnswerTooLarge:
    """What came has no end, or more parts than any answer."""
    return AnswerTooLarge("The model's answer is larger than any answer may be. Ask for less at once.")


def unreadable() -> UpstreamError:
    """What came is no stream of this protocol."""
    return UpstreamError("The model's server answered with something that is not an answer. Send the input again.")
