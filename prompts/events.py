"""What happens to a response: the signals a run writes down, and the state machine that turns them into events.

A run stores *signals*, the smallest account of what happened (text, refusal, end). Events are never stored:
`Narration` rebuilds them from the signals, byte for byte, on any replica and for any reader, because everything in them
follows from the response's echo and the signals before. That is what makes a log small, and a second reader see what
the first one saw.

    opening         response.created · response.in_progress
    Text            [output_item.added · content_part.added ·] output_text.delta
    Refused         [output_item.added · content_part.added ·] refusal.delta
    closing         output_text.done · content_part.done · output_item.done · response.completed | .incomplete | .failed

Sequence numbers start at 0 and have no gaps; exactly one terminal event ends the sequence (API.md, "Server-sent
events").
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from prompts.domain import (
    IncompleteDetails,
    ItemStatus,
    Message,
    OutputText,
    Part,
    Refusal,
    Response,
    ResponseError,
    Usage,
)
from prompts.ids import MESSAGE, output_item_id

encode = msgspec.json.Encoder().encode


class Text(Struct, frozen=True, array_like=True, tag="t"):
    """The model wrote some more text."""

    text: str


class Refused(Struct, frozen=True, array_like=True, tag="r"):
    """The model wrote some more of its refusal."""

    text: str


class Finished(Struct, frozen=True, array_like=True, tag="f"):
    """The model came to an end of its own: `stop`, `length` or `content_filter`."""

    reason: Literal["stop", "length", "content_filter"]
    usage: Usage | None = None


Signal: TypeAlias = Text | Refused | Finished


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a response: its type, its place in the sequence, and its JSON as it goes on the wire."""

    type: str
    sequence_number: int
    data: bytes


def pack(signals: Sequence[Signal]) -> bytes:
    """The signals as a log holds them: a JSON array, text as it is, since nearly all of it is text."""
    return encode([signal.text if type(signal) is Text else signal for signal in signals])


def unpack(packed: bytes) -> list[Signal]:
    """What `pack` was given."""
    return [Text(entry) if isinstance(entry, str) else entry for entry in _decode_packed(packed)]


# Not in a union with str: msgspec tells array-like structs apart by their tag, and text by being none.
_decode_packed = msgspec.json.Decoder(list[str | Refused | Finished]).decode

TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})

_INCOMPLETE_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(slots=True)
class Narration:
    """The state of one telling: what has been said so far, and the number of the next event.

    `response` is the response as it was created (status `in_progress`, no output).
    """

    response: Response
    next_number: int = 0
    _closed_parts: list[Part] = field(default_factory=list)
    _kind: Literal["output_text", "refusal"] | None = None
    _pieces: list[str] = field(default_factory=list)
    _delta_head: bytes = b""

    def opening(self) -> list[Event]:
        """What is on the wire before the model has said anything; a background response begins as `queued`."""
        if not self.response.background:
            names = ("response.created", "response.in_progress")
            return [self._event(name, response=self.response) for name in names]
        queued = replace(self.response, status="queued")
        return [
            self._event("response.created", response=queued),
            self._event("response.queued", response=queued),
            self._event("response.in_progress", response=self.response),
        ]

    def tell(self, signals: Iterable[Signal]) -> list[Event]:
        """The events of some more text; a `Finished` signal says nothing until `closing`."""
        events: list[Event] = []
        for signal in signals:
            match signal:
                case Text(text):
                    events += self._delta("output_text", text)
                case Refused(text):
                    events += self._delta("refusal", text)
                case Finished():
                    pass
        return events

    def end(self, *, completed_at: int, finished: Finished | None, error: ResponseError | None = None) -> Response:
        """The response as it ends here: `completed`, `incomplete`, with an error `failed`, with neither `cancelled`."""
        reason = _INCOMPLETE_REASONS.get(finished.reason) if finished else None
        status: Literal["completed", "incomplete", "failed", "cancelled"]
        status = "failed" if error else "cancelled" if not finished else "incomplete" if reason else "completed"
        return replace(
            self.response,
            status=status,
            completed_at=completed_at if status == "completed" else None,
            incomplete_details=IncompleteDetails(reason) if reason and not error else None,
            output=[self._item("completed" if status == "completed" else "incomplete")] if self._kind else [],
            usage=finished.usage if finished else None,
            error=error,
        )

    def find_open_text(self) -> list[str] | None:
        """The answer so far, in the pieces it came in, when it is plain text that can go on; None when it is not."""
        if self._kind == "refusal" or self._closed_parts:
            return None
        return self._pieces

    def closing(self, ended: Response, result: bytes) -> list[Event]:
        """The last events, of which the terminal one carries `result`, the ended response's stored JSON, as it is."""
        events = self._close(ended.output[0].status) if ended.output else []
        name = f"response.{ended.status}" if ended.status != "cancelled" else "response.incomplete"
        number = self._take_number()
        head = b'{"type":"%b","sequence_number":%d,"response":' % (name.encode(), number)
        return [*events, Event(name, number, b"".join((head, result, b"}")))]

    def _delta(self, kind: Literal["output_text", "refusal"], text: str) -> list[Event]:
        events = self._open(kind) if kind != self._kind else []
        self._pieces.append(text)
        number = self._take_number()
        tail = b',"logprobs":[]}' if kind == "output_text" else b"}"
        data = b"".join((self._delta_head % number, encode(text), tail))
        events.append(Event(f"response.{kind}.delta", number, data))
        return events

    def _open(self, kind: Literal["output_text", "refusal"]) -> list[Event]:
        """Begin the item or, when the model turns from one kind of text to the other, the item's next part."""
        if self._kind is None:
            item = Message(id=self._item_id, status="in_progress", role="assistant", content=[])
            events = [self._event("response.output_item.added", output_index=0, item=item)]
        else:
            events = self._close_part()
        self._kind = kind
        place = b'"item_id":%b,"output_index":0,"content_index":%d,' % (encode(self._item_id), len(self._closed_parts))
        self._delta_head = b'{"type":"response.%b.delta","sequence_number":%%d,%b"delta":' % (kind.encode(), place)
        return [*events, self._event("response.content_part.added", **self._place, part=self._part())]

    def _close(self, status: ItemStatus) -> list[Event]:
        events = self._close_part()
        return [*events, self._event("response.output_item.done", output_index=0, item=self._item(status))]

    def _close_part(self) -> list[Event]:
        place, part = self._place, self._part()
        if isinstance(part, Refusal):
            done = self._event("response.refusal.done", **place, refusal=part.refusal)
        else:
            done = self._event("response.output_text.done", **place, text=part.text, logprobs=[])
        closed = [done, self._event("response.content_part.done", **place, part=part)]
        self._closed_parts.append(part)
        self._pieces = []
        return closed

    def _item(self, status: ItemStatus) -> Message:
        open_part = [self._part()] if self._pieces else []
        return Message(id=self._item_id, status=status, role="assistant", content=[*self._closed_parts, *open_part])

    def _part(self) -> OutputText | Refusal:
        text = "".join(self._pieces)
        return Refusal(text) if self._kind == "refusal" else OutputText(text)

    @property
    def _item_id(self) -> str:
        return output_item_id(MESSAGE, self.response.id, 0)

    @property
    def _place(self) -> dict[str, Any]:
        return {"item_id": self._item_id, "output_index": 0, "content_index": len(self._closed_parts)}

    def _event(self, name: str, **fields: Any) -> Event:
        number = self._take_number()
        return Event(name, number, encode({"type": name, "sequence_number": number, **fields}))

    def _take_number(self) -> int:
        number = self.next_number
        self.next_number += 1
        return number
