"""The output items of a response: how pieces fill them, and their JSON.

The pieces of a reply make, in this order: a reasoning item (summary, then text), a message (text or a refusal), and one
item for each call.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from standin.chat_completions.request import Call
from standin.delivery.logprobs import compose_logprob
from standin.delivery.pieces import Part, Piece, Reply
from standin.responses.sealing import seal

Status = Literal["in_progress", "completed", "incomplete"]
Kind = Literal["reasoning", "message", "function_call", "custom_tool_call"]

_KINDS: dict[Part, Kind] = {
    "summary": "reasoning",
    "reasoning_content": "reasoning",
    "content": "message",
    "refusal": "message",
    "tool_calls": "function_call",
}
FINISHED = ("stop", "tool_calls")
_PREFIXES: dict[Kind, str] = {"reasoning": "rs", "message": "msg", "function_call": "fc", "custom_tool_call": "ctc"}


EMPTY_PIECE = Piece("content", "")  # an answer without pieces is an empty message


class Options(msgspec.Struct, frozen=True):
    """What a client asked for. `top` is the number of alternatives; None when no log probabilities are wanted."""

    seals_reasoning: bool = False
    top: int | None = None
    namespaces: Mapping[str, str] = {}
    """The namespace of each tool that is in one."""


class OutputItem:
    """One item. Its texts grow piece by piece; the arguments of a call are known from the start."""

    def __init__(self, kind: Kind, item_id: str, index: int, call: Call | None, options: Options) -> None:
        self.kind, self.id, self.index = kind, item_id, index
        self.pieces: dict[Part, list[Piece]] = {}
        self._call, self._options = call, options

    def get_text(self, part: Part) -> str:
        """The text of a part so far."""
        return "".join(piece.text for piece in self.pieces.get(part, ()))

    @property
    def lacks_arguments(self) -> bool:
        """Whether this is a call whose arguments are not complete."""
        return self._call is not None and self.get_text("tool_calls") != self._call.function.arguments

    def compose_part(self, part: Part) -> dict[str, Any]:
        """The part as it is now."""
        text = self.get_text(part)
        match part:
            case "content":
                logprobs = self.compose_logprobs(self.pieces.get(part, ()))
                return {"type": "output_text", "annotations": [], "logprobs": logprobs, "text": text}
            case "refusal":
                return {"type": "refusal", "refusal": text}
            case "summary":
                return {"type": "summary_text", "text": text}
        return {"type": "reasoning_text", "text": text}

    def compose_logprobs(self, pieces: Iterable[Piece]) -> list[dict[str, Any]]:
        """The log probabilities of the pieces, if requested."""
        top = self._options.top
        return [] if top is None else [compose_logprob(piece.text, top) for piece in pieces]

    def compose(self, status: Status) -> dict[str, Any]:
        """The item as it is now."""
        head = {"id": self.id, "type": self.kind}
        if self._call is not None:
            return {**head, "status": status, **self._compose_call(self._call)}
        parts = {part: self.compose_part(part) for part in self.pieces}
        if self.kind == "reasoning":
            return {**head, **self._compose_thoughts(parts, status)}
        return {**head, "status": status, "content": list(parts.values()), "role": "assistant"}

    def _compose_call(self, call: Call) -> dict[str, Any]:
        name = call.function.name
        written = "input" if self.kind == "custom_tool_call" else "arguments"
        namespaces = self._options.namespaces
        inside = {"namespace": namespaces[name]} if name in namespaces else {}
        return {written: self.get_text("tool_calls"), "call_id": call.id, "name": name, **inside}

    def _compose_thoughts(self, parts: dict[Part, dict[str, Any]], status: Status) -> dict[str, Any]:
        """Reasoning has no status, as at OpenAI. It is sealed only when it is complete."""
        thoughts: dict[str, Any] = {"summary": [parts["summary"]] if "summary" in parts else []}
        if "reasoning_content" in parts:
            thoughts["content"] = [parts["reasoning_content"]]
        if self._options.seals_reasoning:
            text = self.get_text("reasoning_content") or self.get_text("summary")
            thoughts["encrypted_content"] = seal(text) if status == "completed" else None
        return thoughts


class Output:
    """The items of one response so far, in order."""

    def __init__(self, reply: Reply, fingerprint: str, options: Options) -> None:
        self.items: list[OutputItem] = []
        self._fingerprint, self._options = fingerprint, options
        self._places: dict[tuple[Kind, int], OutputItem] = {}
        pieces = reply.pieces or [EMPTY_PIECE]
        self._pieces_left = Counter((_KINDS[piece.part], piece.place) for piece in pieces)
        self._last = None if reply.finish in FINISHED else (_KINDS[pieces[-1].part], pieces[-1].place)

    def find(self, piece: Piece) -> OutputItem | None:
        """The item of a piece; None when it is not open yet."""
        return self._places.get((_KINDS[piece.part], piece.place))

    def open(self, piece: Piece) -> OutputItem:
        """Open the item of a piece, without the piece."""
        call = piece.opens_call
        kind: Kind = "custom_tool_call" if call and call.type == "custom" else _KINDS[piece.part]
        place = f"{piece.place:02d}" if call else ""
        item_id = f"{_PREFIXES[kind]}_{self._fingerprint}{place}"
        item = OutputItem(kind, item_id, len(self.items), call, self._options)
        self._places[_KINDS[piece.part], piece.place] = item
        self.items.append(item)
        return item

    def add(self, pieces: Sequence[Piece]) -> OutputItem:
        """Add pieces of one part to their item, which is opened if needed."""
        item = self.find(pieces[0]) or self.open(pieces[0])
        item.pieces.setdefault(pieces[0].part, []).extend(pieces)
        self._pieces_left[_KINDS[pieces[0].part], pieces[0].place] -= len(pieces)
        return item

    def is_done(self, item: OutputItem) -> bool:
        """Whether all pieces of an item have come."""
        return not any(self._pieces_left[name] for name, one in self._places.items() if one is item)

    def get_status(self, item: OutputItem) -> Status:
        """An item's final status: incomplete when pieces are missing, or last in an unfinished answer."""
        is_broken = self._last is not None and self._places.get(self._last) is item
        return "completed" if self.is_done(item) and not is_broken and not item.lacks_arguments else "incomplete"

    def compose(self) -> list[dict[str, Any]]:
        """All items with their final status."""
        return [item.compose(self.get_status(item)) for item in self.items]
