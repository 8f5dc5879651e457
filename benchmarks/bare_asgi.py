"""The limit: an ASGI application that only answers, with frames as long as ours. No server on the same stack is faster.

It reads the same mark as the instant model (`go/model`), and is its own model.
"""

import asyncio
import re

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, HTTPResponseStartEvent, Scope

FRAME = (
    b"event: response.output_text.delta\n"
    b'data: {"type":"response.output_text.delta","sequence_number":100,'
    b'"item_id":"msg_00000000000000000000000000000000000000","output_index":0,"content_index":0,'
    b'"delta":" garden","logprobs":[]}\n\n'
)
END = b'event: response.completed\ndata: {"type":"response.completed"}\n\ndata: [DONE]\n\n'
JSON = b'{"status":"ok"}'
MARK = re.compile(rb"\[\[tokens=(\d+) per_s=(\d+) delay_ms=(\d+) write=(\d+)\]\]")


async def application(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Answer a POST with an event stream, everything else with a small JSON document."""
    if scope["type"] != "http":
        return
    if scope["method"] == "POST":
        tokens, per_s, delay_ms, write = map(int, MARK.findall(await _read_body(receive))[-1])
        await asyncio.sleep(delay_ms / 1000)
        await send(_start(b"text/event-stream"))
        await _stream(send, tokens, per_s, write)
    else:
        await send(_start(b"application/json", (b"content-length", b"%d" % len(JSON))))
        await _send_body(send, JSON, more=False)


async def _stream(send: ASGISendCallable, tokens: int, per_s: int, write: int) -> None:
    loop = asyncio.get_running_loop()
    due, step = loop.time(), 1 if per_s else write
    for sent in range(0, tokens, step):
        await _send_body(send, FRAME * min(step, tokens - sent), more=True)
        if per_s:
            due += 1 / per_s
            await asyncio.sleep(due - loop.time())
    await _send_body(send, END, more=False)


async def _read_body(receive: ASGIReceiveCallable) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        body, more = body + message["body"], message["more_body"]
    return body


def _start(content_type: bytes, *headers: tuple[bytes, bytes]) -> HTTPResponseStartEvent:
    return {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", content_type), *headers],
        "trailers": False,
    }


async def _send_body(send: ASGISendCallable, body: bytes, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
