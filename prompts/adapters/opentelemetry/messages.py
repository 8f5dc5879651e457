"""What is said to a model and by it, as attributes of spans hold it, for those who ask for that.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/#recording-content-on-attributes
"""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec

from prompts.domain.item_kinds import ITEM_KINDS, Body
from prompts.domain.items import InputFile, InputImage, Item, ReasoningText, SummaryText, words_of
from prompts.domain.signals import Argued, Called, CalledTool, Finished, Refused, Signal, Summarized, Text, Thought

_encode = msgspec.json.Encoder().encode
_ROLES = {"model": "assistant", "person": "user", "program": "system"}


def write_input(items: Sequence[Item]) -> str:
    """The items as JSON; of images and files only that they were there."""
    return _encode(list(_write_items(items))).decode()


class Said:
    """What a model has said so far."""

    def __init__(self, shown: str) -> None:
        """`shown` is what of the answer was said before, by an earlier call."""
        self._text: list[str] = [shown] if shown else []
        self._thoughts: list[str] = []
        self._calls: dict[int, tuple[Called | CalledTool, list[str]]] = {}
        self._reason: str | None = None

    def hear(self, signals: Sequence[Signal]) -> None:
        """The model has said this, too."""
        for signal in signals:
            match signal:
                case Text(text) | Refused(text):
                    self._text.append(text)
                case Thought(text) | Summarized(text):
                    self._thoughts.append(text)
                case Called(index) | CalledTool(index):
                    self._calls[index] = (signal, [])
                case Argued(index, text):
                    self._calls[index][1].append(text)
                case Finished(reason):
                    self._reason = reason

    def write(self) -> str:
        """One message, as JSON."""
        parts: list[dict[str, Any]] = []
        if self._thoughts:
            parts.append({"type": "reasoning", "content": "".join(self._thoughts)})
        if self._text:
            parts.append({"type": "text", "content": "".join(self._text)})
        parts += [_write_call(call.call_id, call.name, "".join(pieces)) for call, pieces in self._calls.values()]
        message: dict[str, Any] = {"role": "assistant", "parts": parts}
        if self._reason is not None:
            message["finish_reason"] = "tool_call" if self._calls and self._reason == "stop" else self._reason
        return _encode([message]).decode()


def _write_items(items: Sequence[Item]) -> Iterator[dict[str, Any]]:
    for item in cast(Sequence[Any], items):
        kind = ITEM_KINDS[type(item)]
        body = kind.body(item)
        if kind.pairing == "call":
            arguments = body if isinstance(body, str) else ""
            yield {"role": "assistant", "parts": [_write_call(item.call_id, kind.name(item), arguments)]}
        elif kind.pairing == "output":
            response = body if isinstance(body, str) else _write_body(body)
            yield {"role": "tool", "parts": [{"type": "tool_call_response", "id": item.call_id, "response": response}]}
        elif body is not None:
            speaker = kind.said_by if isinstance(kind.said_by, str) else kind.said_by(item)
            yield {"role": _ROLES[speaker], "parts": _write_body(body)}


def _write_body(body: Body | None) -> list[dict[str, Any]]:
    if body is None:
        return []
    if isinstance(body, str):
        return [{"type": "text", "content": body}]
    return [_write_part(part) for part in body]


def _write_part(part: Any) -> dict[str, Any]:
    match part:
        case InputImage():
            return {"type": "image"}
        case InputFile(filename=name):
            return {"type": "file", "name": name}
        case ReasoningText() | SummaryText():
            return {"type": "reasoning", "content": part.text}
    return {"type": "text", "content": words_of(part)}


def _write_call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}
