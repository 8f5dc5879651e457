"""Measures one round of load on a server, and compares two servers round by round."""

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from benchmarks.load_generator import Answer, Job, Report
from benchmarks.servers import MeasuredServer
from tests.support.processes import REPO_ROOT

Figures = Mapping[str, float]
# Measures one round on a server. It is called many times, in turn with the other server's.
MeasureRound = Callable[[MeasuredServer], Figures]

encode = msgspec.json.Encoder().encode
decode_report = msgspec.json.Decoder(Report).decode


@dataclass(frozen=True)
class Row:
    """One line of the table. `is_more_better`: whether a larger ratio is better."""

    what: str
    ours: str
    other_name: str
    other: str
    ratio: float
    is_more_better: bool


@dataclass(frozen=True)
class Metric:
    """A figure of a round: its key, its title, its format."""

    key: str
    title: str
    form: str = "{:.1f} ms"
    is_more_better: bool = False


class BenchmarkError(Exception):
    """A figure could not be measured; the message says why."""


class LoadClient:
    """The process of the load generator."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def run(self, job: Job) -> Report:
        """Run a job. Raises BenchmarkError when any answer is wrong."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(encode(job) + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkError("the clients' process ended")
        report = decode_report(line)
        if report.error is not None:
            raise BenchmarkError(report.error)
        return report


@contextmanager
def open_client() -> Iterator[LoadClient]:
    """Start the load generator; it ends when its stdin is closed."""
    command = [sys.executable, "-m", "benchmarks.load_generator"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=REPO_ROOT, stdin=pipe, stdout=pipe) as process:
        yield LoadClient(process)


def measure(client: LoadClient, server: MeasuredServer, job: Job) -> dict[str, float]:
    """The figures of one job: answers a second, the server's CPU an answer, and waiting times in ms."""
    cpu_s = server.get_cpu_s()
    report = client.run(job)
    cpu_s = server.get_cpu_s() - cpu_s
    count = len(report.answers)
    return {
        "per_s": count / report.seconds,
        "cpu_ms": cpu_s * 1000 / count,
        **_spread("first_event", [answer.first_event_ms for answer in report.answers]),
        **_spread("first_delta", [answer.first_delta_ms for answer in report.answers]),
        **_spread("whole", [answer.whole_ms for answer in report.answers]),
    }


def compare(
    a: MeasuredServer, b: MeasuredServer, *, measure_round: MeasureRound, rounds: int, metrics: Sequence[Metric]
) -> list[Row]:
    """Measure in turn, A B A B …: the medians, and the median of the ratios of each A to the B after it."""
    played = [(measure_round(a), measure_round(b)) for _ in range(rounds)]
    return [_compare_metric(metric, b.name, played) for metric in metrics]


def count_deltas(answers: Sequence[Answer]) -> int:
    return sum(answer.deltas for answer in answers)


def _compare_metric(metric: Metric, other_name: str, played: Sequence[tuple[Figures, Figures]]) -> Row:
    ours = [pair[0][metric.key] for pair in played]
    other = [pair[1][metric.key] for pair in played]
    return Row(
        what=metric.title,
        ours=metric.form.format(statistics.median(ours)),
        other_name=other_name,
        other=metric.form.format(statistics.median(other)),
        ratio=statistics.median(a / b for a, b in zip(ours, other, strict=True)),
        is_more_better=metric.is_more_better,
    )


def _spread(name: str, values: Sequence[float]) -> dict[str, float]:
    return {f"{name}_p50": statistics.median(values), f"{name}_p99": statistics.quantiles(values, n=100)[98]}
