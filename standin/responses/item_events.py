"""Writes the events of output items (opened, filled, closed), numbered through the stream.

A delta is joined from prepared halves, because a benchmark needs millions of deltas.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from standin.delivery.pieces import Part, Piece
from standin.responses.output_items import Kind, OutputItem, Status


class _Names(msgspec.Struct, frozen=True):
    """An item part's event names, and the names of its index and text fields."""

    part: str
    text: str
    place: str = "content_index"
    field: str = "text"


_NAMES: dict[Part, _Names] = {
    "summary": _Names("reasoning_summary_part", "reasoning_summary_text", place="summary_index"),
    "reasoning_content": _Names("content_part", "reasoning_text"),
    "content": _Names("content_part", "output_text"),
    "refusal": _Names("content_part", "refusal", field="refusal"),
}
# What a call's text is called: the event, and its field.
_WRITTEN: dict[Kind, tuple[str, str]] = {
    "function_call": ("function_call_arguments", "arguments"),
    "custom_tool_call": ("custom_tool_call_input", "input"),
}


class ItemEvents:
    """Writes events. Their numbers rise from 0."""

    def __init__(self) -> None:
        self._number = 0
        self._deltas: dict[tuple[int, Part], tuple[bytes, bytes]] = {}

    def write(self, kind: str, **fields: Any) -> bytes:
        """One event."""
        return self._frame(*_split(kind), orjson.dumps(fields)[1:])

    def open_item(self, item: OutputItem) -> bytes:
        """An empty item is added."""
        return self.write("response.output_item.added", output_index=item.index, item=item.compose("in_progress"))

    def open_part(self, item: OutputItem, part: Part) -> bytes:
        """An empty part is added to an item. A call has no parts."""
        if part not in _NAMES:
            return b""
        return self._write_part(item, part, "added")

    def write_delta(self, item: OutputItem, pieces: Sequence[Piece]) -> bytes:
        """A part grows. The piece that opens a call has no text and so no event."""
        first = pieces[0]
        if first.opens_call is not None:
            return b""
        text = first.text if len(pieces) == 1 else "".join(piece.text for piece in pieces)
        head, middle = self._deltas.get((item.index, first.part)) or self._prepare_delta(item, first.part)
        likely = item.compose_logprobs(pieces) if first.part == "content" else []
        logprobs = b',"logprobs":' + orjson.dumps(likely) if first.part == "content" else b""
        return self._frame(head, middle, orjson.dumps(text) + logprobs + b"}")

    def close_part(self, item: OutputItem, part: Part) -> bytes:
        """A part of an item, or the arguments of a call, are complete."""
        text = item.get_text(part)
        if part == "tool_calls":
            event, field = _WRITTEN[item.kind]
            return self.write(f"response.{event}.done", **_place(item, part), **{field: text})
        names = _NAMES[part]
        likely = {"logprobs": item.compose_logprobs(item.pieces[part])} if part == "content" else {}
        done = self.write(f"response.{names.text}.done", **_place(item, part), **likely, **{names.field: text})
        return done + self._write_part(item, part, "done")

    def close_item(self, item: OutputItem, status: Status) -> bytes:
        """An item ends, with its last part."""
        parts = list(item.pieces)
        closing = self.close_part(item, parts[-1]) if parts else b""
        return closing + self.write("response.output_item.done", output_index=item.index, item=item.compose(status))

    def _write_part(self, item: OutputItem, part: Part, what: str) -> bytes:
        names = _NAMES[part]
        return self.write(f"response.{names.part}.{what}", **_place(item, part), part=item.compose_part(part))

    def _prepare_delta(self, item: OutputItem, part: Part) -> tuple[bytes, bytes]:
        """The halves of a part's deltas: before the number, and from there to the text."""
        event = _NAMES[part].text if part in _NAMES else _WRITTEN[item.kind][0]
        head, middle = _split(f"response.{event}.delta")
        halves = (head, middle + orjson.dumps(_place(item, part))[1:-1] + b',"delta":')
        self._deltas[item.index, part] = halves
        return halves

    def _frame(self, head: bytes, middle: bytes, rest: bytes) -> bytes:
        number, self._number = self._number, self._number + 1
        return head + b"%d" % number + middle + rest + b"\n\n"


def _split(kind: str) -> tuple[bytes, bytes]:
    """The bytes before an event's number, and those between it and the fields."""
    return f'event: {kind}\ndata: {{"type":"{kind}","sequence_number":'.encode(), b","


def _place(item: OutputItem, part: Part) -> dict[str, Any]:
    """The fields that locate a part. Its index is 0: an item has at most one part of each kind."""
    place = {"item_id": item.id, "output_index": item.index}
    return {**place, _NAMES[part].place: 0} if part in _NAMES else place
