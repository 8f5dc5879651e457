"""The table of `make load`: what limits a phase, and what a phase without CPU accounts shows."""

import os

import pytest

from benchmarks.load.connection import Answer
from benchmarks.load.cpu import CpuUse, describe_bound
from benchmarks.load.report import render, summarize

CORES = float(os.cpu_count() or 1)
ANSWERS = [Answer(first_event_ms=1, first_delta_ms=wait, whole_ms=2 * wait, deltas=3) for wait in (10, 20, 90)]


def use_cpu(replica_s: float, model_s: float, machine_s: float) -> CpuUse:
    """A use of one replica and one model."""
    parts = {"replicas": replica_s, "Valkey": 0.0, "balancer": 0.0, "model": model_s, "clients": 0.0}
    return CpuUse(parts, {1: ("replicas", replica_s), 2: ("model", model_s)}, machine_s)


@pytest.mark.parametrize(
    ("use", "bound"),
    [
        (use_cpu(9.5, 2, 10 * CORES), "one core: replicas"),
        (use_cpu(5, 9.9, 10 * CORES), "one core: model"),
        (use_cpu(5, 5, 9.8 * CORES), "all cores"),
        (use_cpu(1, 1, 2), "the model's pace"),
    ],
)
def test_what_limits_a_phase(use: CpuUse, bound: str) -> None:
    assert describe_bound(use, 10) == bound


def test_a_phase_has_its_rates_waits_and_cpu_a_turn() -> None:
    phase = summarize("1 replica", ANSWERS, [], 2, use_cpu(0.3, 0.6, 2))
    assert (phase.turns, phase.turns_a_s, phase.first_token_p50, phase.first_token_p99) == (3, 1.5, 20, 90)
    assert phase.cpu_ms is not None
    assert (round(phase.cpu_ms["replicas"]), round(phase.cpu_ms["model"]), phase.other_cores) == (100, 200, 0.55)


def test_a_phase_in_which_replicas_come_and_go_has_no_cpu() -> None:
    phase = summarize("a rolling restart", ANSWERS, ["lost"], 2, None)
    line = next(line for line in render([phase], "2 cores").splitlines() if "rolling" in line)
    assert line == "| a rolling restart | 1.5 | 20 ms | 90 ms | 180 ms | 1 | – | – | – | – | – | – | – |"


def test_the_difference_of_two_accounts_is_by_part_and_process() -> None:
    used = use_cpu(3, 2, 9).since(use_cpu(1, 2, 4))
    assert (used.parts["replicas"], used.parts["model"], used.machine_s) == (2, 0, 5)
    assert used.processes[1] == ("replicas", 2)
