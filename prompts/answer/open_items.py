"""Output items while they are being said: each knows its events, from `output_item.added` to `output_item.done`.

Every method gives the events it causes as `(type, fields)`; the sequence numbers are the narration's to give.

An item may be told from its middle on: it is made from its outline (`prompts/domain/waypoints.py`), and it lacks its
beginning until that is told to it: with `rewind`, `take` and `catch_up`, or at the end of the answer with `recall`.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self, TypeAlias

import msgspec

from prompts.answer.pieces import Pieces
from prompts.domain.ids import COMPACTION, MESSAGE, output_item_id
from prompts.domain.items import (
    Compaction,
    Item,
    ItemStatus,
    Logprob,
    Message,
    OutputText,
    Part,
    Phase,
    ReasoningText,
    Refusal,
    words_of,
)
from prompts.domain.signals import Refused, Signal, Text
from prompts.domain.waypoints import CompactionOutline, MessageOutline, Outline

Happening: TypeAlias = tuple[str, dict[str, Any]]
Happenings: TypeAlias = Iterator[Happening]

encode = msgspec.json.Encoder().encode


class OpenItem:
    """One output item that is not done."""

    kind: str

    def __init__(self, response_id: str, output_index: int) -> None:
        self.id = output_item_id(self.kind, response_id, output_index)
        self.output_index = output_index
        self.response_id = response_id
        self.is_said = False
        """Whether the model is through with it, and it only waits for those before it."""
        self.lacks_beginning = False
        """Whether it is told from its middle on, and what was said before is not here."""
        self._pieces = Pieces()
        """What is being said, as it came."""
        self._later = Pieces()
        """What was said behind the beginning, while that is taken in."""
        self._ended: Item | None = None
        """The item as it was stored at the end of the answer, when it had to be recalled."""

    def build(self, status: ItemStatus) -> Item:
        """The item with what was said so far."""
        raise NotImplementedError

    def add(self) -> Happenings:
        """The events with which the item begins."""
        yield "response.output_item.added", {"output_index": self.output_index, "item": self.build("in_progress")}

    def close(self, status: ItemStatus) -> Happenings:
        """The events with which the item ends."""
        yield from self.close_part()
        item = self._ended or self.build(status)
        yield "response.output_item.done", {"output_index": self.output_index, "item": item}

    def close_part(self) -> Happenings:
        """The events with which its current part ends."""
        raise NotImplementedError

    def draw_outline(self) -> Outline | None:
        """What it takes to go on telling it; None when it must be told from its beginning."""
        raise NotImplementedError

    def rewind(self) -> None:
        """Make ready to `take` what was said before the telling went on."""
        self._later, self._pieces = self._pieces, Pieces()

    def take(self, signal: Signal) -> None:
        """Take in what was said, without telling it; what is not the item's is left out."""
        raise NotImplementedError

    def catch_up(self) -> None:
        """Go on, behind what has been taken in."""
        later, self._later = self._later, Pieces()
        self._pieces.extend(later)
        self.lacks_beginning = False

    def recall(self, ended: Item) -> None:
        """Take what was said before from the item as it ended. Nothing but `close` may follow."""
        self._ended = ended
        self.lacks_beginning = False

    def judge(self, *, is_last: bool) -> ItemStatus:
        """Its status when the answer ends early; `is_last`: it is the last open item, which was cut off."""
        return "completed" if self.is_said else "incomplete"

    @property
    def _place(self) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self.output_index}

    def _describe(self, place: dict[str, Any], part: Part | ReasoningText) -> dict[str, Any]:
        """What a `content_part` event says; clients of OGX read the response's id in it."""
        return {"response_id": self.response_id, **place, "part": part}


