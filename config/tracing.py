"""Traces by OpenTelemetry: off unless its standard variables ask for them.

The SDK reads these variables itself (docs/operating/tracing.md). Here is what it leaves to the application: whether to
trace at all, and how. What traces takes a third of a second to import; only a process that traces does.
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

    from config.traced_clients import TracedClients

log = structlog.get_logger(__name__)

SERVICE = "enhanced-prompt-service"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
# What that variable says when contents are to be in spans: the older word, and two of the newer ones.
CAPTURING = {"true", "span_only", "span_and_event"}
# A collector that is away must not hold up a process that ends; spans that it has not taken by then are lost.
MAX_FLUSH_S = 3.0


class TracingRefused(Exception):
    """The variables ask for what this service cannot do; the message says which."""


def find_exporters(environment: Mapping[str, str]) -> list[str]:
    """The exporters that are asked for, `otlp` and `console`; none when traces are off. Raises TracingRefused."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    default = "otlp" if _find_first(environment, ENDPOINTS) else "none"
    names = [name.strip() for name in (environment.get("OTEL_TRACES_EXPORTER") or default).lower().split(",")]
    exporters = [name for name in names if name not in ("", "none")]
    if unknown := set(exporters) - {"otlp", "console"}:
        raise TracingRefused(f"OTEL_TRACES_EXPORTER can be otlp, console or none, not {', '.join(sorted(unknown))}.")
    protocol = _find_first(environment, PROTOCOLS) or PROTOCOL
    if "otlp" in exporters and protocol != PROTOCOL:
        raise TracingRefused(f"OTEL_EXPORTER_OTLP_PROTOCOL can be {PROTOCOL}, not {protocol}.")
    return exporters


def has_content(environment: Mapping[str, str]) -> bool:
    """Whether prompts and answers are to be in the spans."""
    return environment.get(CAPTURE, "").strip().lower() in CAPTURING


@asynccontextmanager
async def open_tracing(replica_id: str) -> AsyncIterator["TracedClients | None"]:
    """What traces in this process, or None when traces are off. It is opened after the fork: it has a thread.

    Variables that cannot be obeyed turn traces off, and the log says so: the service must not stop for them.
    """
    try:
        exporters = find_exporters(os.environ)
    except TracingRefused as error:
        log.warning("not_traced", reason=str(error))
        exporters = []
    if not exporters:
        yield None
        return
    from config.traced_clients import TracedClients

    provider = _build_provider(exporters, replica_id)
    is_capturing = has_content(os.environ)
    log.info("traced", exporters=exporters, has_content=is_capturing)
    try:
        yield TracedClients(provider.get_tracer(SERVICE), has_content=is_capturing)
    finally:
        await _shut_down(provider)


def _build_provider(exporters: list[str], replica_id: str) -> "TracerProvider":
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # The detector reads OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, which count more than ours.
    own = Resource.create({"service.name": SERVICE, "service.instance.id": replica_id})
    provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    for name in exporters:
        provider.add_span_processor(BatchSpanProcessor(_build_exporter(name)))
    return provider


def _build_exporter(name: str) -> "SpanExporter":
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


async def _shut_down(provider: "TracerProvider") -> None:
    """Send what is left, in a thread that the process does not wait for when it ends."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()

    def shut_down() -> None:
        provider.shutdown()
        with suppress(RuntimeError):  # it took too long, and the loop is closed
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=shut_down, name="send spans", daemon=True).start()
    with suppress(TimeoutError):
        async with asyncio.timeout(MAX_FLUSH_S):
            await ended.wait()


def _find_first(environment: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((value for name in names if (value := environment.get(name, "").strip())), None)
