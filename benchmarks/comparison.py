"""One round of load, and what is read from it; two contenders in turn, compared pair by pair."""

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
# A round of one server; called again and again, in turn with the other's.
MeasureRound = Callable[[MeasuredServer], Figures]

encode = msgspec.json.Encoder().encode
decode_report = msgspec.json.Decoder(Report).decode


@dataclass(frozen=True)
class Row:
    """One line of the table; `is_more_better` says which way the ratio should go."""

    what: str
    ours: str
    other_name: str
    other: str
    ratio: float
    is_more_better: bool


@dataclass(frozen=True)
class Metric:
    """A figure of a round: its key, how it is called, how it is written."""

    key: str
    title: str
    form: str = "{:.1f} ms"
    is_more_better: bool = False


class BenchmarkError(Exception):
    """A figure could not be taken; the message says why."""


class LoadClient:
    """The clients' process."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def run(self, job: Job) -> Report:
        """Raises BenchmarkError when any answer was not what it should be."""
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
    """Start it; it ends when its stdin does."""
    command = [sys.executable, "-m", "benchmarks.load_generator"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=REPO_ROOT, stdin=pipe, stdout=pipe) as process:
        yield LoadClient(process)


def measure(client: LoadClient, server: MeasuredServer, job: Job) -> dict[str, float]:
    """The figures of one job: a second's answers, the server's CPU an answer, and how long clients waited, in ms."""
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
    """A B A B …: medians over the rounds, and the median of the ratios of each A to the B after it."""
    played = [(measure_round(a), measure_round(b)) for _ in range(rounds)]
    return [_compare_metric(metric, b.name, played) for metric in metrics]


def count_deltas(answers: Sequence[Answer]) -> int:
    """How many tokens were streamed."""
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
