"""Server-sent events: how an event becomes bytes (docs/api.md, "Events")."""

from collections.abc import Iterable, Iterator

from prompts.answer.events import Event

DONE = b"data: [DONE]\n\n"
# A comment for proxies, and an event for clients, which count events only. It has no place in the sequence.
COMMENT = b": keep-alive\n\n"
KEEP_ALIVE = COMMENT + b'event: keepalive\ndata: {"type":"keepalive"}\n\n'
# What a connection takes before its writer waits (uvicorn's and asyncio's mark).
MAX_PIECE_BYTES = 64 * 1024
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
CONTENT_TYPE = "text/event-stream; charset=utf-8"


def frames(events: Iterable[Event]) -> Iterator[bytes]:
    """The events' frames, in few pieces: whatever is ready goes out in one write, as far as a connection takes it.

    A piece is as much as a reader holds who takes nothing; the events themselves are there once for all readers.
    """
    ready: list[bytes] = []
    size = 0
    for event in events:
        if size + len(event.data) > MAX_PIECE_BYTES:
            if ready:
                yield b"".join(ready)
            ready, size = [], 0
        if len(event.data) > MAX_PIECE_BYTES:
            yield from _cut(event)
        else:
            ready.append(b"event: %b\ndata: %b\n\n" % (event.type.encode(), event.data))
            size += len(ready[-1])
    if ready:
        yield b"".join(ready)


def _cut(event: Event) -> Iterator[bytes]:
    yield b"event: %b\ndata: " % event.type.encode()
    for start in range(0, len(event.data), MAX_PIECE_BYTES):
        yield event.data[start : start + MAX_PIECE_BYTES]
    yield b"\n\n"
