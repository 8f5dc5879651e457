"""The lower bound: an ASGI application that only answers. No server on the same stack can be faster."""

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, HTTPResponseStartEvent, Scope

# A streamed turn of about a hundred tokens has this many frames; each is as long as one of our deltas.
FRAMES = 110
FRAME = (
    b"event: response.output_text.delta\n"
    b'data: {"type":"response.output_text.delta","sequence_number":100,'
    b'"item_id":"msg_00000000000000000000000000000000000000","output_index":0,"content_index":0,'
    b'"delta":" garden","logprobs":[]}\n\n'
)
# The stand-in model writes this many tokens at once.
FRAMES_A_SEND = 16
END = b'event: response.completed\ndata: {"type":"response.completed"}\n\ndata: [DONE]\n\n'
JSON = b'{"status":"ok"}'


async def application(scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Answer `/stream` with an event stream, every other path with a small JSON document."""
    if scope["type"] != "http":
        return
    if scope["path"] == "/stream":
        await send(_start(b"text/event-stream"))
        for sent in range(0, FRAMES, FRAMES_A_SEND):
            await _send_body(send, FRAME * min(FRAMES_A_SEND, FRAMES - sent), more=True)
        await _send_body(send, END, more=False)
    else:
        await send(_start(b"application/json", (b"content-length", b"%d" % len(JSON))))
        await _send_body(send, JSON, more=False)


def _start(content_type: bytes, *headers: tuple[bytes, bytes]) -> HTTPResponseStartEvent:
    return {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", content_type), *headers],
        "trailers": False,
    }


async def _send_body(send: ASGISendCallable, body: bytes, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
