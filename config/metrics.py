"""Metrics of a process that belong to no app: its HTTP requests, its pool of connections to Redis, its event loop.

All metrics of a process are in one registry, which is built here. Under gunicorn they are files that its master adds up
and serves (config/metrics_server.py); under another server they are in memory, and nobody serves them.
"""

import asyncio
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from redis.asyncio import ConnectionPool

from prompts.adapters.metrics.tally import Tally

# OpenTelemetry's boundaries for HTTP servers; beyond them for answers that are waited for as a whole.
REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 120)
LAG_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
UNMATCHED = "unmatched"
# Often enough to meet a loop that is held up now and then; two wake-ups a second cost nothing.
SAMPLE_S = 0.5


class HttpMetrics:
    """Counts requests by the pattern of their path, never by the path itself: that may be anything."""

    def __init__(self, registry: CollectorRegistry, tally: Tally) -> None:
        """`tally` is where requests are counted until they are written."""
        self._tally = tally
        labels = ("route", "method", "status")
        self._series: dict[tuple[str | None, str | None, int], tuple[Counter, Histogram]] = {}
        self._durations_found: dict[str, Histogram] = {}
        self._requests = Counter("eps_http_requests", "Answered HTTP requests.", labels, registry=registry)
        self._durations = Histogram(
            "eps_http_request_duration_seconds",
            "From an HTTP request to the head of its answer.",
            ("route",),
            buckets=REQUEST_S,
            registry=registry,
        )

    def record(self, *, route: str | None, method: str | None, status: int, took_s: float) -> None:
        """A request was answered. `route` is None when no pattern matched its path."""
        series = (route, method if method in METHODS else "other", status)
        found = self._series.get(series)
        if found is None:  # few, of which a look-up by labels is dear
            found = self._series[series] = self._find_series(*series)
        requests, durations = found
        requests.inc()
        durations.observe(took_s)

    def _find_series(self, route: str | None, method: str | None, status: int) -> tuple[Counter, Histogram]:
        named = UNMATCHED if route is None else f"/{route}"
        durations = self._durations_found.get(named)  # of one route, whatever the status
        if durations is None:
            durations = self._durations_found[named] = self._tally.take(self._durations.labels(named))
        return self._tally.take(self._requests.labels(named, method, str(status))), durations


class ProcessSampler:
    """Looks at the event loop and at a pool of connections, again and again."""

    def __init__(
        self,
        registry: CollectorRegistry,
        pool: ConnectionPool,
        *,
        sample_s: float = SAMPLE_S,
    ) -> None:
        self._pool = pool
        self._sample_s = sample_s
        self._lag = Histogram(
            "eps_event_loop_lag_seconds",
            "How much later than asked the event loop woke up.",
            buckets=LAG_S,
            registry=registry,
        )
        connections = Gauge(
            "eps_redis_pool_connections",
            "Connections to Redis.",
            ("state",),
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._idle, self._used = connections.labels("idle"), connections.labels("used")

    async def keep_sampling(self) -> None:
        """Look until cancelled."""
        while True:
            due = time.monotonic() + self._sample_s  # the loop's own clock stands still during a callback
            await asyncio.sleep(self._sample_s)
            self._lag.observe(max(0.0, time.monotonic() - due))
            (idle, _), (used, _) = self._pool.get_connection_count()
            self._idle.set(idle)
            self._used.set(used)
