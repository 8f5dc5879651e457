"""A stream of Chat Completions, as signals.

Lenient in what it reads: servers leave out what they like, and say it in other forms. Strict in what is an end: without
a finish reason that says so an answer broke off, and one with half a call was cut, whatever its reason says.
"""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Raw, Struct

from prompts.adapters.openai.chat_calls import ChatCalls
from prompts.adapters.openai.chat_chunks import (
    UNDECODABLE,
    CallDelta,
    Chunk,
    Delta,
    decode_chunk,
    find_choice,
    find_error,
    find_fuller,
    find_usage,
    is_end,
    read_chunks,
)
from prompts.adapters.openai.errors import stream_error
from prompts.adapters.openai.finish_reasons import read_reason
from prompts.adapters.openai.kept_thoughts import PARTS, ThoughtKeeper, find_thought
from prompts.adapters.openai.lines import EventLines, check_event, unreadable
from prompts.adapters.openai.logprobs import MAX_HELD_LOGPROBS, read_logprobs
from prompts.adapters.openai.odd_values import read_parts, read_text
from prompts.adapters.openai.surrogates import Halves
from prompts.adapters.openai.text_mould import MAX_MISSES, TextMould
from prompts.adapters.openai.think_tags import Stretch, TaggedText, TagMode
from prompts.adapters.openai.tool_names import ToolNames
from prompts.adapters.openai.usage import read_usage
from prompts.domain.items import Logprob
from prompts.domain.signals import Called, CalledTool, Finished, Refused, Signal, Text, Thought
from prompts.domain.usage import Usage
from prompts.errors import AnswerTooLarge, ServiceError, UpstreamError

# In place of null, while the answer goes on.
_NO_REASONS = ("null", "None", "none")


class Interest(Struct, frozen=True):
    """What is read of an answer, beside its text and its calls."""

    has_thoughts: bool = False
    has_logprobs: bool = False
    keeps_thoughts: bool = False
    """Whether thoughts are to go back to the model's server, whoever sees them."""
    tag_mode: TagMode = "off"
    names: ToolNames | None = None
    """The names under which tools were offered."""


TEXT_AND_CALLS = Interest()


def _ignore(_: str) -> None:
    """Do nothing with the name."""


