"""Calls of the model as spans; each span is the parent of what its server traces."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from urllib.parse import urlsplit

from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, use_span
from typing_extensions import override

from prompts.adapters.opentelemetry.attributes import Value, describe_request, describe_usage
from prompts.adapters.opentelemetry.messages import Said, write_input
from prompts.domain.items import Item
from prompts.domain.model_request import Model, ModelRequest
from prompts.domain.signals import Called, Finished, Signal, Text, get_size
from prompts.errors import ServiceError
from prompts.ports.chat_model import Answer, ChatModel, Take, TappedAnswer, tap

OPERATION = "chat"


class TracedModel:
    """`ChatModel` whose calls are spans."""

    def __init__(self, model: ChatModel, tracer: Tracer, *, base_url: str, has_content: bool) -> None:
        """`base_url` is that of the model's server; `has_content` puts what is said into the spans."""
        self._model = model
        self._tracer = tracer
        self._server = _describe_server(base_url)
        self._has_content = has_content

    def stream(
        self, request: ModelRequest, items: Sequence[Item], *, shown: str = ""
    ) -> AbstractAsyncContextManager[Answer]:
        """See `ChatModel.stream`."""
        return self._stream(request, items, shown)

    async def list_models(self) -> Sequence[Model]:
        """See `ChatModel.list_models`."""
        return await self._model.list_models()

    @asynccontextmanager
    async def _stream(self, request: ModelRequest, items: Sequence[Item], shown: str) -> AsyncIterator[Answer]:
        call = _Call(self._start_span(request, items), Said(shown) if self._has_content else None)
        try:
            async with AsyncExitStack() as stack:
                with call.attached():
                    answer = await stack.enter_async_context(self._model.stream(request, items, shown=shown))
                yield _TracedAnswer(answer, call)
        except ServiceError as error:
            call.fail(error.code)
            raise
        finally:
            call.end()

    def _start_span(self, request: ModelRequest, items: Sequence[Item]) -> Span:
        attributes = {**describe_request(request, operation=OPERATION), **self._server, "gen_ai.request.stream": True}
        if self._has_content:
            attributes["gen_ai.input.messages"] = write_input(items)
        return self._tracer.start_span(f"{OPERATION} {request.model}", kind=SpanKind.CLIENT, attributes=attributes)


@dataclass
class _Call:
    """One call under way."""

    span: Span
    said: Said | None
    """What the model says, where that is wanted."""

    def __post_init__(self) -> None:
        self._began = perf_counter()
        self._has_begun = False
        self._has_called = False

    def attached(self) -> AbstractContextManager[Span]:
        """Work in the name of this call: its requests carry its `traceparent`."""
        return use_span(self.span, record_exception=False, set_status_on_exception=False)

    def fail(self, code: str) -> None:
        """The call failed."""
        self.span.set_attribute("error.type", code)
        self.span.set_status(StatusCode.ERROR)

    def end(self) -> None:
        """The call is over, or was left."""
        if self.said is not None:
            self.span.set_attribute("gen_ai.output.messages", self.said.write())
        self.span.end()

    def note(self, signals: Sequence[Signal]) -> None:
        """The model has said this."""
        if not self._has_begun and any(map(get_size, signals)):
            self._has_begun = True
            self.span.set_attribute("gen_ai.response.time_to_first_chunk", perf_counter() - self._began)
        self._has_called = self._has_called or any(isinstance(signal, Called) for signal in signals)
        if self.said is not None:
            self.said.hear(signals)
        match signals:
            case [*_, Finished(reason, usage)]:
                reasons = ["tool_calls" if reason == "stop" and self._has_called else reason]
                self.span.set_attributes({"gen_ai.response.finish_reasons": reasons, **describe_usage(usage)})


class _TracedAnswer(TappedAnswer):
    """The answer of one call, passed on as it is."""

    __slots__ = ("_answer", "_call")

    def __init__(self, answer: Answer, call: _Call) -> None:
        self._answer = answer
        self._call = call

    @override
    def tap(self, take: Take) -> None:
        """See `TappedAnswer`: of its text nothing is noted but what it is, where that is wanted."""
        said = self._call.said

        def take_and_hear(texts: Sequence[Text]) -> bool:
            is_taken = take(texts)
            if is_taken and said is not None:
                said.hear(texts)
            return is_taken

        tap(self._answer, take if said is None else take_and_hear)

    async def __anext__(self) -> list[Signal]:
        with self._call.attached():  # a continuation may be asked for while it is read
            signals = await anext(self._answer)
        self._call.note(signals)
        return signals


def _describe_server(base_url: str) -> dict[str, Value]:
    parts = urlsplit(base_url)
    port = parts.port or {"https": 443}.get(parts.scheme, 80)
    return {"server.address": parts.hostname or "", "server.port": port}
