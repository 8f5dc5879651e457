"""A Responses stream as signals. Lenient in what it reads: events it does not know say nothing to it.

But a stream without a terminal event is a failure. Protocol:
https://platform.openai.com/docs/api-reference/responses-streaming
"""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal, TypeVar, get_args

import msgspec
from msgspec import Raw, Struct

from prompts.adapters.openai.errors import stream_error
from prompts.adapters.openai.lines import EventLines, unreadable
from prompts.adapters.openai.streams import wants_thoughts
from prompts.domain.items import Logprob, Phase
from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import (
    Argued,
    BegunAnew,
    Called,
    Finished,
    Opened,
    Refused,
    Sealed,
    Signal,
    Summarized,
    Text,
    Thought,
)
from prompts.domain.usage import InputTokensDetails, OutputTokensDetails, Usage
from prompts.errors import ServiceError, UpstreamError

Read = TypeVar("Read")


class StreamEvent(Struct):
    """One event; what is read of few kinds of them, or not of all of them in one form, is left for later."""

    type: str = ""
    delta: Any = None
    output_index: int | None = None
    summary_index: int | None = None
    logprobs: Raw = Raw()
    item: Raw = Raw()
    response: Raw = Raw()
    error: Any = None
    code: Any = None
    message: Any = None


class OutputItem(Struct):
    """What is read of an item, of any type."""

    type: str = ""
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    encrypted_content: str | None = None
    phase: Any = None


class EndedResponse(Struct):
    """What is read of a response when it has ended."""

    status: Any = None
    error: Any = None
    incomplete_details: Any = None
    usage: Any = None  # an odd one must not spoil an answer


