"""Server-sent events: how an event becomes bytes (docs/api.md, "Events")."""

from collections.abc import Iterable

from prompts.answer.events import Event

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
# Below the idle limit of every common proxy (nginx 60 s, AWS ALB 60 s, Heroku 55 s).
KEEP_ALIVE_S = 15.0
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
CONTENT_TYPE = "text/event-stream; charset=utf-8"


def frames(events: Iterable[Event]) -> bytes:
    """The events' frames in one piece: whatever is ready goes out in one write."""
    return b"".join(b"event: %b\ndata: %b\n\n" % (event.type.encode(), event.data) for event in events)
