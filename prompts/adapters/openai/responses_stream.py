"""A Responses stream as signals. Lenient in what it reads: events it does not know say nothing to it.

But a stream without a terminal event is a failure, and an answer with half a call was cut, whatever its status says.
Protocol: https://platform.openai.com/docs/api-reference/responses-streaming
"""

import json
from collections.abc import Iterable
from typing import Any, ClassVar, Literal, get_args

from msgspec import Raw

from prompts.adapters.openai.call_ids import is_fit_call_id, make_call_id
from prompts.adapters.openai.chat_calls import MAX_CALLS
from prompts.adapters.openai.errors import stream_error
from prompts.adapters.openai.lines import EventLines, check_event, too_large, unreadable
from prompts.adapters.openai.logprobs import read_logprob_list
from prompts.adapters.openai.odd_values import MAX_PARTS, read_parts, read_text
from prompts.adapters.openai.responses_events import (
    OutputItem,
    StreamEvent,
    decode_event,
    decode_item,
    decode_part,
    decode_response,
)
from prompts.adapters.openai.streams import wants_thoughts
from prompts.adapters.openai.surrogates import Halves
from prompts.adapters.openai.tool_names import ToolNames, name_tools
from prompts.adapters.openai.usage import read_usage
from prompts.adapters.openai.written_calls import WrittenCall
from prompts.domain.call_arguments import write_arguments
from prompts.domain.callees import LOCAL_SHELL, TOOL_SEARCH, Callee
from prompts.domain.items import Phase
from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import (
    BegunAnew,
    Finished,
    Opened,
    Refused,
    Sealed,
    Signal,
    Summarized,
    Text,
    Thought,
)
from prompts.errors import ServiceError, UpstreamError

_CALLS = ("function_call", "custom_tool_call", "local_shell_call")


