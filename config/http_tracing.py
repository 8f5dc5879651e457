"""HTTP requests as spans. Imported only by a process that traces.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import cast

import structlog
from django.http import HttpRequest, StreamingHttpResponse
from opentelemetry import propagate
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, format_trace_id, use_span

from config.lean_handler import Response, View
from prompts.api.sse import EventStream

FIRST_SERVER_ERROR = 500
SOCKET_ROUTE = "/v1/responses"


class HttpTracing:
    """Makes a span of each request; it belongs to the trace that the client names in `traceparent`."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    async def answer(self, request: HttpRequest, view: View) -> Response:
        """Answer with the view. The span ends with the answer, and that of a stream with its last byte."""
        span = self._start_span(request)
        structlog.contextvars.bind_contextvars(trace_id=format_trace_id(span.get_span_context().trace_id))
        with use_span(span, record_exception=False, set_status_on_exception=False):
            try:
                response = await view(request)
            except BaseException:  # the client has left
                span.end()
                raise
        _describe_answer(span, request, response)
        if isinstance(response, EventStream):
            response.parts = _end_after(span, response.parts)
        elif isinstance(response, StreamingHttpResponse):
            response.streaming_content = _end_after(span, cast(AsyncIterator[bytes], response.streaming_content))
        else:
            span.end()
        return response

    @contextmanager
    def trace_turn(self, headers: Mapping[str, str], request_id: str) -> Iterator[None]:
        """Make a span of a turn on a WebSocket; it belongs to the trace that the upgrade named in `traceparent`."""
        attributes = {"network.protocol.name": "websocket", "http.route": SOCKET_ROUTE, "eps.request_id": request_id}
        span = self._tracer.start_span(
            f"WEBSOCKET {SOCKET_ROUTE}",
            context=propagate.extract(headers),
            kind=SpanKind.SERVER,
            attributes=attributes,
        )
        structlog.contextvars.bind_contextvars(trace_id=format_trace_id(span.get_span_context().trace_id))
        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            yield

    def _start_span(self, request: HttpRequest) -> Span:
        return self._tracer.start_span(
            str(request.method),
            context=propagate.extract(request.headers),
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": str(request.method),
                "url.path": request.path,
                "url.scheme": str(request.scheme),
                "user_agent.original": request.headers.get("User-Agent", ""),
                "eps.request_id": request.request_id,  # type: ignore[attr-defined]  # given by the middleware before
            },
        )


def _describe_answer(span: Span, request: HttpRequest, response: Response) -> None:
    if request.resolver_match is not None:
        route = f"/{request.resolver_match.route}"
        span.update_name(f"{request.method} {route}")
        span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", response.status_code)
    if response.status_code >= FIRST_SERVER_ERROR:
        span.set_attribute("error.type", str(response.status_code))
        span.set_status(StatusCode.ERROR)


async def _end_after(span: Span, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for part in parts:
            yield part
    finally:
        span.end()
