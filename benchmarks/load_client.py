"""The load generator (`go/load`) as Python sees it: a job in, a report out."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import msgspec
from msgspec import Struct

from benchmarks.programs import build

Value = TypeVar("Value")


class Job(Struct, kw_only=True):
    """What to send: see `Job` in `go/load/main.go`. A request is text as it goes over the wire."""

    port: int
    lanes: Sequence[Sequence[str]]
    seconds: float = 0.0
    ramp_s: float = 0.0
    token: str = ""
    end: str = ""
    from_s: float = 0.0
    to_s: float = 0.0
    pause_ms: int = 0
    keep: int = 0
    probe: str = ""


class Spread(Struct, kw_only=True):
    """Many times; milliseconds."""

    p50: float
    p99: float
    max: float


class Report(Struct, kw_only=True):
    """What became of a job. `answers` are the whole ones; `failures` counts the others by their reason."""

    seconds: float
    answers: int
    tokens: int
    window_tokens: int
    first_event_ms: Spread
    first_token_ms: Spread
    whole_ms: Spread
    gap_ms: Spread
    probe_ms: Spread
    failures: dict[str, int]
    kept: list[str]

    @property
    def failed(self) -> int:
        return sum(self.failures.values())


class BenchmarkError(Exception):
    """A figure could not be measured; the message says why."""


class LoadClient:
    """The process of the load generator."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def run(self, job: Job) -> Report:
        """Run a job in which nothing may fail. Raises BenchmarkError."""
        report = self.try_(job)
        if report.failures:
            raise BenchmarkError(f"requests failed: {report.failures}")
        return report

    def try_(self, job: Job) -> Report:
        """Run a job in which requests may fail."""
        return self.run_beside(job, lambda: None)[0]

    def run_beside(self, job: Job, look: Callable[[], Value]) -> tuple[Report, Value]:
        """Run a job, and call `look` when it has begun."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(job) + b"\n")
        self._process.stdin.flush()
        seen = look()
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkError("the load generator ended")
        return msgspec.json.decode(line, type=Report), seen


@contextmanager
def open_client() -> Iterator[LoadClient]:
    """Start a load generator, and end it."""
    pipe = subprocess.PIPE
    with subprocess.Popen([build("load")], stdin=pipe, stdout=pipe) as process:
        try:
            yield LoadClient(process)
        finally:
            process.kill()  # it may be in the middle of a job