class OpenMessage(OpenItem):
    """A message: parts of text and refusal, one at a time."""

    kind = MESSAGE

    def __init__(self, response_id: str, output_index: int, phase: Phase | None = None) -> None:
        super().__init__(response_id, output_index)
        self.phase = phase
        self._closed: list[Part] = []
        self._part_kind: Literal["output_text", "refusal"] | None = None
        self._logprobs: list[Logprob] = []
        self._annotations: list[Any] = []
        self._later_logprobs: list[Logprob] = []
        self.is_saying_text = False
        """Whether more text continues the current part."""
        self.delta_name = ""
        """The type of the events that say more of the current part."""
        self._delta = self._plain_delta = b""
        """The event with and without log probabilities: what is the same in each, and places for what is not."""

    @classmethod
    def resume(cls, response_id: str, outline: MessageOutline) -> Self:
        """The message from its middle on."""
        message = cls(response_id, outline.output_index, outline.phase)
        message.lacks_beginning = True
        message._closed = [OutputText("")] * outline.closed_parts  # as many: their texts come later
        if outline.part:
            message._open_part(outline.part)
        return message

    def draw_outline(self) -> Outline:
        """See `OpenItem`."""
        return MessageOutline(self.output_index, self.phase, self._part_kind, len(self._closed))

    def goes_on_with(self, signal: Signal) -> bool:
        """Whether it is more of the part that is being said."""
        match signal:
            case Text():
                return self._part_kind == "output_text"
            case Refused():
                return self._part_kind == "refusal"
        return False

    def is_own(self, signal: Signal) -> bool:
        """Whether it is said of a message."""
        return isinstance(signal, (Text, Refused))

    def rewind(self) -> None:
        """See `OpenItem`."""
        super().rewind()
        self._closed, self._part_kind, self.is_saying_text = [], None, False
        self._later_logprobs, self._logprobs = self._logprobs, []

    def take(self, signal: Signal) -> None:
        """See `OpenItem`."""
        if isinstance(signal, (Text, Refused)):
            if not self.goes_on_with(signal):
                deque(self.turn_to(signal), maxlen=0)
            self.keep(signal)

    def catch_up(self) -> None:
        """See `OpenItem`."""
        super().catch_up()
        later, self._later_logprobs = self._later_logprobs, []
        self._logprobs += later

    def recall(self, ended: Item) -> None:
        """See `OpenItem`."""
        super().recall(ended)
        if isinstance(ended, Message) and self._part_kind:
            part = ended.content[-1]
            self._pieces = Pieces([words_of(part)])
            self._logprobs = part.logprobs if isinstance(part, OutputText) else []

    @property
    def open_text(self) -> Pieces | None:
        """The text so far, in pieces; None when it cannot be continued."""
        return None if self._closed or self._part_kind == "refusal" else self._pieces

    def build(self, status: ItemStatus) -> Item:
        """See `OpenItem`."""
        content = [*self._closed, self._part()] if self._has_begun else [*self._closed]
        phase = self.phase or msgspec.UNSET
        return Message(id=self.id, status=status, role="assistant", content=content, phase=phase)

    def turn_to(self, signal: Text | Refused) -> Happenings:
        """Begin a new part when the kind of text changes."""
        part_kind: Literal["output_text", "refusal"] = "output_text" if isinstance(signal, Text) else "refusal"
        if part_kind == self._part_kind:
            return
        yield from self.close_part()
        self._open_part(part_kind)
        yield "response.content_part.added", self._describe(self._place, self._part())

    def _open_part(self, part_kind: Literal["output_text", "refusal"]) -> None:
        self._part_kind = part_kind
        place = b'"item_id":%b,"output_index":%d,"content_index":%d,' % (
            encode(self.id),
            self.output_index,
            len(self._closed),
        )
        self.is_saying_text = part_kind == "output_text"
        self.delta_name = f"response.{part_kind}.delta"
        head = b'{"type":"%b","sequence_number":%%d,%b"delta":%%b' % (self.delta_name.encode(), place)
        self._delta = head + b',"logprobs":%b}'
        self._plain_delta = head + (b',"logprobs":[]}' if self.is_saying_text else b"}")

    def say(self, number: int, signal: Text | Refused) -> bytes:
        """The JSON of the delta event of this number. The hot path."""
        if type(signal) is Text and signal.logprobs:
            self.keep(signal)
            return self._delta % (number, encode(signal.text), encode(signal.logprobs))
        self._pieces.append(signal.text)
        return self._plain_delta % (number, encode(signal.text))

    def keep(self, signal: Text | Refused) -> None:
        """Take it in without a word."""
        self._pieces.append(signal.text)
        if type(signal) is Text and signal.logprobs:
            self._logprobs += signal.logprobs

    def annotate(self, annotations: Sequence[Any]) -> Happenings:
        """What is noted beside the text, where it stands now."""
        for annotation in annotations:
            place = {**self._place, "annotation_index": len(self._annotations)}
            self._annotations.append(annotation)
            yield "response.output_text.annotation.added", {**place, "annotation": annotation}

    def close_part(self) -> Happenings:
        """See `OpenItem`."""
        if self._part_kind is None:
            return
        place, part = self._place, self._part()
        if isinstance(part, Refusal):
            yield "response.refusal.done", {**place, "refusal": part.refusal}
        else:
            yield "response.output_text.done", {**place, "text": part.text, "logprobs": part.logprobs}
        yield "response.content_part.done", self._describe(place, part)
        self._closed.append(part)
        self._part_kind, self._pieces, self._logprobs, self._annotations = None, Pieces(), [], []
        self.is_saying_text = False

    @property
    def _has_begun(self) -> bool:
        """Whether there is something of the current part."""
        return bool(self._pieces)

    def _part(self) -> OutputText | Refusal:
        text = "".join(self._pieces)
        return Refusal(text) if self._part_kind == "refusal" else OutputText(text, self._annotations, self._logprobs)

    @property
    def _place(self) -> dict[str, Any]:
        return {**super()._place, "content_index": len(self._closed)}


class OpenCompaction(OpenItem):
    """A compaction: it arrives whole, and waits only for the items before it."""

    kind = COMPACTION

    def __init__(self, response_id: str, output_index: int, encrypted_content: str) -> None:
        super().__init__(response_id, output_index)
        self._encrypted_content = encrypted_content

    @classmethod
    def resume(cls, response_id: str, outline: CompactionOutline) -> Self:
        """The compaction, of which nothing is here; it comes with the end."""
        compaction = cls(response_id, outline.output_index, "")
        compaction.lacks_beginning = True
        return compaction

    def draw_outline(self) -> Outline:
        """See `OpenItem`."""
        return CompactionOutline(self.output_index)

    def build(self, status: ItemStatus) -> Item:
        """See `OpenItem`."""
        return Compaction(self.id, self._encrypted_content)

    def close_part(self) -> Happenings:
        """See `OpenItem`."""
        yield from ()