class ChatReading:
    """`Reading` of one stream of Chat Completions."""

    def __init__(self, interest: Interest = TEXT_AND_CALLS, note_thought_name: Callable[[str], None] = _ignore) -> None:
        """`note_thought_name` gets the name of the field in which the server sends thoughts."""
        self._interest = interest
        self._mould: TextMould | None = None
        """Of the latest event, where that said nothing but plain text."""
        self._misses = 0
        self._note_thought_name = note_thought_name
        self._lines = EventLines()
        self._calls = ChatCalls(interest.names)
        self._tagged = TaggedText(interest.tag_mode) if interest.tag_mode != "off" else None
        self._keeper = ThoughtKeeper()
        self._may_be_plain = not (self._tagged or interest.has_logprobs)
        self._is_plain = self._may_be_plain
        """Whether text needs no more than its own signal, as nearly always."""
        self._thought_name = ""
        self._text_half, self._refusal_half, self._thought_half = Halves(), Halves(), Halves()
        self._logprobs: list[Logprob] = []
        self._reason: Any = None
        self._reported: Any = None
        self._reported_before: Any = None
        self._usage: Usage | None = None
        self._error: ServiceError | None = None
        self._has_said = False
        """Whether there was any text, refusal, or thought that was told."""
        self._has_answered = False
        """Whether there was any text or refusal."""
        self.has_begun = False
        self.has_reason = False
        self.is_done = False
        self.event_count = 0

    @property
    def has_all(self) -> bool:
        """See `Reading`."""
        return self.has_reason and self._reported is not None

    @property
    def is_empty(self) -> bool:
        """See `Reading`."""
        if read_reason(self._reason) != "stop" or self._has_answered or self._calls.has_any:
            return False
        has_used = self._usage is not None and self._usage.output_tokens > 0
        return bool(self._thought_name) or not has_used  # thoughts alone are no answer, whatever they cost

    def feed(self, data: bytes) -> list[Signal]:
        """See `Reading.feed`."""
        mould = self._mould
        text = mould.find_text(data) if mould is not None else ""
        if mould is None or not (text and self._lines.pass_event(len(data), mould.line_count)):
            return self._read_unlike(data)
        self.event_count += 1
        self._misses = 0
        return [Text(text)]

    def _read_unlike(self, data: bytes) -> list[Signal]:
        """Read what is not like the event before it."""
        self._mould = None
        is_looked_at = self._misses < MAX_MISSES and self._lines.is_between
        events_before = self.event_count
        signals = self._read(self._lines.feed(data))
        if is_looked_at and self.event_count == events_before + 1 and self._says_plain_text:
            self._misses += 1
            self._mould = TextMould.make(data, signals)
        return signals

    @property
    def _says_plain_text(self) -> bool:
        """Whether more text of the same form would be a signal by itself, and nothing else."""
        has_rest = self._text_half.held or not self._lines.is_between
        return self._is_plain and self._reason is None and not has_rest

    def finish(self) -> list[Signal]:
        """See `Reading.finish`."""
        signals = self._read(self._lines.finish())
        if self._error is not None:
            raise self._error
        if self._reason is None:
            raise broken_off() if self.event_count or self.is_done else unreadable()
        reason = read_reason(self._reason)
        if reason is None:
            raise UpstreamError("The model's server ended the answer before it was whole. Send the input again.")
        self._say_rest(signals)
        self._tell_calls(self._calls.finish(is_complete=reason == "stop"), signals)
        self._seal(signals)
        self._usage = read_usage(self._reported) or read_usage(self._reported_before)
        is_cut = reason == "stop" and self._calls.is_cut
        return [*signals, Finished("length" if is_cut else reason, self._usage)]

    def _read(self, events: Iterable[bytes | bytearray]) -> list[Signal]:
        """The signals of these events. An error is kept for `finish`: what was said before it comes first."""
        signals: list[Signal] = []
        if self.is_done:
            return signals
        try:
            for said in events:
                check_event(said)
                try:
                    chunk = decode_chunk(said)
                except UNDECODABLE:
                    if is_end(said):
                        self.is_done = True
                        break
                    self._read_odd(said, signals)
                else:
                    self.event_count += 1
                    self._read_chunk(chunk, signals)
        except ServiceError as error:
            self._error = error
            self.is_done = True
        except (RecursionError, OverflowError):  # what could be read, and cannot be written
            self._error = unreadable()
            self.is_done = True
        return signals

    def _read_odd(self, said: bytes | bytearray, signals: list[Signal]) -> None:
        """An event that does not decode. After the finish reason it may be broken: nothing of the answer is lost."""
        try:
            chunks = list(read_chunks(said))
        except UpstreamError as error:
            if self._reason is None or isinstance(error, AnswerTooLarge):
                raise
            return
        if not chunks and self._lines.event_name == b"error":
            raise stream_error(said.decode("utf-8", "replace"))
        for chunk in chunks:
            self.event_count += 1
            self._read_chunk(chunk, signals)

    def _read_chunk(self, chunk: Chunk, signals: list[Signal]) -> None:
        choices = chunk.choices
        choice = find_choice(choices) if choices else None
        has_usage = chunk.usage or chunk.x_groq or (choice is not None and choice.usage)
        if has_usage and (usage := find_usage(chunk, choice)):
            self._reported_before, self._reported = self._reported, usage
        if choice is not None:
            delta = choice.delta or choice.message
            if choice.message is not None and not (self._has_said or self._calls.has_any):
                delta = find_fuller(choice.delta, choice.message)
            if choice.finish_reason or self._reason is not None:
                self._note_reason(choice.finish_reason, has_content=delta is not None and bool(delta.content))
            if delta is not None:
                self._read_delta(delta, choice.logprobs, signals)
        if chunk.error or not choices:
            error = find_error(chunk, is_named_error=self._lines.event_name == b"error")
            if error is not None:
                raise stream_error(error)

    def _note_reason(self, told: Any, *, has_content: bool) -> None:
        """Relays of Gemini's send a reason with every chunk: where text follows a reason, more may follow."""
        is_first = self._reason is None
        if told and told not in _NO_REASONS:
            self._reason = told
            self.has_reason = is_first or not has_content
        elif has_content and not is_first:
            self.has_reason = False

    def _read_delta(self, delta: Delta, logprobs: Raw, signals: list[Signal]) -> None:
        has_thought = delta.reasoning_content or delta.reasoning or delta.reasoning_text or delta.thinking
        if has_thought or delta.reasoning_details:
            self._read_thought(delta, signals)
        elif self._interest.has_logprobs:
            self._logprobs += read_logprobs(logprobs)[: MAX_HELD_LOGPROBS - len(self._logprobs)]
        if content := delta.content:
            self._read_content(content, signals)
        if delta.refusal:
            self._refuse(read_text(delta.refusal), signals)
        if delta.tool_calls or delta.function_call:
            self._read_calls(delta, signals)

    def _read_content(self, content: Any, signals: list[Signal]) -> None:
        self.has_begun = True
        if type(content) is not str:
            self._read_parts(content, signals)
        elif self._is_plain and content.isascii() and not self._text_half.held:
            self._has_said = self._has_answered = True
            signals.append(Text(content))
        else:
            self._say(content, signals)

    def _read_calls(self, delta: Delta, signals: list[Signal]) -> None:
        self.has_begun = True
        if deltas := delta.tool_calls:
            self._tell_calls(self._calls.take(deltas), signals)
        if old_way := delta.function_call:
            self._tell_calls(self._calls.take([CallDelta(index=0, function=old_way)]), signals)

    def _read_thought(self, delta: Delta, signals: list[Signal]) -> None:
        if self._interest.keeps_thoughts and delta.reasoning_details:
            self._keeper.add_details(delta.reasoning_details)
        name, value = find_thought(delta)
        self._think(name, read_text(value), signals)

    def _read_parts(self, content: Any, signals: list[Signal]) -> None:
        """Content that is a list of parts, or one part."""
        for part in read_parts(content):
            match part.kind:
                case "text":
                    self._say(part.text, signals)
                case "thought":
                    self._think(PARTS, part.text, signals)
                case "refusal":
                    self._refuse(part.text, signals)

    def _say(self, text: str, signals: list[Signal]) -> None:
        text = self._text_half.join(text)
        if self._tagged is None:
            self._say_text(text, signals)
            return
        for stretch in self._tagged.take(text):
            self._say_stretch(stretch, signals)

    def _say_stretch(self, stretch: Stretch, signals: list[Signal]) -> None:
        if stretch.is_thought:
            assert self._tagged is not None
            self._logprobs.clear()
            self._think(self._tagged.tag, stretch.text, signals)
        else:
            self._say_text(stretch.text, signals)

    def _say_text(self, text: str, signals: list[Signal]) -> None:
        if not text:
            return
        if not self._is_plain:
            self._seal(signals)
        self._has_said = self._has_answered = True
        signals.append(Text(text, self._take_logprobs()) if self._logprobs else Text(text))

    def _refuse(self, text: str, signals: list[Signal]) -> None:
        if text := self._refusal_half.join(text):
            self.has_begun = self._has_said = self._has_answered = True
            self._seal(signals)
            signals.append(Refused(text))

    def _think(self, name: str, text: str, signals: list[Signal]) -> None:
        self.has_begun = True
        text = self._thought_half.join(text)
        if not self._thought_name:
            self._thought_name = name
            self._note_thought_name(name)
        if self._interest.keeps_thoughts:
            self._is_plain = False
            self._keeper.add(name, text)
        if self._interest.has_thoughts and text:
            self._has_said = True
            signals.append(Thought(text))

    def _tell_calls(self, told: list[Signal], signals: list[Signal]) -> None:
        if self._interest.keeps_thoughts and any(isinstance(signal, (Called, CalledTool)) for signal in told):
            self._seal(signals)
        signals += told

    def _seal(self, signals: list[Signal]) -> None:
        """End the thought: what the server wants back of it comes in front of what follows."""
        if self._interest.keeps_thoughts:
            signals += self._keeper.seal(self._calls.get_extras())
            self._is_plain = self._may_be_plain

    def _say_rest(self, signals: list[Signal]) -> None:
        """What was held back as the possible beginning of a tag or half of a character."""
        self._say(self._text_half.end(), signals)
        for stretch in self._tagged.finish() if self._tagged else ():
            self._say_stretch(stretch, signals)
        self._refuse(self._refusal_half.end(), signals)

    def _take_logprobs(self) -> list[Logprob]:
        """Those of this text, and of tokens before it that were only a part of a character."""
        logprobs, self._logprobs = self._logprobs, []
        return logprobs


def broken_off() -> UpstreamError:
    """The error of an answer that has no end."""
    return UpstreamError("The model's answer broke off before its end. Send the input again.")
