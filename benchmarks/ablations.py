"""What the parts of our service cost: each is taken away by itself, and the same load is sent (`make bench WHY=1`).

To add one: a line in ABLATIONS, of settings or of a part that `without.py` takes away.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.comparison import compose_row, play
from benchmarks.contestants import OURS, Bench, Contestant
from benchmarks.streams import MANY_RUNS, measure_streams
from benchmarks.table import Table
from benchmarks.turns import measure_burst, measure_turns
from benchmarks.without import APPLICATION, FREEZING, LOG, ROUNDS

STREAMS = 50
WITHOUT_IT = "without it"


@dataclass(frozen=True)
class Ablation:
    """One part less. `settings` may name a part of `without.py`."""

    title: str
    settings: Mapping[str, str] = field(default_factory=dict)


ABLATIONS = (
    Ablation("no log lines", {"LOG_LEVEL": "ERROR"}),
    Ablation("no archive", {"ARCHIVE": "false"}),
    Ablation("no metrics served", {"METRICS_PORT": "0"}),
    Ablation("no appends to Redis", {"WITHOUT": LOG, "LEASE_S": "600"}),
    Ablation("no rounds", {"WITHOUT": ROUNDS}),
    Ablation("the garbage collector as Python leaves it", {"WITHOUT": FREEZING}),
)


@dataclass(frozen=True)
class Costs:
    """CPU of the server: a turn in ms, a token of a burst and a paced one in µs. `p99_ms` is a whole turn's."""

    turn_ms: float
    p99_ms: float
    burst_us: float
    paced_us: float


def measure_ablations(bench: Bench, table: Table) -> None:
    """Each beside the whole service, in turn."""
    with bench.start_ours(OURS, **MANY_RUNS) as whole:
        measure_turns(bench, whole, seconds=1)
        for ablation in ABLATIONS:
            application = APPLICATION if "WITHOUT" in ablation.settings else "config.asgi:application"
            with bench.start_ours(ablation.title, application, **MANY_RUNS, **ablation.settings) as less:
                measure_turns(bench, less, seconds=1)  # fills caches, opens connections
                played = play([whole, less], lambda each: _measure(bench, each), bench.rounds(1, 3))
            _add_rows(table, ablation.title, played)


def _measure(bench: Bench, contestant: Contestant) -> Costs:
    seconds = bench.seconds(1, 2)
    turns = measure_turns(bench, contestant, seconds=seconds)
    burst = measure_burst(bench, contestant, seconds=seconds)
    paced = measure_streams(bench, contestant, STREAMS, seconds=seconds)
    return Costs(turns.cpu_ms, turns.report.whole_ms.p99, burst.cpu_us_a_token, paced.cpu_us)


def _add_rows(table: Table, title: str, played: Mapping[str, list[Costs]]) -> None:
    beside = {OURS: played[OURS], WITHOUT_IT: played[title]}
    rows: tuple[tuple[str, str, int, Callable[[Costs], float]], ...] = (
        ("CPU a turn", "ms", 2, lambda each: each.turn_ms),
        ("turn, p99", "ms", 0, lambda each: each.p99_ms),
        ("CPU a token of a burst", "µs", 1, lambda each: each.burst_us),
        (f"CPU a token, {STREAMS} streams of 20 tokens/s", "µs", 0, lambda each: each.paced_us),
    )
    for what, unit, digits, pick in rows:
        table.add(compose_row(f"{title}: {what}", beside, pick, unit=unit, digits=digits, beside=WITHOUT_IT))
