"""How large an answer has become, over all its rounds, and where that is too much."""

from collections.abc import Sequence

from prompts.domain.items import Item, Logprob, TopLogprob
from prompts.domain.passages import Passage
from prompts.domain.signals import (
    Argued,
    BegunAnew,
    Called,
    CalledTool,
    Compacted,
    Finished,
    Found,
    HostedReturned,
    Opened,
    Refused,
    RoundEnded,
    Sealed,
    Signal,
    Summarized,
    Text,
    Thought,
    read_signals,
)
from prompts.errors import AnswerTooLarge
from prompts.ports.chat_model import Take

# Sixteen megabytes are four million tokens of text, and what the end of a stream can carry four times over; no model
# writes a tenth of it.
MAX_ANSWER_BYTES = 16_000_000
# Messages, thoughts and calls. The longest work of an agent has some hundred; each of them costs a look at all others.
MAX_PARTS = 4_096
# What a likelihood takes beside its token and that token's bytes.
_LOGPROB_BYTES = 64


class AnswerSize:
    """The bytes and the parts of one answer so far.

    Log probabilities and the arguments of calls are among them, and so are the passages that were found for it.
    """

    def __init__(self, max_bytes: int, said: Sequence[Item] = (), found: Sequence[Found] = ()) -> None:
        """`said` and `found` are what there was of it before this process had it."""
        self._max_bytes = max_bytes
        self._bytes = 0
        self._parts = 0
        self._latest: object = None
        self._count([*read_signals(said), *(HostedReturned("", "", each) for each in found)])

    def add(self, signals: Sequence[Signal]) -> None:
        """Some more of the answer. Raises AnswerTooLarge."""
        if len(self.take(signals)) < len(signals):
            raise self.explain()

    def take(self, signals: Sequence[Signal]) -> Sequence[Signal]:
        """As many of these as fit in: all, or those before the one that is too much; `explain` says why."""
        before = self._bytes, self._parts, self._latest
        self._count(signals)
        if not self._is_too_much:
            return signals
        self._bytes, self._parts, self._latest = before
        for index, signal in enumerate(signals):
            self._count([signal])
            if self._is_too_much:
                return signals[:index]
        raise AssertionError("what is too much together is too much one by one")

    def pass_on(self, texts: Sequence[Text], take: Take) -> bool:
        """Whether `take` has taken these texts: they go on with what was said last, and fit in."""
        if self._latest is not Text:
            return False
        size = self._bytes
        for text in texts:
            size += len(text.text) if text.text.isascii() and not text.logprobs else _count_text(text)
        if size > self._max_bytes or not take(texts):
            return False
        self._bytes = size
        return True

    def explain(self) -> AnswerTooLarge:
        """Why no more is taken."""
        if self._bytes > self._max_bytes:
            return AnswerTooLarge(f"The model's answer is larger than {self._max_bytes:,} bytes. Ask for less at once.")
        return AnswerTooLarge(f"The model's answer has more than {MAX_PARTS:,} parts. Ask for less at once.")

    @property
    def _is_too_much(self) -> bool:
        return self._bytes > self._max_bytes or self._parts > MAX_PARTS

    def _count(self, signals: Sequence[Signal]) -> None:
        for signal in signals:
            if type(signal) is Text:
                self._bytes += _count_text(signal)
                if self._latest is not Text:
                    self._latest = Text
                    self._parts += 1
            else:
                self._bytes += _count_other(signal)
                self._parts += self._begins_part(signal)

    def _begins_part(self, signal: Signal) -> bool:
        """Whether something begins that stands by itself. More of a call's arguments may come at any time."""
        place: object = type(signal)
        match signal:
            case Argued() | Finished() | RoundEnded() | HostedReturned():
                return False
            case Called() | CalledTool() | Opened() | BegunAnew() | Compacted():
                self._latest = place
                return True
            case Summarized(_, part):
                place = (Summarized, part)
        before, self._latest = self._latest, place
        return before != place


def _count_text(signal: Text) -> int:
    text = signal.text
    size = len(text) if text.isascii() else _count_bytes(text)
    return size + sum(map(_count_logprob, signal.logprobs)) if signal.logprobs else size


def _count_other(signal: Signal) -> int:
    match signal:
        case Sealed(content) | Compacted(content):
            return len(content)  # base64, or nearly
        case Argued(_, text, kept):
            return _count_bytes(text) + len(kept)
        case Refused(text) | Thought(text) | Summarized(text):
            return _count_bytes(text)
        case HostedReturned(_, output, found):
            return _count_bytes(output) + (sum(map(_count_passage, found.passages)) if found else 0)
    return 0


def _count_passage(passage: Passage) -> int:
    """Of each the text, and what is known of its file: that may be longer."""
    known = sum(
        len(key) + (_count_bytes(value) if isinstance(value, str) else 0) for key, value in passage.attributes.items()
    )
    return _count_bytes(passage.text) + known


def _count_logprob(entry: Logprob) -> int:
    """About its JSON; what it takes in memory is a few times as much."""
    every: list[Logprob | TopLogprob] = [entry, *entry.top_logprobs]
    return sum(_LOGPROB_BYTES + len(each.token) + 4 * len(each.bytes) for each in every)


def _count_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
