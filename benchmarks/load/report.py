"""The table of `make load`, for people and as JSON."""

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.load.connection import Answer
from benchmarks.load.cpu import CpuUse, describe_bound
from tests.chaos.report import percentile

PARTS = ("replicas", "Valkey", "balancer", "model", "clients")


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One line. Times are ms; `cpu_ms` is CPU a turn by part, None where replicas came or went."""

    title: str
    turns: int
    turns_a_s: float
    first_token_p50: float
    first_token_p99: float
    whole_p99: float
    failures: Sequence[str]
    cpu_ms: Mapping[str, float] | None = None
    busy_cores: float | None = None
    other_cores: float | None = None
    """Cores that programs outside this measurement used."""
    bound_by: str = ""


def summarize(
    title: str, answers: Sequence[Answer], failures: Sequence[str], seconds: float, use: CpuUse | None
) -> Phase:
    """One line from the answers that ended in these seconds. Raises StatisticsError without any."""
    waits = [answer.first_delta_ms for answer in answers]
    figures = {
        "turns": len(answers),
        "turns_a_s": len(answers) / seconds,
        "first_token_p50": statistics.median(waits),
        "first_token_p99": percentile(waits, 0.99),
        "whole_p99": percentile([answer.whole_ms for answer in answers], 0.99),
    }
    if use is None:
        return Phase(title=title, failures=failures, **figures)  # type: ignore[arg-type]  # figures have these types
    return Phase(
        title=title,
        failures=failures,
        cpu_ms={part: used * 1000 / len(answers) for part, used in use.parts.items()},
        busy_cores=use.machine_s / seconds,
        other_cores=max(0.0, use.machine_s - sum(use.parts.values())) / seconds,
        bound_by=describe_bound(use, seconds),
        **figures,  # type: ignore[arg-type]  # figures have these types
    )


def render(phases: Sequence[Phase], machine: str) -> str:
    """The table as Markdown."""
    heads = ("turns/s", "first token p50", "p99", "whole turn p99", "failed", *PARTS, "others' cores", "bound by")
    return "\n".join(
        [
            f"| | {' | '.join(heads)} |",
            f"|---|{'---:|' * (len(heads) - 1)}---|",
            *(f"| {phase.title} | {' | '.join(_list_cells(phase))} |" for phase in phases),
            "",
            "The columns from *replicas* to *clients* are CPU a turn, in ms.",
            "",
            machine,
            "",
        ]
    )


def write_json(path: Path, phases: Sequence[Phase], machine: str) -> None:
    """The same figures for programs."""
    path.write_text(json.dumps({"machine": machine, "phases": [asdict(phase) for phase in phases]}, indent=2), "utf-8")


def describe_machine() -> str:
    """What the figures depend on."""
    load, system = os.getloadavg()[0], f"{platform.system()} {platform.machine()}"
    return f"{os.cpu_count()} cores · load {load:.2f} at the start · {system} · Python {platform.python_version()}"


def _list_cells(phase: Phase) -> list[str]:
    waits = [f"{wait:.0f} ms" for wait in (phase.first_token_p50, phase.first_token_p99, phase.whole_p99)]
    shares = [f"{phase.cpu_ms[part]:.2f}" if phase.cpu_ms else "–" for part in PARTS]
    others = f"{phase.other_cores:.1f}" if phase.other_cores is not None else "–"
    return [f"{phase.turns_a_s:.1f}", *waits, str(len(phase.failures)), *shares, others, phase.bound_by or "–"]
