"""What the Prometheus observer counts, and the bounds of its labels."""

import asyncio
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from health.checks import CheckResult
from health.metrics import ProbeMetrics
from prompts.adapters.metrics.labels import MAX_MODELS, OTHER
from prompts.adapters.metrics.observer import APPEND_S, PrometheusObserver
from prompts.adapters.metrics.tally import PAUSE_S
from prompts.domain.usage import Usage
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
    SocketOpened,
    SocketTurnServed,
)
from tests.support.scraping import Scrape, read_scrape

USAGE = Usage(100, 21, 121)
ONE_OF_EACH: list[Happening] = [
    RunStarted("resp_1", "m", is_takeover=True),
    FirstTokenCame("resp_1", "m", after_s=0.1),
    Appended(took_s=0.001),
    ModelCalled("m", 3.0, None, USAGE, 2.0, 21),
    RunEnded("resp_1", "m", status="completed", code=None, usage=USAGE, took_s=1),
    EndedOutsideRun("resp_1", "m", status="cancelled", code=None),
    RunHandedOver("resp_1"),
    RunLost("resp_1"),
    RunLeft("resp_1"),
    ModelsListed(["m"]),
    FollowerJoined(),
    FollowerLeft(),
    SocketOpened(),
    SocketClosed("client"),
    SocketTurnServed("answered"),
    ParameterIgnored("tool"),
    KnowledgeFailed("timeout"),
    IndexingStopped("failed"),
    BreakerChanged("model", "open"),
    ArchiveLooked(lag_s=0),
    Archived({"items": 1}),
]


