"""What happens in a process, as Prometheus metrics. docs/operating/metrics.md has the table.

Names and units follow OpenTelemetry's conventions for generative AI where these have one.
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from prompts.adapters.metrics.labels import MODEL_NOT_FOUND, CodeLabels, ModelLabels
from prompts.adapters.metrics.tally import Tally
from prompts.errors import (
    AnswerTooLarge,
    InternalError,
    InvalidImage,
    InvalidPrompt,
    RateLimited,
    ReplicaLost,
    UpstreamError,
    UpstreamTimeout,
)
from prompts.ports.observer import (
    Appended,
    Archived,
    ArchiveLooked,
    BreakerChanged,
    EndedOutsideRun,
    FirstTokenCame,
    FollowerJoined,
    FollowerLeft,
    Happening,
    IndexingStopped,
    KnowledgeFailed,
    ModelCalled,
    ModelsListed,
    ParameterIgnored,
    RunEnded,
    RunHandedOver,
    RunLeft,
    RunLost,
    RunStarted,
    SocketClosed,
    SocketEnd,
    SocketOpened,
    SocketTurnServed,
)

MODEL = "gen_ai_request_model"
NO_CODE = "none"
# What a call of the model fails with; and what else ends a turn as failed. Their series begin at 0 with the process.
UPSTREAM_CODES = (
    *(
        error.code
        for error in (UpstreamError, UpstreamTimeout, RateLimited, InvalidPrompt, InvalidImage, AnswerTooLarge)
    ),
    MODEL_NOT_FOUND,
)
FAILURE_CODES = (*UPSTREAM_CODES, InternalError.code, ReplicaLost.code)

# The conventions' boundaries; to the first token also those of models that think for minutes.
FIRST_TOKEN_S = (*(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10), 30, 60, 120)
OUTPUT_TOKEN_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)
OPERATION_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68)
TOKENS = tuple(4**power for power in range(14))
# A round trip on the local network is below a millisecond; beyond the lease nothing is waited for.
APPEND_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


ARCHIVE_KINDS = ("conversations", "timelines", "items", "responses", "erased")


class PrometheusObserver:
    """`Observer` that counts. In memory, or in the files of `PROMETHEUS_MULTIPROC_DIR` when that is set."""

    def __init__(self, registry: CollectorRegistry, *, models: Iterable[str]) -> None:
        """`models` are those that are configured; others are named as soon as the model's server lists them."""
        self.tally = Tally()
        """What is counted and not written yet."""
        self._codes = CodeLabels()
        self._models = ModelLabels(models)
        self._runs = _RunMetrics(registry, self.tally)
        self._calls = _CallMetrics(registry, self.tally)
        self._servers = _ServerMetrics(registry)
        self._sockets = _SocketMetrics(registry)
        self._archive = _ArchiveMetrics(registry)
        self._handlers: Mapping[type[Happening], Callable[[Any], None]] = {
            Appended: self._appended,
            RunStarted: self._run_started,
            FirstTokenCame: self._first_token_came,
            RunEnded: self._turn_ended,
            EndedOutsideRun: self._turn_ended,
            RunHandedOver: lambda _: self._runs.hand_overs.inc(),
            RunLost: lambda _: self._runs.lease_losses.inc(),
            RunLeft: self._run_left,
            FollowerJoined: lambda _: self._runs.followers.inc(),
            FollowerLeft: lambda _: self._runs.followers.dec(),
            SocketOpened: lambda _: self._sockets.open.inc(),
            SocketClosed: self._socket_closed,
            SocketTurnServed: lambda told: self._sockets.turns[told.outcome].inc(),
            ModelCalled: self._model_called,
            ModelsListed: lambda told: self._models.learn(told.models),
            ParameterIgnored: lambda told: self._servers.ignored[told.kind].inc(told.count),
            KnowledgeFailed: lambda told: self._servers.weaviate_errors[told.kind].inc(),
            IndexingStopped: lambda told: self._servers.indexings[told.outcome].inc(),
            BreakerChanged: self._breaker_changed,
            ArchiveLooked: lambda told: self._archive.lag.set(told.lag_s),
            Archived: self._archived,
        }
        for model in self._models.list_configured():
            self._calls.get(model)

    def notice(self, happening: Happening) -> None:
        """See `Observer.notice`."""
        self._handlers[type(happening)](happening)

    def _appended(self, told: Appended) -> None:
        self._runs.appends.observe(told.took_s)

    def _run_started(self, told: RunStarted) -> None:
        self._runs.active.inc()
        if told.is_takeover:
            self._runs.takeovers.inc()

    def _run_left(self, _: RunLeft) -> None:
        self._runs.active.dec()

    def _turn_ended(self, told: RunEnded | EndedOutsideRun) -> None:
        code = NO_CODE if told.code is None else self._codes.get(told.code)
        self._runs.find_turns(told.status, code).inc()

    def _first_token_came(self, told: FirstTokenCame) -> None:
        self._calls.get(self._models.get(told.model)).first_token.observe(told.after_s)

    def _model_called(self, told: ModelCalled) -> None:
        metrics = self._calls.get(self._models.get(told.model))
        metrics.operation.observe(told.took_s)
        if told.code is not None:
            self._servers.upstream_errors.labels(self._codes.get(told.code)).inc()
        if told.usage is not None:
            metrics.input_tokens.observe(told.usage.input_tokens)
            metrics.output_tokens.observe(told.usage.output_tokens)
        if told.writing_s is not None and told.written_tokens is not None and told.written_tokens > 1:
            metrics.output_token.observe(told.writing_s / (told.written_tokens - 1))

    def _socket_closed(self, told: SocketClosed) -> None:
        self._sockets.open.dec()
        self._sockets.closed[told.reason].inc()

    def _archived(self, told: Archived) -> None:
        for kind, count in told.rows.items():
            self._archive.rows[kind].inc(count)

    def _breaker_changed(self, told: BreakerChanged) -> None:
        for state, gauge in self._servers.breakers[told.target].items():
            gauge.set(state == told.state)