class TokenDetails(Struct):
    """Either of the two details objects; a server may leave out both."""

    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class ResponsesUsage(Struct):
    """Usage under the protocol's names."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: TokenDetails | None = None
    output_tokens_details: TokenDetails | None = None


decode_event = msgspec.json.Decoder(StreamEvent).decode
decode_item = msgspec.json.Decoder(OutputItem).decode
decode_response = msgspec.json.Decoder(EndedResponse).decode
decode_logprobs = msgspec.json.Decoder(list[Logprob]).decode


class ResponsesReading:
    """`Reading` of one stream. Thoughts are said only when the request asks for reasoning."""

    def __init__(self, request: ModelRequest) -> None:
        self._shows_thoughts = wants_thoughts(request.reasoning)
        self._wants_logprobs = request.wants_logprobs
        self._lines = EventLines()
        self._has_message = False
        self._thought: int | None = None
        """The latest thought, until something else was begun."""
        self._argued: dict[int, bool] = {}
        """The calls, and whether there was anything of their arguments."""
        self._finished: Finished | None = None
        self._error: ServiceError | None = None
        self.has_begun = False
        self.is_done = False
        self.event_count = 0

    @property
    def has_reason(self) -> bool:
        """See `Reading`."""
        return self._finished is not None

    def feed(self, data: bytes) -> list[Signal]:
        """See `Reading.feed`; but what ends the stream as a failure is kept for `finish`.

        What was said before it, in the same bytes, is said.
        """
        signals: list[Signal] = []
        try:
            for said in () if self.is_done else self._lines.feed(data):
                signals += self._read(said)
                if self.is_done:
                    break
        except ServiceError as error:
            self._error = error
            self.is_done = True
        return signals

    def finish(self) -> list[Signal]:
        """See `Reading.finish`. Raises RateLimited, InvalidPrompt, UpstreamError."""
        signals = self.feed(b"\n")  # the last line may lack its end
        if self._error is not None:
            raise self._error
        if self._finished is None:
            raise UpstreamError("The model's answer broke off before its end. Send the input again.")
        return [*signals, self._finished]

    def _read(self, said: bytes) -> Iterable[Signal]:
        if said == b"[DONE]":  # the protocol has none, some of its servers do
            self.is_done = True
            return ()
        self.event_count += 1
        event = _decode(decode_event, said)
        if event.error and not event.type:
            return self._fail(event)
        reader = self._readers.get(event.type)
        return reader(self, event) if reader else ()

    def _read_text(self, event: StreamEvent) -> Iterable[Signal]:
        self.has_begun = True
        logprobs = _read_logprobs(event.logprobs) if self._wants_logprobs else []
        return (Text(_read_delta(event), logprobs),)

    def _read_refusal(self, event: StreamEvent) -> Iterable[Signal]:
        self.has_begun = True
        return (Refused(_read_delta(event)),)

    def _read_thought(self, event: StreamEvent) -> Iterable[Signal]:
        self.has_begun = True
        return self._think(event, Thought(_read_delta(event))) if self._shows_thoughts else ()

    def _read_summary(self, event: StreamEvent) -> Iterable[Signal]:
        self.has_begun = True
        summarized = Summarized(_read_delta(event), event.summary_index or 0)
        return self._think(event, summarized) if self._shows_thoughts else ()

    def _think(self, event: StreamEvent, signal: Thought | Summarized | Sealed) -> Iterable[Signal]:
        """The signal; a thought that follows another one directly is an item of its own all the same."""
        before, self._thought = self._thought, event.output_index
        return (signal,) if before in {None, event.output_index} else (BegunAnew(), signal)

    def _read_arguments(self, event: StreamEvent) -> Iterable[Signal]:
        index = event.output_index or 0
        self._argued[index] = True
        return (Argued(index, _read_delta(event)),)

    def _open_item(self, event: StreamEvent) -> Iterable[Signal]:
        item = _decode(decode_item, event.item)
        if item.type == "message":
            return self._open_message(item)
        return self._call(event, item) if item.type == "function_call" else ()

    def _open_message(self, item: OutputItem) -> Iterable[Signal]:
        """The first text opens a message by itself; one that says what for, or a second one, is told."""
        phase: Phase | None = item.phase if item.phase in get_args(Phase) else None
        is_first, self._has_message, self._thought = not self._has_message, True, None
        return () if is_first and phase is None else (Opened(phase),)

    def _call(self, event: StreamEvent, item: OutputItem) -> Iterable[Signal]:
        index = event.output_index or 0
        if not item.call_id or not item.name:
            raise unreadable()
        self.has_begun, self._thought, self._argued[index] = True, None, False
        return (Called(index, item.call_id, item.name),)

    def _close_item(self, event: StreamEvent) -> Iterable[Signal]:
        item = _decode(decode_item, event.item)
        if item.type == "reasoning" and item.encrypted_content:
            return self._think(event, Sealed(item.encrypted_content))
        return self._close_call(event, item) if item.type == "function_call" else ()

    def _close_call(self, event: StreamEvent, item: OutputItem) -> Iterable[Signal]:
        """What was not said of the call before: some servers stream no arguments."""
        index = event.output_index or 0
        if index not in self._argued:
            yield from self._call(event, item)
        if item.arguments and not self._argued[index]:
            self._argued[index] = True
            yield Argued(index, item.arguments)

    def _end(self, event: StreamEvent) -> Iterable[Signal]:
        """The response says how it ended: vLLM calls each end completed."""
        response = _decode(decode_response, event.response)
        status = response.status or event.type.removeprefix("response.")
        if status not in {"completed", "incomplete"}:
            raise stream_error(response.error)
        self._finished = Finished(_read_reason(status, response.incomplete_details), _read_usage(response.usage))
        self.is_done = True
        return ()

    def _fail(self, event: StreamEvent) -> Iterable[Signal]:
        """What happened stands in the event (OpenAI's reference), or in an error inside of it (OpenAI's server)."""
        raise stream_error(event.error or {"code": event.code, "message": event.message})

    _readers: ClassVar = {
        "response.output_text.delta": _read_text,
        "response.refusal.delta": _read_refusal,
        "response.reasoning_text.delta": _read_thought,
        "response.reasoning.delta": _read_thought,
        "response.reasoning_summary_text.delta": _read_summary,
        "response.function_call_arguments.delta": _read_arguments,
        "response.output_item.added": _open_item,
        "response.output_item.done": _close_item,
        "response.completed": _end,
        "response.incomplete": _end,
        "response.failed": _end,
        "response.cancelled": _end,
        "error": _fail,
    }


def _decode(decode: Callable[[bytes | Raw], Read], data: bytes | Raw) -> Read:
    try:
        return decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise unreadable() from exc


def _read_delta(event: StreamEvent) -> str:
    if not isinstance(event.delta, str):
        raise unreadable()
    return event.delta


def _read_logprobs(raw: Raw) -> list[Logprob]:
    """Odd ones must not spoil an answer."""
    try:
        return decode_logprobs(raw)
    except msgspec.DecodeError:
        return []


def _read_reason(status: str, details: Any) -> Literal["stop", "length", "content_filter"]:
    if status == "completed":
        return "stop"
    reason = details.get("reason") if isinstance(details, dict) else None
    return "content_filter" if reason == "content_filter" else "length"


def _read_usage(reported: Any) -> Usage | None:
    """None when nothing was reported, or nothing that can be read."""
    try:
        usage = msgspec.convert(reported, ResponsesUsage | None)
    except msgspec.ValidationError:
        return None
    if usage is None:
        return None
    sent, said = usage.input_tokens or 0, usage.output_tokens or 0
    cached = usage.input_tokens_details.cached_tokens if usage.input_tokens_details else None
    reasoning = usage.output_tokens_details.reasoning_tokens if usage.output_tokens_details else None
    return Usage(
        input_tokens=sent,
        output_tokens=said,
        total_tokens=sent + said,
        input_tokens_details=InputTokensDetails(cached or 0),
        output_tokens_details=OutputTokensDetails(reasoning or 0),
    )
