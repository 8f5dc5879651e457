"""Pure: a message whose markers become citations, for a model that was given passages."""

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

from prompts.answer.markers import Cited, MarkerReader, Shown
from prompts.answer.open_items import Happenings, OpenMessage
from prompts.answer.pieces import Pieces
from prompts.domain.items import Logprob, Message, OutputText, Phase, Refusal
from prompts.domain.passages import FileCitation, Passage
from prompts.domain.signals import Text

# Of one answer. Nobody reads so many, and each is some hundred bytes for five characters of the model's.
MAX_CITATIONS = 2_000


class _Token(NamedTuple):
    """A token, and its place in what the model wrote, in characters."""

    start: int
    end: int
    logprob: Logprob


class CitingMessage(OpenMessage):
    """A message of a model that was given passages, by their numbers.

    A token whose text all went with a marker loses its log probability; the others keep theirs.
    """

    def __init__(
        self,
        response_id: str,
        output_index: int,
        phase: Phase | None,
        *,
        passages: Mapping[int, Passage],
        max_citations: int = MAX_CITATIONS,
    ) -> None:
        """Beyond `max_citations` markers are taken out, and cite nothing any more."""
        super().__init__(response_id, output_index, phase)
        self._passages = passages
        self._citations_left = max_citations
        self._begin_text()

    def _begin_text(self) -> None:
        self._reader = MarkerReader(frozenset(self._passages))
        self._written = Pieces()
        """What the model wrote, in the pieces it came in."""
        self._written_length = 0
        self._shown_length = 0
        self._tokens: deque[_Token] = deque()

    @property
    def citations(self) -> int:
        """How many there are so far."""
        return _count(self._closed) + len(self._annotations)

    @property
    def open_text(self) -> Pieces | None:
        """See `OpenMessage`: what the model wrote, its markers included."""
        return super().open_text if self._part_kind == "refusal" or self._closed else self._written

    def cite(self, signal: Text) -> Happenings:
        """Some more text: what of it can be shown, and what it cites. Nothing, when all of it is held back."""
        self._keep_tokens(signal)
        self._written.append(signal.text)
        self._written_length += len(signal.text)
        yield from self._tell(self._reader.read(signal.text))

    def close_part(self) -> Happenings:
        """See `OpenItem`. What was held back is said first."""
        if self._part_kind == "output_text":
            yield from self._tell(self._reader.finish())
        self._citations_left -= len(self._annotations)
        yield from super().close_part()
        self._begin_text()

    @property
    def _has_begun(self) -> bool:
        return bool(self._written or self._pieces)

    def _part(self) -> OutputText | Refusal:
        """The part with what is held back, as if the text ended here."""
        part = super()._part()
        if isinstance(part, Refusal):
            return part
        text, annotations, logprobs = part.text, [*part.annotations], [*part.logprobs]
        tokens = deque(self._tokens)
        for said in self._reader.preview():
            if isinstance(said, Shown):
                text += said.text
                logprobs += _take(tokens, said)
            else:
                annotations += self._find_new(said.numbers, len(text), annotations)
        return OutputText(text, annotations, logprobs)

    def _tell(self, said: Sequence[Shown | Cited]) -> Happenings:
        for piece in said:
            if isinstance(piece, Shown):
                logprobs = _take(self._tokens, piece)
                self._pieces.append(piece.text)
                self._logprobs += logprobs
                self._shown_length += len(piece.text)
                yield "response.output_text.delta", {**self._place, "delta": piece.text, "logprobs": logprobs}
            else:
                yield from self.annotate(self._find_new(piece.numbers, self._shown_length, self._annotations))

    def _find_new(self, numbers: Sequence[int], index: int, known: Sequence[FileCitation]) -> list[FileCitation]:
        """The citations at this place that are not there yet."""
        here = {citation.passage for citation in takewhile(lambda one: one.index == index, reversed(known))}
        new = [number for number in dict.fromkeys(numbers) if number not in here]
        passages = [self._passages[number] for number in new[: max(0, self._citations_left - len(known))]]
        return [FileCitation(each.file_id, each.filename, index, each.index) for each in passages]

    def _keep_tokens(self, signal: Text) -> None:
        start, limit = self._written_length, self._written_length + len(signal.text)
        for place, logprob in enumerate(signal.logprobs, 1):
            is_last = place == len(signal.logprobs)  # tokens of parts of a character have other lengths
            end = limit if is_last else min(limit, start + len(logprob.token))
            self._tokens.append(_Token(start, end, logprob))
            start = end


def count_citations(item: object) -> int:
    """How many citations an item of the output has so far, open or closed."""
    if isinstance(item, CitingMessage):
        return item.citations
    return _count(item.content) if isinstance(item, Message) else 0


def _count(parts: Sequence[object]) -> int:
    return sum(len(part.annotations) for part in parts if isinstance(part, OutputText))


def _take(tokens: deque[_Token], shown: Shown) -> list[Logprob]:
    """The tokens that this text is of; those before it were taken out."""
    taken: list[Logprob] = []
    while tokens and tokens[0].start < shown.end:
        token = tokens.popleft()
        if token.end > shown.start:
            taken.append(token.logprob)
    return taken