class ResponsesReading:
    """`Reading` of one stream. Thoughts are said only when the request asks for reasoning."""

    def __init__(self, request: ModelRequest, names: ToolNames | None = None, *, keeps_thoughts: bool = True) -> None:
        """`names` are those under which tools were offered to a server that knows functions only.

        `keeps_thoughts`: whether what the server seals may go back to it.
        """
        self._names = names or name_tools(())
        self._keeps_thoughts = keeps_thoughts
        self._shows_thoughts = wants_thoughts(request.reasoning)
        self._wants_logprobs = request.wants_logprobs
        self._lines = EventLines()
        self._halves: dict[str, Halves] = {}
        """By the kind of event: a character may be cut in two anywhere."""
        self._has_message = False
        self._has_said = False
        """Whether there was any text, refusal or call, or a thought that was told."""
        self._thought: int | None = None
        """The latest thought, until something else was begun."""
        self._calls: dict[int, WrittenCall] = {}
        self._call_ids: set[str] = set()
        self._finished: Finished | None = None
        self._error: ServiceError | None = None
        self.has_begun = False
        self.has_reason = False
        self.is_done = False
        self.event_count = 0

    @property
    def has_all(self) -> bool:
        """See `Reading`."""
        return self._finished is not None

    @property
    def is_empty(self) -> bool:
        """See `Reading`."""
        if self._has_said or self._finished is None or self._finished.reason != "stop":
            return False
        return not (self._finished.usage and self._finished.usage.output_tokens)

    def feed(self, data: bytes) -> list[Signal]:
        """See `Reading.feed`."""
        return self._read_all(self._lines.feed(data))

    def finish(self) -> list[Signal]:
        """See `Reading.finish`. Raises RateLimited, InvalidPrompt, UpstreamError."""
        signals = self._read_all(self._lines.finish())
        if self._error is not None:
            raise self._error
        if self._finished is None:
            raise UpstreamError("The model's answer broke off before its end. Send the input again.")
        return [*signals, self._finished]

    def _read_all(self, events: Iterable[bytes | bytearray]) -> list[Signal]:
        """What these events say; what makes the answer a failure is kept for its end, after what was said before it."""
        signals: list[Signal] = []
        try:
            for said in () if self.is_done else events:
                check_event(said)
                signals += self._read(said)
                if self._finished is not None:
                    self.is_done = True
                    break
        except ServiceError as error:
            self._error = error
            self.is_done = True
        except (RecursionError, OverflowError):  # what could be read, and cannot be written
            self._error = unreadable()
            self.is_done = True
        return signals

    def _read(self, said: bytes | bytearray) -> Iterable[Signal]:
        event = decode_event(said)
        if event is None:  # `[DONE]`, which the protocol has not, ends nothing
            return ()
        self.event_count += 1
        if event.object == "response" and not event.type:
            return self._read_whole(said)
        if not event.type and (event.error or event.detail or (event.code and event.message)):
            return self._fail(event)
        reader = self._readers.get(event.type)
        return reader(self, event) if reader else ()

    def _read_text(self, event: StreamEvent) -> Iterable[Signal]:
        self.has_begun = self._has_said = True
        logprobs = read_logprob_list(event.logprobs) if self._wants_logprobs else []
        text = self._read_delta(event)
        return (Text(text, logprobs) if logprobs else Text(text),) if text else ()

    def _read_refusal(self, event: StreamEvent) -> Iterable[Signal]:
        self.has_begun = self._has_said = True
        text = self._read_delta(event)
        return (Refused(text),) if text else ()

    def _read_thought(self, event: StreamEvent) -> Iterable[Signal]:
        self.has_begun = True
        text = self._read_delta(event)
        return self._think(event, Thought(text)) if self._shows_thoughts and text else ()

    def _read_summary(self, event: StreamEvent) -> Iterable[Signal]:
        self.has_begun = True
        text = self._read_delta(event)
        return self._think(event, Summarized(text, event.summary_index or 0)) if self._shows_thoughts and text else ()

    def _think(self, event: StreamEvent, signal: Thought | Summarized | Sealed) -> Iterable[Signal]:
        """The signal; a thought that follows another one directly is an item of its own all the same."""
        self._has_said = self._has_said or self._shows_thoughts
        before, self._thought = self._thought, event.output_index
        return (signal,) if before in {None, event.output_index} else (BegunAnew(), signal)

    def _read_arguments(self, event: StreamEvent) -> Iterable[Signal]:
        call = self._calls.get(event.output_index or 0)
        return call.write(self._read_delta(event)) if call else ()

    def _read_delta(self, event: StreamEvent) -> str:
        """The text of the event, in whole characters."""
        text = event.delta
        if type(text) is str and text.isascii() and event.type not in self._halves:
            return text
        text = _read_delta(event)
        return self._halves.setdefault(event.type, Halves()).join(text)

    def _open_item(self, event: StreamEvent) -> Iterable[Signal]:
        item = decode_part(decode_item, event.item)
        if item.type == "message":
            return self._open_message(item)
        return self._call(event, item) if _is_call(item) else ()

    def _open_message(self, item: OutputItem) -> Iterable[Signal]:
        """The first text opens a message by itself; one that says what for, or a second one, is told."""
        phase: Phase | None = item.phase if item.phase in get_args(Phase) else None
        is_first, self._has_message, self._thought = not self._has_message, True, None
        return () if is_first and phase is None else (Opened(phase),)

    def _call(self, event: StreamEvent, item: OutputItem) -> Iterable[Signal]:
        index = event.output_index or 0
        callee = self._find_callee(item)
        if not callee.name:
            raise unreadable()
        if len(self._calls) == MAX_CALLS:
            raise too_large()
        is_fit = is_fit_call_id(item.call_id or "") and item.call_id not in self._call_ids
        call_id = item.call_id if item.call_id and is_fit else make_call_id()
        self._call_ids.add(call_id)
        self.has_begun, self._has_said, self._thought = True, True, None
        self._calls[index] = call = WrittenCall(index, call_id, callee, is_function=item.type == "function_call")
        return (call.begin(),)

    def _find_callee(self, item: OutputItem) -> Callee:
        namespace = read_text(item.namespace) or None
        match item.type:
            case "local_shell_call":
                return LOCAL_SHELL
            case "tool_search_call":
                return TOOL_SEARCH
            case "custom_tool_call":
                return Callee("custom", item.name or "", namespace)
        function = Callee("function", item.name or "", namespace)
        return function if namespace else self._names.find(function.name) or function

    def _close_item(self, event: StreamEvent) -> Iterable[Signal]:
        item = decode_part(decode_item, event.item)
        if item.type == "reasoning" and item.encrypted_content and self._keeps_thoughts:
            return self._think(event, Sealed(item.encrypted_content))
        return self._close_call(event, item) if _is_call(item) else ()

    def _close_call(self, event: StreamEvent, item: OutputItem) -> Iterable[Signal]:
        """What was not said of the call before: some servers stream no arguments."""
        index = event.output_index or 0
        if index not in self._calls:
            yield from self._call(event, item)
        if not self._calls[index].has_begun:
            yield from self._calls[index].write(_read_written(item))

    def _end(self, event: StreamEvent) -> Iterable[Signal]:
        """The response says how it ended: vLLM calls each end completed."""
        response = decode_part(decode_response, event.response)
        status = response.status or event.type.removeprefix("response.")
        if status not in {"completed", "incomplete"}:
            raise stream_error(response.error)
        reason = _read_reason(status, response.incomplete_details)
        signals = [each for call in self._calls.values() for each in call.finish(is_complete=reason == "stop")]
        is_cut = reason == "stop" and not all(call.is_whole for call in self._calls.values())
        self._finished = Finished("length" if is_cut else reason, read_usage(response.usage))
        self.has_reason = True
        return signals

    def _read_whole(self, said: bytes | bytearray) -> Iterable[Signal]:
        """A response that came whole: its items one after another, as if they had been streamed."""
        signals: list[Signal] = []
        whole = decode_part(decode_response, Raw(said))
        output = whole.output if isinstance(whole.output, list) else []
        if len(output) > MAX_PARTS:
            raise too_large()
        for index, given in enumerate(output):
            event = StreamEvent(output_index=index, item=Raw(json.dumps(given).encode()))
            item = decode_part(decode_item, event.item)
            signals += [*self._open_item(event), *self._read_content(event, item), *self._close_item(event)]
        return [*signals, *self._end(StreamEvent(type="", response=Raw(said)))]

    def _read_content(self, event: StreamEvent, item: OutputItem) -> Iterable[Signal]:
        """What an item that came whole says: a message or a thought."""
        if item.type == "reasoning":
            for number, part in enumerate(item.summary[:MAX_PARTS] if isinstance(item.summary, list) else ()):
                yield from self._read_summary(StreamEvent(delta=read_text(part), summary_index=number))
            if text := read_text(item.content):
                yield from self._read_thought(StreamEvent(delta=text, output_index=event.output_index))
        for part in read_parts(item.content) if item.type == "message" else ():
            said = StreamEvent(delta=part.text)
            yield from self._read_refusal(said) if part.kind == "refusal" else self._read_text(said)

    def _fail(self, event: StreamEvent) -> Iterable[Signal]:
        """What happened stands in the event (OpenAI's reference), or in an error inside of it (OpenAI's server)."""
        raise stream_error(event.error or {"code": event.code, "message": event.message or event.detail})

    _readers: ClassVar = {
        "response.output_text.delta": _read_text,
        "response.refusal.delta": _read_refusal,
        "response.reasoning_text.delta": _read_thought,
        "response.reasoning.delta": _read_thought,
        "response.reasoning_summary_text.delta": _read_summary,
        "response.function_call_arguments.delta": _read_arguments,
        "response.custom_tool_call_input.delta": _read_arguments,
        "response.output_item.added": _open_item,
        "response.output_item.done": _close_item,
        "response.completed": _end,
        "response.incomplete": _end,
        "response.failed": _end,
        "response.cancelled": _end,
        "error": _fail,
    }


def _is_call(item: OutputItem) -> bool:
    """Whether the client is to run it. What a server has searched by itself is none."""
    return item.type in _CALLS or (item.type == "tool_search_call" and item.execution == "client")


def _read_written(item: OutputItem) -> str:
    """What the model wrote of a call that came whole."""
    written = {"custom_tool_call": item.input, "local_shell_call": item.action}.get(item.type, item.arguments)
    return write_arguments(written) if written is not None else ""


def _read_delta(event: StreamEvent) -> str:
    text = read_text(event.delta)
    if not text and not isinstance(event.delta, str):
        raise unreadable()
    return text


def _read_reason(status: str, details: Any) -> Literal["stop", "length", "content_filter"]:
    if status == "completed":
        return "stop"
    reason = details.get("reason") if isinstance(details, dict) else None
    return "content_filter" if reason == "content_filter" else "length"
