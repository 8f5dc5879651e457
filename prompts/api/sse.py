"""Server-sent events: how an event becomes bytes (docs/api.md, "Events")."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import TypeAlias

from django.http import StreamingHttpResponse

from prompts.answer.events import Event
from prompts.run.outlet import Outlet

Pad: TypeAlias = Callable[[Sequence[Event]], Sequence[Event]]
Push: TypeAlias = Callable[[bytes], bool]

END = b"\n\n"
DONE = b"data: [DONE]\n\n"
# A comment for proxies, and an event for clients, which count events only. It has no place in the sequence.
COMMENT = b": keep-alive\n\n"
KEEP_ALIVE = COMMENT + b'event: keepalive\ndata: {"type":"keepalive"}\n\n'
# What a connection takes before its writer waits (uvicorn's and asyncio's mark).
MAX_PIECE_BYTES = 64 * 1024
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
CONTENT_TYPE = "text/event-stream; charset=utf-8"


class LastPart(bytes):
    """The last part of an answer: whoever sends it need not wait for the end."""


class EventStream(StreamingHttpResponse):
    """An answer that is a stream of events. `parts` are its bytes, each for one write. `LeanHandler` adds `HEADERS`."""

    def __init__(
        self,
        parts: AsyncIterator[bytes],
        *,
        is_first_part_here: bool = False,
        outlet: Outlet | None = None,
        pad: Pad | None = None,
    ) -> None:
        """`is_first_part_here` says that nobody waits for the first of `parts`."""
        super().__init__(parts, content_type=CONTENT_TYPE)
        self.parts = parts
        self.is_first_part_here = is_first_part_here
        self._outlet = outlet
        self._pad = pad

    def open_outlet(self, push: Push) -> None:
        """From now on events may go out while the next of `parts` is awaited, by `push`, which says no to what waits.

        None are before the parts that were had, nor behind the end.
        """
        if self._outlet is not None:
            self._outlet.take = partial(_push_events, push, self._pad)


def _push_events(push: Push, pad: Pad | None, events: Sequence[Event]) -> bool:
    if pad is not None:
        events = pad(events)
    if len(events) == 1:  # a token: nearly always
        event = events[0]
        part = b"".join((_open_frame(event.type), event.data, END))
    else:
        part = b"".join(frames(events))
    return len(part) <= MAX_PIECE_BYTES and push(part)


def frames(events: Iterable[Event]) -> Iterator[bytes]:
    """The events' frames, in few pieces: whatever is ready goes out in one write, as far as a connection takes it.

    A piece is as much as a reader holds who takes nothing; the events themselves are there once for all readers.
    """
    ready: list[bytes] = []
    size = 0
    for event in events:
        data = event.data
        length = len(data)
        if size + length > MAX_PIECE_BYTES:
            if ready:
                yield b"".join(ready)
            ready, size = [], 0
        if length > MAX_PIECE_BYTES:
            yield from _cut(event)
        else:
            opening = _open_frame(event.type)
            ready += (opening, data, END)
            size += len(opening) + length + 2
    if ready:
        yield b"".join(ready)


@cache
def _open_frame(kind: str) -> bytes:
    """What stands before an event's data. There are a few dozen kinds of events, and all are ours."""
    return b"event: %b\ndata: " % kind.encode()


def _cut(event: Event) -> Iterator[bytes]:
    yield _open_frame(event.type)
    for start in range(0, len(event.data), MAX_PIECE_BYTES):
        yield event.data[start : start + MAX_PIECE_BYTES]
    yield END
