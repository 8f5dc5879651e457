"""Output items while they are being said: each knows its events, from `output_item.added` to `output_item.done`.

Every method gives the events it causes as `(type, fields)`; the sequence numbers are the narration's to give.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from prompts.domain.ids import COMPACTION, MESSAGE, REASONING, output_item_id
from prompts.domain.items import (
    Compaction,
    Item,
    ItemStatus,
    Logprob,
    Message,
    OutputText,
    Part,
    Phase,
    Reasoning,
    ReasoningText,
    Refusal,
    SummaryText,
)
from prompts.domain.signals import Refused, Sealed, Summarized, Text, Thought

Happening: TypeAlias = tuple[str, dict[str, Any]]
Happenings: TypeAlias = Iterator[Happening]

encode = msgspec.json.Encoder().encode

# Pieces of a text that a reader holds, 60 bytes each beside their letters.
MAX_PIECES = 4_096


class OpenItem:
    """One output item that is not done."""

    kind: str

    def __init__(self, response_id: str, output_index: int) -> None:
        self.id = output_item_id(self.kind, response_id, output_index)
        self.output_index = output_index
        self.response_id = response_id
        self.is_said = False
        """Whether the model is through with it, and it only waits for those before it."""
        self._pieces: list[str] = []
        """What is being said, as it came."""

    def build(self, status: ItemStatus) -> Item:
        """The item with what was said so far."""
        raise NotImplementedError

    def add(self) -> Happenings:
        """The events with which the item begins."""
        yield "response.output_item.added", {"output_index": self.output_index, "item": self.build("in_progress")}

    def close(self, status: ItemStatus) -> Happenings:
        """The events with which the item ends."""
        yield from self.close_part()
        yield "response.output_item.done", {"output_index": self.output_index, "item": self.build(status)}

    def close_part(self) -> Happenings:
        """The events with which its current part ends."""
        raise NotImplementedError

    def merge_pieces(self) -> None:
        """Make one of many pieces."""
        if len(self._pieces) > MAX_PIECES:
            self._pieces = ["".join(self._pieces)]

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
        self._phase = phase
        self._closed: list[Part] = []
        self._part_kind: Literal["output_text", "refusal"] | None = None
        self._logprobs: list[Logprob] = []
        self._annotations: list[Any] = []
        self._delta_name = ""
        self._delta_head = b""

    @property
    def is_saying_text(self) -> bool:
        """Whether more text continues the current part."""
        return self._part_kind == "output_text"

    @property
    def open_text(self) -> list[str] | None:
        """The text so far, in pieces; None when it cannot be continued."""
        return None if self._closed or self._part_kind == "refusal" else self._pieces

    def build(self, status: ItemStatus) -> Item:
        """See `OpenItem`."""
        content = [*self._closed, self._part()] if self._has_begun else [*self._closed]
        phase = self._phase or msgspec.UNSET
        return Message(id=self.id, status=status, role="assistant", content=content, phase=phase)

    def turn_to(self, signal: Text | Refused) -> Happenings:
        """Begin a new part when the kind of text changes."""
        part_kind: Literal["output_text", "refusal"] = "output_text" if isinstance(signal, Text) else "refusal"
        if part_kind == self._part_kind:
            return
        yield from self.close_part()
        self._part_kind = part_kind
        place = b'"item_id":%b,"output_index":%d,"content_index":%d,' % (
            encode(self.id),
            self.output_index,
            len(self._closed),
        )
        self._delta_name = f"response.{part_kind}.delta"
        self._delta_head = b'{"type":"%b","sequence_number":%%d,%b"delta":' % (self._delta_name.encode(), place)
        yield "response.content_part.added", self._describe(self._place, self._part())

    def say(self, signal: Text | Refused) -> tuple[str, bytes, bytes]:
        """The delta event: its type, and its JSON before and after the sequence number. The hot path."""
        self.keep(signal)
        if isinstance(signal, Refused):
            return self._delta_name, self._delta_head, encode(signal.text) + b"}"
        if not signal.logprobs:
            return self._delta_name, self._delta_head, encode(signal.text) + b',"logprobs":[]}'
        tail = b'%b,"logprobs":%b}' % (encode(signal.text), encode(signal.logprobs))
        return self._delta_name, self._delta_head, tail

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
        self._part_kind, self._pieces, self._logprobs, self._annotations = None, [], [], []

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


class OpenReasoning(OpenItem):
    """A thought: a summary in parts, and the thought itself in one part."""

    kind = REASONING

    def __init__(self, response_id: str, output_index: int) -> None:
        super().__init__(response_id, output_index)
        self._summary: list[SummaryText] = []
        self._content: list[ReasoningText] = []
        self._said: Literal["summary", "thought"] | None = None
        self._part_number = 0
        self._sealed: str | None = None

    def build(self, status: ItemStatus) -> Item:
        """See `OpenItem`."""
        text = "".join(self._pieces)
        summary = [*self._summary, SummaryText(text)] if self._said == "summary" and self._pieces else self._summary
        content = [*self._content, ReasoningText(text)] if self._said == "thought" and self._pieces else self._content
        return Reasoning(
            id=self.id,
            status=status,
            summary=[*summary],
            content=[*content] or msgspec.UNSET,
            encrypted_content=self._sealed or msgspec.UNSET,
        )

    def think(self, signal: Thought | Summarized | Sealed) -> Happenings:
        """More of the thought, in any of its forms."""
        match signal:
            case Thought(text):
                yield from self._think(text)
            case Summarized(text, part):
                yield from self._summarize(text, part)
            case Sealed(encrypted_content):
                self._sealed = encrypted_content

    def _think(self, text: str) -> Happenings:
        if self._said != "thought":
            yield from self.close_part()
            self._said = "thought"
            yield "response.content_part.added", self._describe(self._thought_place, ReasoningText(""))
        self._pieces.append(text)
        yield "response.reasoning.delta", {**self._thought_place, "delta": text}

    def _summarize(self, text: str, part: int) -> Happenings:
        if self._said != "summary" or part != self._part_number:
            yield from self.close_part()
            self._said, self._part_number = "summary", part
            yield "response.reasoning_summary_part.added", {**self._summary_place, "part": SummaryText("")}
        self._pieces.append(text)
        yield "response.reasoning_summary_text.delta", {**self._summary_place, "delta": text}

    def close_part(self) -> Happenings:
        """See `OpenItem`."""
        text = "".join(self._pieces)
        if self._said == "thought":
            yield "response.reasoning.done", {**self._thought_place, "text": text}
            yield "response.content_part.done", self._describe(self._thought_place, ReasoningText(text))
            self._content.append(ReasoningText(text))
        elif self._said == "summary":
            yield "response.reasoning_summary_text.done", {**self._summary_place, "text": text}
            yield "response.reasoning_summary_part.done", {**self._summary_place, "part": SummaryText(text)}
            self._summary.append(SummaryText(text))
        self._said, self._pieces = None, []

    @property
    def _thought_place(self) -> dict[str, Any]:
        return {**self._place, "content_index": len(self._content)}

    @property
    def _summary_place(self) -> dict[str, Any]:
        return {**self._place, "summary_index": len(self._summary)}


class OpenCompaction(OpenItem):
    """A compaction: it arrives whole, and waits only for the items before it."""

    kind = COMPACTION

    def __init__(self, response_id: str, output_index: int, encrypted_content: str) -> None:
        super().__init__(response_id, output_index)
        self._encrypted_content = encrypted_content

    def build(self, status: ItemStatus) -> Item:
        """See `OpenItem`."""
        return Compaction(self.id, self._encrypted_content)

    def close_part(self) -> Happenings:
        """See `OpenItem`."""
        yield from ()
