"""Writes the events of output items: opened, filled and closed, each with its number in the stream.

A delta is put together from prepared halves, because a benchmark asks for millions of them.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from standin.delivery.pieces import Part, Piece
from standin.responses.output_items import OutputItem, Status


class _Names(msgspec.Struct, frozen=True):
    """How events speak of a part: the stems of their types, and their names for its place and its text."""

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
_ARGUMENTS = "function_call_arguments"


class ItemEvents:
    """Writes events; numbers rise from 0."""

    def __init__(self) -> None:
        self._number = 0
        self._deltas: dict[tuple[int, Part], tuple[bytes, bytes]] = {}

    def write(self, kind: str, **fields: Any) -> bytes:
        """One event."""
        return self._frame(*_split(kind), orjson.dumps(fields)[1:])

    def open_item(self, item: OutputItem) -> bytes:
        """An item appears, empty."""
        return self.write("response.output_item.added", output_index=item.index, item=item.compose("in_progress"))

    def open_part(self, item: OutputItem, part: Part) -> bytes:
        """A part of an item appears, empty; a call has none."""
        if part not in _NAMES:
            return b""
        return self._write_part(item, part, "added")

    def write_delta(self, item: OutputItem, pieces: Sequence[Piece]) -> bytes:
        """A part grows; what opens_call a call brings no text."""
        first = pieces[0]
        if first.opens_call is not None:
            return b""
        text = first.text if len(pieces) == 1 else "".join(piece.text for piece in pieces)
        head, middle = self._deltas.get((item.index, first.part)) or self._prepare_delta(item, first.part)
        likely = item.compose_logprobs(pieces) if first.part == "content" else []
        logprobs = b',"logprobs":' + orjson.dumps(likely) if first.part == "content" else b""
        return self._frame(head, middle, orjson.dumps(text) + logprobs + b"}")

    def close_part(self, item: OutputItem, part: Part) -> bytes:
        """A part of an item, or the arguments of a call, are all there."""
        text = item.get_text(part)
        if part == "tool_calls":
            return self.write(f"response.{_ARGUMENTS}.done", **_place(item, part), arguments=text)
        names = _NAMES[part]
        likely = {"logprobs": item.compose_logprobs(item.pieces[part])} if part == "content" else {}
        done = self.write(f"response.{names.text}.done", **_place(item, part), **likely, **{names.field: text})
        return done + self._write_part(item, part, "done")

    def close_item(self, item: OutputItem, status: Status) -> bytes:
        """An item is all there, with its last part; or this is all there will be of it."""
        parts = list(item.pieces)
        closing = self.close_part(item, parts[-1]) if parts else b""
        return closing + self.write("response.output_item.done", output_index=item.index, item=item.compose(status))

    def _write_part(self, item: OutputItem, part: Part, what: str) -> bytes:
        names = _NAMES[part]
        return self.write(f"response.{names.part}.{what}", **_place(item, part), part=item.compose_part(part))

    def _prepare_delta(self, item: OutputItem, part: Part) -> tuple[bytes, bytes]:
        """The halves of the deltas of a part: before the number, and after it up to the text."""
        head, middle = _split(f"response.{_NAMES[part].text if part in _NAMES else _ARGUMENTS}.delta")
        halves = (head, middle + orjson.dumps(_place(item, part))[1:-1] + b',"delta":')
        self._deltas[item.index, part] = halves
        return halves

    def _frame(self, head: bytes, middle: bytes, rest: bytes) -> bytes:
        number, self._number = self._number, self._number + 1
        return head + b"%d" % number + middle + rest + b"\n\n"


def _split(kind: str) -> tuple[bytes, bytes]:
    """What is before the number of an event, and what is between it and the fields."""
    return f'event: {kind}\ndata: {{"type":"{kind}","sequence_number":'.encode(), b","


def _place(item: OutputItem, part: Part) -> dict[str, Any]:
    """Where a part is; its index is 0, because an item has at most one part of a kind."""
    place = {"item_id": item.id, "output_index": item.index}
    return {**place, _NAMES[part].place: 0} if part in _NAMES else place