class Counted:
    """An observer and what it has counted."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.observer = PrometheusObserver(self.registry, models=["m"])

    def notice(self, *happenings: Happening) -> Scrape:
        for happening in happenings:
            self.observer.notice(happening)
        return read_scrape(generate_latest(self.registry).decode())


@pytest.fixture
def counted() -> Counted:
    return Counted()


def test_everything_that_may_happen_is_counted(counted: Counted) -> None:
    assert {type(happening) for happening in ONE_OF_EACH} == set(get_args(Happening))
    seen = counted.notice(*ONE_OF_EACH)
    ones = {
        "eps_turns_total": {"status": "completed", "code": "none"},
        "eps_takeovers_total": {},
        "eps_hand_overs_total": {},
        "eps_lease_losses_total": {},
        "eps_log_append_duration_seconds_count": {},
        "gen_ai_server_time_to_first_token_seconds_count": {"gen_ai_request_model": "m"},
        "gen_ai_server_time_per_output_token_seconds_count": {"gen_ai_request_model": "m"},
        "gen_ai_client_operation_duration_seconds_count": {"gen_ai_request_model": "m"},
        "gen_ai_client_token_usage_count": {"gen_ai_request_model": "m", "gen_ai_token_type": "input"},
        "eps_websockets_closed_total": {"reason": "client"},
        "eps_websocket_turns_total": {"outcome": "answered"},
        "eps_ignored_parameters_total": {"kind": "tool"},
        "eps_weaviate_errors_total": {"kind": "timeout"},
        "eps_indexings_total": {"outcome": "failed"},
        "eps_archive_rows_total": {"kind": "items"},
        "eps_breaker_state": {"target": "model", "state": "open"},
    }
    assert {name: seen.get(name, **labels) for name, labels in ones.items()} == dict.fromkeys(ones, 1)
    assert seen.get("eps_turns_total", status="cancelled") == 1
    assert seen.get("eps_active_runs") == seen.get("eps_followers") == seen.get("eps_websockets") == 0
    assert seen.get("gen_ai_client_token_usage_sum", gen_ai_token_type="output") == 21
    assert seen.get("gen_ai_server_time_per_output_token_seconds_sum") == pytest.approx(0.1)


def test_series_begin_at_zero_with_the_process(counted: Counted) -> None:
    seen = counted.notice()
    assert seen.get("eps_breaker_state", state="closed") == 2
    assert {"upstream_error", "rate_limit_exceeded"} <= seen.list_labels("eps_upstream_errors", "code")
    assert {"completed", "incomplete", "cancelled", "failed"} == seen.list_labels("eps_turns", "status")
    for name in (
        "gen_ai_server_time_to_first_token_seconds",
        "gen_ai_server_time_per_output_token_seconds",
        "gen_ai_client_operation_duration_seconds",
        "gen_ai_client_token_usage",
    ):
        assert seen.list_labels(name, "gen_ai_request_model") == {"m"}


def test_runs_and_followers_are_those_of_now(counted: Counted) -> None:
    began = [RunStarted(f"resp_{number}", "m", is_takeover=False) for number in range(3)]
    seen = counted.notice(*began, RunLeft("resp_1"), FollowerJoined(), FollowerJoined(), FollowerLeft())
    assert (seen.get("eps_active_runs"), seen.get("eps_followers")) == (2, 1)
    assert seen.get("eps_takeovers_total") == 0


def test_a_failed_call_is_counted_by_its_code(counted: Counted) -> None:
    seen = counted.notice(ModelCalled("m", 1.0, "upstream_timeout", None, None, None))
    assert seen.get("eps_upstream_errors_total", code="upstream_timeout") == 1
    assert seen.get("eps_upstream_errors_total") == 1
    assert seen.get("gen_ai_client_token_usage_count") == 0


def test_one_token_has_no_pace(counted: Counted) -> None:
    seen = counted.notice(ModelCalled("m", 1.0, None, Usage(1, 1, 2), 0.5, 1))
    assert seen.get("gen_ai_server_time_per_output_token_seconds_count") == 0


async def test_what_is_counted_is_written_at_once_or_a_moment_later(counted: Counted) -> None:
    """Beside others it waits for its turn, with all that is counted meanwhile."""
    name = "eps_log_append_duration_seconds"
    counted.notice(Appended(0.0007), Appended(0.02), RunStarted("resp_1", "m", is_takeover=False))
    await asyncio.sleep(0.01)
    assert not counted.observer.tally._changed
    counted.notice(*[Appended(0.001)] * 1000)
    assert len(counted.observer.tally._changed) == 2, "a bucket and the sum"
    seen = counted.notice(RunLeft("resp_1"))
    assert (seen.get(f"{name}_count"), seen.get(f"{name}_bucket", le="0.001")) == (1002, 1001)
    assert seen.get(f"{name}_sum") == pytest.approx(1.0207)
    assert seen.get("eps_active_runs") == 0
    await asyncio.sleep(2 * PAUSE_S)
    assert not counted.observer.tally._changed


def test_a_breaker_is_in_one_state(counted: Counted) -> None:
    for state in ("open", "half_open", "closed"):
        seen = counted.notice(BreakerChanged("weaviate", state))
        assert seen.get("eps_breaker_state", target="weaviate") == 1
        assert seen.get("eps_breaker_state", target="weaviate", state=state) == 1
    assert counted.notice().get("eps_breaker_state", target="model", state="closed") == 1


# --- bounds ---


def call(model: str) -> ModelCalled:
    return ModelCalled(model, 1.0, None, USAGE, 2.0, 21)


def test_models_that_nobody_serves_share_a_label(counted: Counted) -> None:
    hostile = ["", "a" * 10_000, 'm"} 1\n', "../../etc/passwd", *(f"model-{number}" for number in range(10_000))]
    seen = counted.notice(*map(call, hostile))
    assert seen.list_labels("gen_ai_client_token_usage", "gen_ai_request_model") == {"m", OTHER}
    name = "gen_ai_client_operation_duration_seconds_count"
    assert seen.get(name, gen_ai_request_model=OTHER) == len(hostile)


def test_models_are_named_as_soon_as_they_are_listed_up_to_a_limit(counted: Counted) -> None:
    counted.notice(call("late"), ModelsListed(["late", *(f"listed-{number}" for number in range(200))]))
    seen = counted.notice(call("late"), *(call(f"listed-{number}") for number in range(200)), call("unlisted"))
    named = seen.list_labels("gen_ai_client_operation_duration_seconds", "gen_ai_request_model")
    assert {"m", "late", "listed-0", OTHER} <= named
    assert len(named - {OTHER}) == MAX_MODELS


def test_a_code_from_elsewhere_is_counted_as_other(counted: Counted) -> None:
    seen = counted.notice(
        EndedOutsideRun("resp_1", "m", status="failed", code="replica_lost"),
        RunEnded("resp_1", "m", status="failed", code="model_not_found", usage=None, took_s=1),
        RunEnded("resp_1", "m", status="failed", code="a code of some later release", usage=None, took_s=1),
    )
    counts = {code: seen.get("eps_turns_total", code=code) for code in ("replica_lost", "model_not_found", OTHER)}
    assert counts == {"replica_lost": 1, "model_not_found": 1, OTHER: 1}


# --- probes ---


def test_checks_are_counted_by_their_result() -> None:
    registry = CollectorRegistry()
    metrics = ProbeMetrics(registry, checks=["redis", "weaviate"])
    for is_ok in (True, True, False):
        metrics.record(CheckResult("redis", is_ok, "", is_required=True, duration_ms=20.0, checked_at=0))
    seen = read_scrape(generate_latest(registry).decode())
    assert seen.get("eps_probe_results_total", check="redis", result="ok") == 2
    assert seen.get("eps_probe_results_total", check="redis", result="failed") == 1
    assert seen.get("eps_probe_duration_seconds_sum", check="redis") == pytest.approx(0.06)
    assert seen.list_labels("eps_probe_results", "check") == {"redis", "weaviate"}


async def test_an_append_is_counted_in_the_bucket_that_prometheus_would_choose() -> None:
    registry, plain = CollectorRegistry(), CollectorRegistry()
    observer = PrometheusObserver(registry, models=())
    reference = Histogram("eps_log_append_duration_seconds", "", buckets=APPEND_S, registry=plain)
    for took_s in (0.0, *APPEND_S, *(2 * bound for bound in APPEND_S)):
        observer.notice(Appended(took_s))
        reference.observe(took_s)
    observer.tally.flush()
    for bound in (*map(str, map(float, APPEND_S)), "+Inf"):
        seen, wanted = (
            each.get_sample_value("eps_log_append_duration_seconds_bucket", {"le": bound}) for each in (registry, plain)
        )
        assert seen is not None
        assert seen == wanted, bound
