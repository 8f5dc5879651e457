"""A thought while it is being said: its summary, and the thought itself."""

from collections import deque
from typing import Any, Literal, Self

import msgspec

from prompts.answer.open_items import Happenings, OpenItem
from prompts.answer.pieces import Pieces
from prompts.domain.ids import REASONING
from prompts.domain.items import Item, ItemStatus, Reasoning, ReasoningText, SummaryText
from prompts.domain.signals import Sealed, Signal, Summarized, Thought
from prompts.domain.waypoints import Outline, ThoughtOutline


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
        self._later_seal: str | None = None

    @classmethod
    def resume(cls, response_id: str, outline: ThoughtOutline) -> Self:
        """The thought from its middle on."""
        thought = cls(response_id, outline.output_index)
        thought.lacks_beginning = True
        thought._said, thought._part_number = outline.said, outline.summary_part
        # As many: their texts come later.
        thought._summary = [SummaryText("")] * outline.closed_summaries
        thought._content = [ReasoningText("")] * outline.closed_thoughts
        return thought

    def draw_outline(self) -> Outline:
        """See `OpenItem`."""
        closed = len(self._summary), len(self._content)
        return ThoughtOutline(self.output_index, self._said, self._part_number, *closed)

    def goes_on_with(self, signal: Signal) -> bool:
        """Whether it is more of the part that is being said, or the thought's seal."""
        match signal:
            case Thought():
                return self._said == "thought"
            case Summarized(_, part):
                return self._said == "summary" and self._part_number == part
        return isinstance(signal, Sealed)

    def is_own(self, signal: Signal) -> bool:
        """Whether it is said of a thought."""
        return isinstance(signal, (Thought, Summarized, Sealed))

    def rewind(self) -> None:
        """See `OpenItem`."""
        super().rewind()
        self._summary, self._content, self._said = [], [], None
        self._later_seal, self._sealed = self._sealed, None

    def take(self, signal: Signal) -> None:
        """See `OpenItem`."""
        if isinstance(signal, (Thought, Summarized)) and self.goes_on_with(signal):
            self._pieces.append(signal.text)
        elif isinstance(signal, (Thought, Summarized, Sealed)):
            deque(self.think(signal), maxlen=0)

    def catch_up(self) -> None:
        """See `OpenItem`."""
        super().catch_up()
        self._sealed = self._later_seal or self._sealed

    def recall(self, ended: Item) -> None:
        """See `OpenItem`."""
        super().recall(ended)
        if isinstance(ended, Reasoning) and self._said:
            parts = ended.summary if self._said == "summary" else ended.content
            self._pieces = Pieces([part.text for part in parts or ()][-1:])

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
        self._said, self._pieces = None, Pieces()

    @property
    def _thought_place(self) -> dict[str, Any]:
        return {**self._place, "content_index": len(self._content)}

    @property
    def _summary_place(self) -> dict[str, Any]:
        return {**self._place, "summary_index": len(self._summary)}
