"""Events framed as the standard allows, as relays leave them, and answers that are no stream at all."""

import json

from tests.support.model_shapes.shape import (
    COUNTED,
    DONE,
    GOOD,
    HI,
    STOP,
    USAGE,
    WHOLE,
    Shape,
    event,
    said,
    stream,
)
from tests.support.raw_model import JSON, Reply, reply_json

XS = "x" * 2_000_000
WHOLE_COMPLETION = {
    "id": "x",
    "object": "chat.completion",
    "usage": COUNTED,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
}

FRAMING = [
    Shape("D02a", "CR LF", [stream(WHOLE.replace(b"\n", b"\r\n"))], text="hi", usage=(3, 2)),
    Shape("D03", "CR alone", [stream(WHOLE.replace(b"\n", b"\r"))], text="hi", usage=(3, 2)),
    Shape("D04", "a byte order mark", [stream(b"\xef\xbb\xbf" + WHOLE)], text="hi"),
    Shape("D05a", "comments", [stream(b": OPENROUTER PROCESSING\n\n", 0.02, b": ping\n\n" + WHOLE)], text="hi"),
    Shape("D06", "a comment as data", [stream(b"data: : OPENROUTER PROCESSING\n\n" + HI + STOP + DONE)], text="hi"),
    Shape("D07", "data: null", [stream(b"data: null\n\n" + HI + b"data: null\n\n" + STOP + DONE)], text="hi"),
    Shape("D08a", "data: []", [stream(b"data: []\n\n" + HI + STOP + DONE)], text="hi"),
    Shape("D09a", "data: {}", [stream(b"data: {}\n\n" + HI + b"data: {}\n\n" + STOP + DONE)], text="hi"),
    Shape("D09b", "no choices", [stream(event({"id": "x", "object": "chunk"}) + HI + STOP + DONE)], text="hi"),
    Shape(
        "D10",
        "one event in two lines",
        [stream(b'data: {"choices":\ndata: [{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n' + DONE)],
        text="hi",
    ),
    Shape("D11", "other fields", [stream(b"retry: 10\nid: 1\nevent: message\n" + HI + STOP + DONE)], text="hi"),
    Shape(
        "D13",
        "one byte a read",
        [stream(said("né€😀") + STOP + USAGE + DONE, is_cut_small=True)],
        text="né€😀",
        usage=(3, 2),
    ),
    Shape(
        "D14",
        "no UTF-8",
        [stream(b'data: {"choices":[{"index":0,"delta":{"content":"h\xffi"}}]}\n\n' + STOP + DONE)],
        text="h\ufffdi",
    ),
    Shape(
        "D15",
        "a character in two chunks",
        [
            stream(
                b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}\n\n'
                b'data: {"choices":[{"index":0,"delta":{"content":"\\ude00"}}]}\n\n' + STOP + DONE
            )
        ],
        text="😀",
    ),
    Shape("D16", "2 MB in one event", [stream(said(XS) + STOP + DONE)], text=XS),
    Shape("D17a", "the last line has no end", [stream(HI + STOP.rstrip())], text="hi"),
    Shape("D18", "a chunk after [DONE]", [stream(WHOLE + said(" late"))], text="hi"),
    Shape("D19", "no [DONE]", [stream(HI + STOP + USAGE)], text="hi", usage=(3, 2)),
    Shape("D20", "left open", [stream(HI + STOP + USAGE, "hang")], text="hi", usage=(3, 2), within_s=5),
    Shape("D20b", "left open without usage", [stream(HI + STOP, "hang")], text="hi", within_s=10),
    Shape("D21", "[DONE] without a reason", [stream(HI + DONE)], "failed", text="hi"),
    Shape(
        "D22", "an engine crash", [stream(said("half of") + said(" an ans") + DONE)], "failed", text="half of an ans"
    ),
]

WHOLES = [
    Shape(
        "D23a",
        "an error with status 200",
        [reply_json({"error": {"message": "slow down d23a", "code": 429}})],
        "failed",
        http=429,
        code="rate_limit_exceeded",
        tries=(1, 1),
        logged="d23a",
    ),
    Shape(
        "D23b",
        "502 with status 200, then well",
        [reply_json({"error": {"message": "Bad gateway", "code": 502}}), GOOD],
        text="hi",
        tries=(2, 3),
    ),
    Shape(
        "D23c",
        "an error of the input with status 200",
        [reply_json({"error": {"message": "no", "code": 400, "type": "BadRequestError"}})],
        "failed",
        http=400,
        code="invalid_prompt",
        tries=(1, 1),
    ),
    Shape("D24a", "a whole completion", [reply_json(WHOLE_COMPLETION)], text="hi", usage=(3, 2)),
    Shape(
        "D24b",
        "a whole completion, printed over many lines",
        [Reply([json.dumps(WHOLE_COMPLETION, indent=2).encode()], headers=JSON)],
        text="hi",
        usage=(3, 2),
    ),
    Shape(
        "D25",
        "HTML",
        [Reply([b"<html><body>Bad gateway</body></html>\n"], headers={"content-type": "text/html"})],
        "failed",
    ),
    Shape("D26a", "an empty body", [stream()], "failed"),
]
