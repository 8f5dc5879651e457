"""Server-sent events: how an event becomes bytes (docs/api.md, "Events")."""

from collections.abc import Iterable

from prompts.answer.events import Event

DONE = b"data: [DONE]\n\n"
# A comment for proxies, and an event for clients, which count events only. It has no place in the sequence.
COMMENT = b": keep-alive\n\n"
KEEP_ALIVE = COMMENT + b'event: keepalive\ndata: {"type":"keepalive"}\n\n'
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
CONTENT_TYPE = "text/event-stream; charset=utf-8"


def frames(events: Iterable[Event]) -> bytes:
    """The events' frames in one piece: whatever is ready goes out in one write."""
    return b"".join(b"event: %b\ndata: %b\n\n" % (event.type.encode(), event.data) for event in events)
