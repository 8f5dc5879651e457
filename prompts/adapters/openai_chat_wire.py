"""Chat Completions on the wire: the request's body, and the stream's chunks as signals.

Lenient in what it reads: servers leave out what they like, but a stream without a finish reason is a failure.
"""

from codecs import BOM_UTF8
from collections.abc import Sequence
from typing import Any, Literal, assert_never

import msgspec
from msgspec import Struct

from prompts.adapters.openai_continuation import INSTRUCTION, Way
from prompts.domain import InputTokensDetails, ModelMessage, ModelRequest, OutputTokensDetails, Usage
from prompts.errors import RateLimited, UpstreamError
from prompts.events import Finished, Refused, Signal, Text


class Delta(Struct):
    """What a chunk adds; a model's thinking is `reasoning_content` at most servers, `reasoning` at newer ones."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class Choice(Struct):
    """One answer of the chunk; we ask for one only."""

    delta: Delta | None = None
    finish_reason: str | None = None


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

# The longest event we hold in memory; a whole answer in one event is far below.
MAX_EVENT_BYTES = 16 * 1024 * 1024
# The fields of an event that say nothing to us, and comments.
_IGNORED = (b":", b"event:", b"id:", b"retry:")

# Many chat templates know no developer; OpenAI's newer models take the one for the other.
_ROLES = {"developer": "system"}
_REASONS: dict[str, Literal["stop", "length", "content_filter"]] = {
    "length": "length",
    "content_filter": "content_filter",
}


def model_body(request: ModelRequest, messages: Sequence[ModelMessage]) -> dict[str, Any]:
    """The request's body; what was not asked for is left to the model's server."""
    optional = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "max_completion_tokens": request.max_output_tokens,
    }
    return {
        "model": request.model,
        "messages": [{"role": _ROLES.get(message.role, message.role), "content": message.text} for message in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        **{name: value for name, value in optional.items() if value is not None},
    }


def continuation_body(request: ModelRequest, messages: Sequence[ModelMessage], prefix: str, way: Way) -> dict[str, Any]:
    """The request's body for the rest of an answer that begins with `prefix`."""
    body = model_body(request, messages)
    begun = {"role": "assistant", "content": prefix}
    match way:
        case Way.OPEN:
            body["messages"].append(begun)
            return {**body, "continue_final_message": True, "add_generation_prompt": False}
        case Way.MARKED:
            body["messages"].append({**begun, "prefix": True})
        case Way.ASKED:
            # A user: a system message has its place at the beginning in many templates, and turns alternate.
            body["messages"] += [begun, {"role": "user", "content": INSTRUCTION}]
        case Way.ANEW:
            pass
        case _:
            assert_never(way)
    return body


class ChatReading:
    """The state of reading one stream, fed with bytes as they arrive, cut anywhere."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._is_first_line = True
        self._reason: str | None = None
        self._usage: Any = None
        self.has_begun = False
        """Whether the model has said or thought something."""
        self.is_done = False
        """Whether `[DONE]` was read; what comes after it is not looked at."""
        self.event_count = 0
        """How many events were read: it stands still while the model is silent, whatever keeps the connection awake."""

    @property
    def has_reason(self) -> bool:
        """Whether the model has come to its end; only usage and `[DONE]` may follow."""
        return self._reason is not None

    def feed(self, data: bytes) -> list[Signal]:
        """What these bytes say. Raises UpstreamError, RateLimited for an error in the stream, or what is no stream."""
        signals: list[Signal] = []
        for line in self._lines(data):
            self._read_line(line, signals)
        return signals

    def finish(self) -> list[Signal]:
        """What is left when the bytes end, and how the answer ended: the last is a `Finished`.

        Raises UpstreamError when the answer did not end: it broke off.
        """
        signals = self._feed_end()
        if self._reason is None:
            raise UpstreamError("The model's answer broke off before its end. Send the input again.")
        return [*signals, Finished(reason=_REASONS.get(self._reason, "stop"), usage=_usage(self._usage))]

    def _feed_end(self) -> list[Signal]:
        """The last line may lack its end; half an event after the finish reason spoils nothing."""
        try:
            return self.feed(b"\n")
        except UpstreamError:
            if self._reason is None:
                raise
            return []

    def _lines(self, data: bytes) -> list[bytes]:
        """The lines that these bytes complete; parts of a line are put together once, when its end is there."""
        if b"\n" not in data:
            self._keep(data)
            return []
        first, *lines, rest = data.split(b"\n")
        lines.insert(0, b"".join((*self._rest, first)))
        self._rest, self._rest_bytes = [], 0
        self._keep(rest)
        if self._is_first_line:
            self._is_first_line = False
            lines[0] = lines[0].removeprefix(BOM_UTF8)
        return lines

    def _keep(self, part: bytes) -> None:
        self._rest.append(part)
        self._rest_bytes += len(part)
        if self._rest_bytes > MAX_EVENT_BYTES:
            raise _unreadable()

    def _read_line(self, line: bytes, signals: list[Signal]) -> None:
        if self.is_done:
            return
        if line.startswith(b"data:"):
            self._read_data(line[5:].strip(), signals)
        elif line.strip() and not line.startswith(_IGNORED):
            raise _unreadable()

    def _read_data(self, data: bytes, signals: list[Signal]) -> None:
        if data == b"[DONE]":
            self.is_done = True
        elif data:
            self.event_count += 1
            self._read_chunk(_decode(data), signals)

    def _read_chunk(self, chunk: Chunk, signals: list[Signal]) -> None:
        if chunk.error:
            raise _stream_error(chunk.error)
        self._usage = chunk.usage or self._usage
        for choice in (chunk.choices or ())[:1]:
            self._reason = choice.finish_reason or self._reason
            if choice.delta is not None:
                self._read_delta(choice.delta, signals)

    def _read_delta(self, delta: Delta, signals: list[Signal]) -> None:
        if delta.content:
            signals.append(Text(delta.content))
        if delta.refusal:
            signals.append(Refused(delta.refusal))
        self.has_begun = self.has_begun or bool(signals or delta.reasoning_content or delta.reasoning)


def _decode(data: bytes) -> Chunk:
    try:
        return decode_chunk(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise _unreadable() from exc


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


def _unreadable() -> UpstreamError:
    return UpstreamError("The model's server answered with something that is not an answer. Send the input again.")


def _stream_error(error: Any) -> UpstreamError | RateLimited:
    code = error.get("code") if isinstance(error, dict) else None
    if code in (429, "429", "rate_limit_exceeded"):
        return RateLimited("The model's server is over its rate limit. Send the input again later.")
    return UpstreamError("The model's server reported an error in the middle of the answer. Send the input again.")
