"""A stream of Chat Completions, as signals.

Lenient in what it reads: servers leave out what they like, but a stream without a finish reason is a failure.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from prompts.adapters.openai.chat_calls import CallDelta, ChatCalls, FunctionDelta
from prompts.adapters.openai.chat_logprobs import read_logprobs
from prompts.adapters.openai.errors import stream_error
from prompts.adapters.openai.lines import EventLines, unreadable
from prompts.domain.items import Logprob
from prompts.domain.signals import Finished, Refused, Signal, Text, Thought
from prompts.domain.usage import InputTokensDetails, OutputTokensDetails, Usage
from prompts.errors import ServiceError, UpstreamError

encode = msgspec.json.Encoder().encode


class Delta(Struct):
    """What a chunk adds; a model's thinking is `reasoning_content` at most servers, `reasoning` at newer ones."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[CallDelta] | None = None
    function_call: FunctionDelta | None = None


class Choice(Struct):
    """One answer of the chunk; we ask for one only."""

    delta: Delta | None = None
    finish_reason: str | None = None
    logprobs: Raw = Raw()  # read only when they were asked for: odd ones must not spoil an answer


class TokenDetails(Struct):
    """Either of the two details objects; a server may leave out both."""

    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class ChatUsage(Struct):
    """Usage under Chat Completions' names."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: TokenDetails | None = None
    completion_tokens_details: TokenDetails | None = None


class Chunk(Struct):
    """One event of the stream; an error may come in place of choices."""

    choices: list[Choice] | None = None
    usage: Any = None  # read by `_usage`: an odd one must not spoil an answer
    error: Any = None


decode_chunk = msgspec.json.Decoder(Chunk).decode

_REASONS: dict[str, Literal["stop", "length", "content_filter"]] = {
    "length": "length",
    "content_filter": "content_filter",
}


@dataclass(frozen=True, slots=True)
class Interest:
    """What of an answer is read beside its text and its calls."""

    has_thoughts: bool = False
    has_logprobs: bool = False


class ChatReading:
    """The state of reading one stream, fed with bytes as they arrive, cut anywhere."""

    def __init__(self, interest: Interest = Interest()) -> None:
        self._interest = interest
        self._lines = EventLines()
        self._calls = ChatCalls()
        self._logprobs: list[Logprob] = []
        self._reason: str | None = None
        self._usage: Any = None
        self.has_begun = False
        """Whether the model has said, thought or called something."""
        self.is_done = False
        """Whether `[DONE]` was read; what comes after it is not looked at."""
        self.event_count = 0
        """How many events were read: it stands still while the model is silent, whatever keeps the connection awake."""

    @property
    def has_reason(self) -> bool:
        """Whether the model has come to its end; only usage and `[DONE]` may follow."""
        return self._reason is not None

    def feed(self, data: bytes) -> list[Signal]:
        """What these bytes say. Raises a ServiceError for an error in the stream, or what is no stream."""
        signals: list[Signal] = []
        for said in () if self.is_done else self._lines.feed(data):
            if said == b"[DONE]":
                self.is_done = True
                break
            self.event_count += 1
            self._read_chunk(_decode(said), signals)
        return signals

    def finish(self) -> list[Signal]:
        """What is left when the bytes end, and how the answer ended: the last is a `Finished`.

        Raises UpstreamError when the answer did not end: it broke off.
        """
        signals = self._feed_end()
        if self._reason is None:
            raise UpstreamError("The model's answer broke off before its end. Send the input again.")
        finished = Finished(reason=_REASONS.get(self._reason, "stop"), usage=_usage(self._usage))
        return [*signals, *self._calls.tell(), finished]

    def _feed_end(self) -> list[Signal]:
        """The last line may lack its end; half an event after the finish reason spoils nothing."""
        try:
            return self.feed(b"\n")
        except ServiceError:
            if self._reason is None:
                raise
            return []

    def _read_chunk(self, chunk: Chunk, signals: list[Signal]) -> None:
        if chunk.error:
            raise stream_error(chunk.error)
        self._usage = chunk.usage or self._usage
        for choice in (chunk.choices or ())[:1]:
            self._reason = choice.finish_reason or self._reason
            if choice.delta is not None:
                self._read_delta(choice.delta, choice.logprobs, signals)

    def _read_delta(self, delta: Delta, logprobs: Raw, signals: list[Signal]) -> None:
        if thought := delta.reasoning_content or delta.reasoning:
            self.has_begun = True
            signals += [Thought(thought)] if self._interest.has_thoughts else []
        elif self._interest.has_logprobs:
            self._logprobs += read_logprobs(logprobs)
        if delta.content:
            self.has_begun = True
            signals.append(Text(delta.content, self._take_logprobs()) if self._logprobs else Text(delta.content))
        if delta.refusal:
            self.has_begun = True
            signals.append(Refused(delta.refusal))
        if delta.tool_calls or delta.function_call:
            self.has_begun = True
            old_way = [CallDelta(index=0, function=delta.function_call)] if delta.function_call else []
            signals += self._calls.take([*(delta.tool_calls or ()), *old_way])

    def _take_logprobs(self) -> list[Logprob]:
        """Those of this text's tokens, and of the tokens before that were no whole character yet."""
        logprobs, self._logprobs = self._logprobs, []
        return logprobs


def _decode(data: bytes) -> Chunk:
    """Python's servers write infinities and NaN into JSON, where there are none: they are read as nothing."""
    try:
        return decode_chunk(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return decode_chunk(encode(json.loads(data, parse_constant=lambda _: None)))
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise unreadable() from exc


def _usage(reported: Any) -> Usage | None:
    """Ours for theirs; None when nothing was reported, or nothing that can be read."""
    if not reported:
        return None
    try:
        usage = msgspec.convert(reported, ChatUsage)
    except msgspec.ValidationError:
        return None
    sent, said = usage.prompt_tokens or 0, usage.completion_tokens or 0
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    reasoning = usage.completion_tokens_details.reasoning_tokens if usage.completion_tokens_details else None
    return Usage(
        input_tokens=sent,
        output_tokens=said,
        total_tokens=sent + said,
        input_tokens_details=InputTokensDetails(cached or 0),
        output_tokens_details=OutputTokensDetails(reasoning or 0),
    )
