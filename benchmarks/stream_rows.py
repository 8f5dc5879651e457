"""The rows of paced streams, and the curves of the pictures."""

from benchmarks.comparison import Played, add_ratio, compose_row, play
from benchmarks.contestants import BARE, OURS, PLAIN, Bench, Contestant
from benchmarks.streams import EVEN_GAP_MS, MANY_RUNS, Streams, measure_idle_redis, measure_streams
from benchmarks.table import Bar, Row, Table
from benchmarks.without import APPLICATION, LOG

STEPS = (50, 100, 150, 200, 300, 400, 500, 600, 750, 1000)
# Of a short run; and of bare ASGI, the limit, which carries them all.
FEW_STEPS = (50, 200, 500, 1000)
FEW, MORE = 50, 200
# So many streams run while readiness is asked, whether they are even or not.
PROBED = (150, 500, 1000)


def measure_paced(bench: Bench, table: Table, ours: Contestant, others: list[Contestant]) -> None:
    """Streams of 20 tokens a second: some and more of everybody, and how many one worker carries."""
    idle = measure_idle_redis(bench, ours)
    seconds = bench.seconds(2, 4)
    plain, *_ = others

    def measure(contestant: Contestant, count: int) -> Streams:
        return measure_streams(bench, contestant, count, seconds=seconds, idle_redis=idle)

    few = play([ours, *others], lambda each: measure(each, FEW), bench.rounds(1, 3))
    _add_costs(table, FEW, few, Bar(0.25))
    what = "bytes a token in the append-only file"
    table.add(compose_row(what, few, lambda each: each.aof_bytes, digits=0, note=f"{FEW} streams"))
    more = play([ours, plain], lambda each: measure(each, MORE), bench.rounds(1, 2))
    _add_costs(table, MORE, more, None)
    known = {each.name: {FEW: few[each.name][-1]} for each in (ours, *others)}
    for each in (ours, plain):
        known[each.name][MORE] = more[each.name][-1]
    found = {OURS: _climb(bench, ours, known[OURS], to_the_top=True)}
    for each in [plain] if bench.is_quick else others:
        found[each.name] = _climb(bench, each, known[each.name])
    _add_carried(table, found)
    _add_probes(table, found[OURS])
    table.curves = {name: [_sum_up(streams) for streams in each.values()] for name, each in found.items()}


def measure_log(bench: Bench, table: Table, ours: Contestant) -> None:
    """Ours beside ours whose appends reach no Redis, as `without.py` does it."""
    settings = {"WITHOUT": LOG, "LEASE_S": "600", **MANY_RUNS}
    note = "without: our service, whose appends are acknowledged at once by nobody"
    with bench.start_ours("ours without the log", APPLICATION, **settings) as without:
        for count in (FEW,) if bench.is_quick else (FEW, MORE):
            pairs = [(_measure_cpu(bench, ours, count), _measure_cpu(bench, without, count)) for _ in _rounds(bench)]
            what = f"CPU a token with the log against without, {count} streams"
            add_ratio(table, what, pairs, Bar(1.25, of_ours=True), note=note)


def _rounds(bench: Bench) -> range:
    return range(bench.rounds(1, 3))


def _measure_cpu(bench: Bench, contestant: Contestant, count: int) -> float:
    return measure_streams(bench, contestant, count, seconds=bench.seconds(2, 4)).cpu_us


def _climb(
    bench: Bench, contestant: Contestant, known: dict[int, Streams], *, to_the_top: bool = False
) -> dict[int, Streams]:
    """More and more streams, until they are not even; or to the top, with probes."""
    found = {}
    for count in FEW_STEPS if bench.is_quick or contestant.name == BARE else STEPS:
        if count not in known:
            seconds = bench.seconds(2, 4)
            known[count] = measure_streams(bench, contestant, count, seconds=seconds, has_probes=to_the_top)
        found[count] = known[count]
        if not (to_the_top or found[count].are_even):
            break
    return found


def count_carried(found: dict[int, Streams]) -> int:
    """The most streams that were even, with all smaller numbers."""
    carried = 0
    for count, streams in sorted(found.items()):
        if not streams.are_even:
            break
        carried = count
    return carried


def _add_costs(table: Table, count: int, played: Played[Streams], bar: Bar | None) -> None:
    streams = f"{count} streams of 20 tokens/s"
    table.add(compose_row(f"CPU a token, {streams}", played, lambda each: each.cpu_us, unit="µs", digits=0, bar=bar))
    bar = Bar(10, of_ours=True)
    table.add(compose_row(f"Redis CPU a token, {streams}", played, lambda each: each.redis_us, unit="µs", bar=bar))
    table.add(compose_row(f"gap p99, {streams}", played, lambda each: each.report.gap_ms.p99, unit="ms", digits=0))


def _add_carried(table: Table, found: dict[str, dict[int, Streams]]) -> None:
    carried: dict[str, float] = {name: count_carried(each) for name, each in found.items()}
    what = "streams of 20 tokens/s that one worker carries"
    steps = ", ".join(map(str, found[OURS]))
    note = f"gap p99 ≤ {EVEN_GAP_MS:.0f} ms, none refused; of {steps}; MAX_RUNS={MANY_RUNS['MAX_RUNS']}"
    ratio = carried[OURS] / carried[PLAIN] if carried[PLAIN] else None
    bar = Bar(1000, at_least=True, of_ours=True)
    table.add(Row(what, carried, digits=0, ratio=ratio, bar=bar, note=note))


def _add_probes(table: Table, found: dict[int, Streams]) -> None:
    for count in PROBED:
        if count in found:
            streams = found[count].report
            note = f"gap p99 {streams.gap_ms.p99:.0f} ms, {streams.failed} failed"
            bar = Bar(20, of_ours=True)
            what = f"/readyz p99 while {count:,} streams run"
            table.add(Row(what, {OURS: streams.probe_ms.p99}, unit="ms", bar=bar, note=note))


def _sum_up(streams: Streams) -> dict[str, float]:
    return {"streams": streams.count, "gap_p99_ms": streams.report.gap_ms.p99, "cpu_us": streams.cpu_us}
