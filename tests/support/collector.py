"""A collector of traces: an HTTP server that takes OTLP as a real one does, and keeps the spans."""

import gzip
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from typing_extensions import override

PATH = "/v1/traces"


@dataclass(frozen=True)
class Span:
    """A span as it was received; ids in hex, no parent is an empty one."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    links: list[tuple[str, str]]
    """Trace and span that it is linked to."""
    is_error: bool
    start_ns: int
    end_ns: int

    @property
    def traceparent(self) -> str:
        """This span as the header names it, sampled."""
        return f"00-{self.trace_id}-{self.span_id}-01"


class Collector:
    """The spans that have come."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._spans: list[Span] = []
        self._lock = threading.Lock()

    @property
    def spans(self) -> list[Span]:
        """In the order in which they came."""
        with self._lock:
            return list(self._spans)

    def find(self, name: str, **attributes: Any) -> list[Span]:
        """Those of this name; an attribute's dots are written as double underscores."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        return [span for span in self.spans if span.name == name and wanted.items() <= span.attributes.items()]

    def get_children(self, parent: Span) -> list[Span]:
        """The spans right below another."""
        return [span for span in self.spans if span.parent_id == parent.span_id]

    def add(self, body: bytes) -> None:
        """What was sent to the collector."""
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            for resource_spans in request.resource_spans:
                resource = read_attributes(resource_spans.resource.attributes)
                self._spans += [
                    read_span(span, resource) for scope in resource_spans.scope_spans for span in scope.spans
                ]


@contextmanager
def run_collector() -> Iterator[Collector]:
    """A collector on a free port, in a thread."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_expected = self.path == PATH and self.headers["Content-Type"] == "application/x-protobuf"
            if is_expected:
                collector.add(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(200 if is_expected else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def read_span(span: WireSpan, resource: dict[str, Any]) -> Span:
    return Span(
        name=span.name,
        kind=WireSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=read_attributes(span.attributes),
        resource=resource,
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        is_error=span.status.code == Status.STATUS_CODE_ERROR,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
    )


def read_attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: read_value(pair.value) for pair in pairs}


def read_value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [read_value(each) for each in value.array_value.values]
    return getattr(value, str(kind))
