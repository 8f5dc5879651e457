"""The table at the end of `make chaos`."""

import math
from collections.abc import Iterator, Sequence

from tests.chaos.answers import Answer
from tests.chaos.experiment import Experiment

MB = 1024 * 1024


def render(experiment: Experiment, *, memory: tuple[int, int], left: dict[str, int]) -> str:
    """The results as Markdown. `memory` is Redis's memory before and after; `left` the remaining keys by kind."""
    rows = [*_list_faults_injected(experiment), *_list_outcomes(experiment), *_list_leftover_keys(memory, left)]
    return "\n".join(["| what | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile, a measured value; 0 without values."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] if ranked else 0.0


def _list_faults_injected(experiment: Experiment) -> Iterator[tuple[str, str]]:
    counts, cluster = experiment.results.counts, experiment.cluster
    kills = [counts[f"{what} killed"] for what in ("replicas", "workers", "Valkeys")]
    yield "killed: replicas / single workers / Valkeys", " / ".join(map(str, kills))
    yield "replicas frozen past their lease / replaced", f"{counts['replicas frozen']} / {counts['replicas replaced']}"
    taken, handed = cluster.list_logged("response_taken_over"), cluster.list_logged("run_ended", status="handed_over")
    yield "takeovers, of which of runs handed over", f"{len(taken)}, {len(handed)}"
    yield (
        "connections lost, 503s waited out",
        f"{len(experiment.results.lost_connections)}, {_count_refusals(experiment)}",
    )


def _list_outcomes(experiment: Experiment) -> Iterator[tuple[str, str]]:
    counts, answers = experiment.results.counts, experiment.results.answers
    yield "answers, of which through the plain SDK", f"{len(answers)}, {counts['answers through the SDK']}"
    yield "tokens lost / repeated", f"{counts['tokens lost']} / {counts['tokens repeated']}"
    yield "given up after 3 attempts, partial text kept", str(counts["given up"])
    yield "longest pause in an answer: p50 / p99 / max", _describe_pauses(answers)
    taken = {line["response_id"] for _, line in experiment.cluster.list_logged("response_taken_over")}
    yield "the same where a run was taken over", _describe_pauses([a for a in answers if a.response_id in taken])
    yield "failed requests in the rolling restart", str(counts["failed requests"])
    cancels = (f"{percentile(experiment.results.cancels_s, share) * 1000:.0f} ms" for share in (0.5, 0.95))
    yield "cancel elsewhere until the model is left: p50 / p95", " / ".join(cancels)


def _list_leftover_keys(memory: tuple[int, int], left: dict[str, int]) -> Iterator[tuple[str, str]]:
    before, after = memory
    yield "Redis memory before / after everything was deleted", f"{before / MB:.1f} / {after / MB:.1f} MB"
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(left.items()))
    yield "keys left, with a time to live", kinds or "none"


def _describe_pauses(answers: Sequence[Answer]) -> str:
    pauses = [reader.longest_pause_s for answer in answers for reader in answer.all_readers]
    shares = (0.5, 0.99, 1)
    return " / ".join(f"{percentile(pauses, share):.2f}" for share in shares) + f" s ({len(pauses)} readers)"


def _count_refusals(experiment: Experiment) -> str:
    counts = experiment.results.counts
    return str(sum(counts[name] for name in counts if name.startswith("503")))
