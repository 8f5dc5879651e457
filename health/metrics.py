"""The checks of readiness as Prometheus metrics. docs/operating/metrics.md has the table."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram

from health.checks import CheckResult

# A check asks a server nearby. Beyond the kubelet's patience of seconds nobody waits.
DURATION_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
RESULTS = ("ok", "failed")


class ProbeMetrics:
    """Counts what checks say, and how long they take. One object a process."""

    def __init__(self, registry: CollectorRegistry, *, checks: Iterable[str]) -> None:
        """The series of these `checks` begin at 0."""
        self._results = Counter(
            "eps_probe_results", "Results of readiness checks.", ("check", "result"), registry=registry
        )
        self._durations = Histogram(
            "eps_probe_duration_seconds",
            "How long readiness checks took.",
            ("check",),
            buckets=DURATION_S,
            registry=registry,
        )
        for check in checks:
            self._durations.labels(check)
            for result in RESULTS:
                self._results.labels(check, result)

    def record(self, result: CheckResult) -> None:
        """A check has run. Results that are shared count once."""
        self._results.labels(result.name, RESULTS[0] if result.is_ok else RESULTS[1]).inc()
        self._durations.labels(result.name).observe(result.duration_ms / 1000)
