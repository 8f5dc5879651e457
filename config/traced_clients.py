"""The clients of a process that traces. No other imports this: it imports OpenTelemetry."""

from collections.abc import MutableMapping

from opentelemetry import propagate
from opentelemetry.trace import Tracer
from redis.asyncio import ConnectionPool, Redis

from config.http_tracing import HttpTracing
from prompts.adapters.opentelemetry.chat_model import TracedModel
from prompts.adapters.opentelemetry.redis_client import TracedRedis
from prompts.adapters.opentelemetry.tracing import OpenTelemetryTracing
from prompts.ports.chat_model import ChatModel
from prompts.ports.tracing import Tracing


class TracedClients:
    """Makes clients that trace what they do."""

    def __init__(self, tracer: Tracer, *, has_content: bool) -> None:
        """`has_content` puts prompts and answers into the spans."""
        self._tracer = tracer
        self._has_content = has_content
        self.http = HttpTracing(tracer)
        self.runs: Tracing = OpenTelemetryTracing(tracer)

    def open_redis(self, pool: ConnectionPool) -> Redis:
        """A client that closes its pool."""
        return TracedRedis(pool, self._tracer)

    def trace_model(self, model: ChatModel, *, base_url: str) -> ChatModel:
        """The model, with a span a call."""
        return TracedModel(model, self._tracer, base_url=base_url, has_content=self._has_content)

    def name_trace(self, headers: MutableMapping[str, str]) -> None:
        """Name the trace in a request's headers, so that the other server may go on with it."""
        propagate.inject(headers)