class _RunMetrics:
    """Turns, and the runs and followers of this process."""

    def __init__(self, registry: CollectorRegistry, tally: Tally) -> None:
        self._tally = tally
        self._turns = Counter("eps_turns", "Responses that ended.", ("status", "code"), registry=registry)
        self._turns_found: dict[tuple[str, str], Counter] = {}
        self.active = tally.take(_gauge("eps_active_runs", "Answers that are being written.", registry))
        self.followers = tally.take(_gauge("eps_followers", "Requests that follow an answer.", registry))
        self.takeovers = Counter("eps_takeovers", "Runs that went on with another run's answer.", registry=registry)
        self.hand_overs = Counter("eps_hand_overs", "Runs that a leaving process gave to others.", registry=registry)
        self.lease_losses = Counter("eps_lease_losses", "Runs that found they may write no more.", registry=registry)
        help_text = "From a group of events to Redis's acknowledgement."
        self.appends = tally.take(
            Histogram("eps_log_append_duration_seconds", help_text, buckets=APPEND_S, registry=registry)
        )
        for status in ("completed", "incomplete", "cancelled"):
            self.find_turns(status, NO_CODE)
        for code in FAILURE_CODES:
            self.find_turns("failed", code)

    def find_turns(self, status: str, code: str) -> Counter:
        """Those that ended so. There are few; a look-up by labels is dear."""
        found = self._turns_found.get((status, code))
        if found is None:
            found = self._turns_found[status, code] = self._tally.take(self._turns.labels(status, code))
        return found


class _SocketMetrics:
    """WebSockets of this process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.open = _gauge("eps_websockets", "WebSockets that are open.", registry)
        closed = Counter("eps_websockets_closed", "WebSockets that were closed.", ("reason",), registry=registry)
        self.closed = {reason: closed.labels(reason) for reason in get_args(SocketEnd)}
        turns = Counter("eps_websocket_turns", "Turns on WebSockets.", ("outcome",), registry=registry)
        self.turns = {outcome: turns.labels(outcome) for outcome in _list_values(SocketTurnServed, "outcome")}


class _ArchiveMetrics:
    """The copy in SQL."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # Each process looks at all of it; the latest look is the truth.
        self.lag = Gauge(
            "eps_archive_lag_seconds",
            "For how long the oldest change has waited to be archived.",
            multiprocess_mode="livemostrecent",
            registry=registry,
        )
        rows = Counter(
            "eps_archive_rows", "Rows written to the archive, and things erased.", ("kind",), registry=registry
        )
        self.rows = {kind: rows.labels(kind) for kind in ARCHIVE_KINDS}


