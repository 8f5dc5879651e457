"""Builds streams of Chat Completions chunk by chunk, and reads them."""

from typing import Any

import msgspec

from prompts.adapters.openai.chat_stream import ChatReading, Interest
from prompts.domain.items import Logprob, TopLogprob
from prompts.domain.signals import Signal


def chunk(content: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk with a choice."""
    return {"choices": [{"index": 0, "delta": {"content": content}, **fields}]}


def frame(value: dict[str, Any]) -> bytes:
    """A chunk as an event on the wire."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


END = frame({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
DONE = b"data: [DONE]\n\n"


def read(*parts: bytes, interest: Interest | None = None) -> list[Signal]:
    """The signals of a whole stream that comes in these parts."""
    reading = ChatReading(interest or Interest())
    signals = [signal for part in parts for signal in reading.feed(part)]
    return signals + reading.finish()


def logprob(token: str) -> dict[str, Any]:
    """A token's log probability as servers send it."""
    option = {"token": token, "logprob": -0.5, "bytes": list(token.encode())}
    return {**option, "top_logprobs": [option]}


def read_logprob(token: str) -> Logprob:
    """The same as the adapter reads it."""
    octets = list(token.encode())
    return Logprob(token, -0.5, octets, [TopLogprob(token, -0.5, octets)])


ALL = Interest(has_thoughts=True, has_logprobs=True)


def delta(**fields: Any) -> bytes:
    """A chunk with this delta."""
    return frame({"choices": [{"delta": fields}]})
