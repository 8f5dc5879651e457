"""One shape of what a model's server sends, and the words to write it with."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.support.raw_model import Reply, Step, reply_json

Usage = tuple[int, int]


@dataclass(frozen=True)
class Shape:
    """One shape: the replies of the server, what was asked beside a question, and what must come of it.

    `code` and `http` are those of a failure before anything was shown; `tries` how often the server may be asked;
    `check` looks at the bodies it was asked with.
    """

    id: str
    what: str
    replies: Sequence[Reply | Callable[[Any], Reply]]
    status: Literal["completed", "incomplete", "failed"] = "completed"
    text: str = ""
    thought: str = ""
    calls: Sequence[tuple[str, str]] = ()
    usage: Usage | None = None
    reason: str | None = None
    http: int = 502
    code: str = "upstream_error"
    retry_after_s: int | None = None
    tries: tuple[int, int] | None = None
    within_s: float | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[[Sequence[Any]], None] = lambda _: None
    logged: str = ""
    """Words of the server's that the log must have, and no client may see."""


def event(value: Any) -> bytes:
    """An event on the wire."""
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def chunk(delta: Any = None, *, finish: Any = None, **fields: Any) -> bytes:
    """A chunk with this delta."""
    return event(
        {"choices": [{"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}], **fields}
    )


def said(text: Any, **fields: Any) -> bytes:
    """A chunk that says something."""
    return chunk({"content": text, **fields})


def ended(reason: Any) -> bytes:
    """A chunk that ends the answer."""
    return chunk(finish=reason)


def called(*calls: Mapping[str, Any]) -> bytes:
    """A chunk with these entries of `tool_calls`."""
    return chunk({"tool_calls": [*calls]})


def call(call_id: str | None, name: str | None, arguments: Any, **fields: Any) -> dict[str, Any]:
    """One entry of `tool_calls`, without what is None."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    named = {} if call_id is None else {"id": call_id, "type": "function"}
    return {"index": 0, **named, "function": function, **fields}


HI = said("hi")
STOP = ended("stop")
CALLED = ended("tool_calls")
COUNTED = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
USAGE = event({"id": "x", "choices": [], "usage": COUNTED})
DONE = b"data: [DONE]\n\n"
WHOLE = HI + STOP + USAGE + DONE


def stream(*steps: Step, **fields: Any) -> Reply:
    """A stream of these steps."""
    return Reply(steps, **fields)


GOOD = stream(WHOLE)


def refuse(status: int, message: str, *, code: str | None = None, param: str | None = None, **headers: str) -> Reply:
    """An error as OpenAI writes it."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return reply_json({"error": error}, status, **headers)


def refuse_field(name: str, status: int, message: Any) -> Callable[[Any], Reply]:
    """A server that knows no such field."""
    return lambda body: reply_json(message, status) if name in body else GOOD