class _CallMetrics:
    """Calls of the models."""

    def __init__(self, registry: CollectorRegistry, tally: Tally) -> None:
        self._take = tally.take

        def build(name: str, help_text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(name, help_text, (*labels, MODEL), buckets=buckets, registry=registry)

        self._first_token = build(
            "gen_ai_server_time_to_first_token_seconds",
            "From the start of a new answer to its first word.",
            FIRST_TOKEN_S,
        )
        self._output_token = build(
            "gen_ai_server_time_per_output_token_seconds",
            "Between two tokens of a call, after its first word.",
            OUTPUT_TOKEN_S,
        )
        self._operation = build(
            "gen_ai_client_operation_duration_seconds", "From a call of the model to its end.", OPERATION_S
        )
        self._tokens = build("gen_ai_client_token_usage", "Tokens of a call, as reported.", TOKENS, "gen_ai_token_type")
        self._models: dict[str, _ModelMetrics] = {}

    def get(self, model: str) -> "_ModelMetrics":
        """Those of one model, by its label; from the first time on its series are there."""
        if model not in self._models:
            self._models[model] = _ModelMetrics(
                first_token=self._take(self._first_token.labels(model)),
                output_token=self._take(self._output_token.labels(model)),
                operation=self._take(self._operation.labels(model)),
                input_tokens=self._take(self._tokens.labels("input", model)),
                output_tokens=self._take(self._tokens.labels("output", model)),
            )
        return self._models[model]


@dataclass(frozen=True, slots=True)
class _ModelMetrics:
    """The series of one model: finding them by their labels costs as much as counting."""

    first_token: Histogram
    output_token: Histogram
    operation: Histogram
    input_tokens: Histogram
    output_tokens: Histogram


class _ServerMetrics:
    """What other servers fail at, and what is left out of requests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.upstream_errors = Counter(
            "eps_upstream_errors", "Calls of the model that failed, after all tries.", ("code",), registry=registry
        )
        for code in UPSTREAM_CODES:
            self.upstream_errors.labels(code)
        weaviate_errors = Counter("eps_weaviate_errors", "Calls of Weaviate that failed.", ("kind",), registry=registry)
        self.weaviate_errors = {kind: weaviate_errors.labels(kind) for kind in _list_values(KnowledgeFailed, "kind")}
        indexings = Counter("eps_indexings", "Files whose indexing is over here.", ("outcome",), registry=registry)
        self.indexings = {outcome: indexings.labels(outcome) for outcome in _list_values(IndexingStopped, "outcome")}
        ignored = Counter("eps_ignored_parameters", "Parts of requests left out.", ("kind",), registry=registry)
        self.ignored = {kind: ignored.labels(kind) for kind in _list_values(ParameterIgnored, "kind")}
        # 1 when any process of the replica is in the state: each has its own breakers.
        breaker = Gauge(
            "eps_breaker_state",
            "1 when a circuit breaker is in this state.",
            ("target", "state"),
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.breakers = {
            target: {state: breaker.labels(target, state) for state in _list_values(BreakerChanged, "state")}
            for target in _list_values(BreakerChanged, "target")
        }
        for states in self.breakers.values():
            states["closed"].set(1)


def _gauge(name: str, help_text: str, registry: CollectorRegistry) -> Gauge:
    """One whose values are added up over the processes that live."""
    return Gauge(name, help_text, multiprocess_mode="livesum", registry=registry)


def _list_values(happening: type[Happening], field: str) -> tuple[str, ...]:
    """What a field of a happening may say."""
    return get_args(happening.__annotations__[field])
