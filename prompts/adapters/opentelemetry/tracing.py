"""Runs as spans, and the traces that they belong to."""

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import UNSET
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from prompts.adapters.opentelemetry.attributes import describe_end, describe_place, describe_request
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import Response

HEADER = "traceparent"
OPERATION = "invoke_agent"

_propagator = TraceContextTextMapPropagator()


class OpenTelemetryTracing:
    """`Tracing` with an OpenTelemetry tracer."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def find_traceparent(self) -> str | None:
        """See `Tracing.find_traceparent`."""
        carrier: dict[str, str] = {}
        if trace.get_current_span().is_recording():
            _propagator.inject(carrier)
        return carrier.get(HEADER)

    @contextmanager
    def trace_run(self, response: Response, request: ModelRequest, *, is_takeover: bool) -> Iterator["RunSpan"]:
        """See `Tracing.trace_run`."""
        attributes = describe_request(request, operation=OPERATION) | describe_place(response)
        with self._tracer.start_as_current_span(
            OPERATION,
            context=Context() if is_takeover else None,
            kind=SpanKind.INTERNAL,
            attributes={**attributes, "eps.run.is_takeover": is_takeover},
            links=_find_links(request) if is_takeover else (),
            record_exception=False,  # a run is cancelled whenever it is handed over
            set_status_on_exception=False,
        ) as span:
            yield RunSpan(span)


class RunSpan:
    """`RunTrace` as a span."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self, ending: str, *, response: Response | None, code: str | None) -> None:
        """See `RunTrace.end`."""
        self._span.set_attribute("eps.run.ending", ending)
        if response is not None:
            self._span.set_attributes(describe_end(response))
        if code is not None:
            self._span.set_attribute("error.type", code)
            self._span.set_status(StatusCode.ERROR)


def _find_links(request: ModelRequest) -> list[Link]:
    """A link to the trace of the request that the response answers, where somebody traced it."""
    if request.traceparent is UNSET:
        return []
    context = trace.get_current_span(_propagator.extract({HEADER: request.traceparent})).get_span_context()
    return [Link(context)] if context.is_valid else []
