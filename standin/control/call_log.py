"""Logs every call to the model and how it ended, for tests to read.

Keeps the newest 10,000 calls, or as many as fit in 64 MB of request bodies. Bodies are kept as they came.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from standin.json_body import MALFORMED

_MAX_CALLS = 10_000
_MAX_BODY_BYTES = 64 * 1024 * 1024  # a benchmark with long histories must not fill the memory

Outcome = Literal["running", "finished", "disconnected", "failed"]


@dataclass(slots=True)
class LoggedCall:
    """One request to the model's API. Its outcome is "failed" also when a tester asked for the failure."""

    index: int
    path: str
    body: bytes
    authorization_sha256: str | None
    traceparent: str | None
    started_at: float = field(default_factory=time.time)
    ended_at: float | None = None
    outcome: Outcome = "running"
    tokens_sent: int = 0


class CallLog:
    """The calls of this process, oldest first. Indexes keep rising after calls were forgotten."""

    def __init__(self) -> None:
        self._calls: deque[LoggedCall] = deque()
        self._next_index = self._body_bytes = self._active = 0
        self._changed = asyncio.Event()

    @property
    def active(self) -> int:
        """How many calls are being answered now."""
        return self._active

    def begin(self, path: str, body: bytes, *, authorization_sha256: str | None, traceparent: str | None) -> LoggedCall:
        """Log a new call. `end` must follow."""
        call = LoggedCall(self._next_index, path, body, authorization_sha256, traceparent)
        self._next_index += 1
        self._calls.append(call)
        self._body_bytes += len(body)
        while len(self._calls) > _MAX_CALLS or self._body_bytes > _MAX_BODY_BYTES:
            self._body_bytes -= len(self._calls.popleft().body)
        self._change_active(1)
        return call

    def end(self, call: LoggedCall, outcome: Outcome) -> None:
        """Log how a call ended. Only the first time counts."""
        if call.ended_at is None:
            call.outcome, call.ended_at = outcome, time.time()
            self._change_active(-1)

    def list_since(self, index: int) -> list[dict[str, object]]:
        """The calls from an index on, as JSON has them."""
        return [_describe(call) for call in self._calls if call.index >= index]

    def forget(self) -> None:
        """Forget all calls. Those that still run keep counting as active."""
        self._calls.clear()
        self._body_bytes = 0

    async def wait_for_active(self, count: int) -> None:
        """Return when exactly this many calls are active."""
        while self._active != count:
            await self._changed.wait()

    def _change_active(self, by: int) -> None:
        self._active += by
        self._changed.set()
        self._changed = asyncio.Event()


def _describe(call: LoggedCall) -> dict[str, object]:
    body = _decode(call.body)
    fields = body if isinstance(body, dict) else {}
    return {
        "index": call.index,
        "path": call.path,
        "model": fields.get("model"),
        "stream": bool(fields.get("stream")),
        "messages": fields.get("messages"),
        "body": body,
        "authorization_sha256": call.authorization_sha256,
        "traceparent": call.traceparent,
        "started_at": call.started_at,
        "ended_at": call.ended_at,
        "outcome": call.outcome,
        "tokens_sent": call.tokens_sent,
    }


def _decode(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except MALFORMED:
        return None
