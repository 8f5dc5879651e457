"""The whole table, part by part; each part starts what it needs and adds its rows."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.comparison import Played, add_ratio, compose_row, play
from benchmarks.contestants import OURS, PLAIN, Bench, Contestant
from benchmarks.litellm import LiteLlmMissing
from benchmarks.load_client import BenchmarkError
from benchmarks.memory import FEW_TOKENS, MANY_TOKENS, STREAMS, TOKENS, TOKENS_A_S, Growth, measure_memory
from benchmarks.small_requests import find_path, measure_requests
from benchmarks.stream_rows import measure_log, measure_paced
from benchmarks.streams import MANY_RUNS, measure_streams
from benchmarks.table import Bar, Table
from benchmarks.turns import (
    ANSWER_TOKENS,
    BURST_CLIENTS,
    BURST_TOKENS,
    CLIENTS,
    IDEAL_TURNS_A_S,
    MANY_CLIENTS,
    MODEL_MS,
    Turns,
    fill_conversation,
    measure_alone,
    measure_burst,
    measure_conversation,
    measure_crowd,
    measure_turns,
    measure_window,
)
from tests.support.processes import ServerProcessError

FEW_ITEMS, MANY_ITEMS = 10, 100_000
NARROW, WIDE = 2, 50
# The archive would still copy the long history while its turns are measured.
NO_ARCHIVE = {"ARCHIVE": "false"}


def measure_all(bench: Bench, table: Table) -> None:
    """Every row, from the limits of the measuring itself to the memory of a worker."""
    measure_limits(bench, table)
    with ExitStack() as stack:
        plain, bare = stack.enter_context(bench.start_plain()), stack.enter_context(bench.start_bare())
        others = [plain, bare, *_start_relay(bench, table, stack)]
        with _noted(table), bench.start_ours() as ours:
            measure_fast_model(bench, table, [ours, *others])
            measure_slow_model(bench, table, [ours, plain])
            measure_small_requests(bench, table, [ours, plain, bare])
        with _noted(table), bench.start_ours("ours without its archive", **NO_ARCHIVE) as ours:
            measure_costs(bench, table, ours)
        with _noted(table), bench.start_ours("ours with MAX_RUNS=1200", **MANY_RUNS) as many:
            ours = Contestant(OURS, many.process)
            measure_paced(bench, table, ours, others)
            measure_log(bench, table, ours)
    with _noted(table):
        measure_worker_memory(bench, table)


@contextmanager
def _noted(table: Table) -> Iterator[None]:
    """What could not be measured is told at the end, and does not take the rest of the table with it."""
    try:
        yield
    except (BenchmarkError, ServerProcessError) as error:
        print(f"✗ {error}", flush=True)
        table.failures.append(str(error))


def _start_relay(bench: Bench, table: Table, stack: ExitStack) -> list[Contestant]:
    if bench.is_quick:
        table.notes.append("LiteLLM is measured in a whole run only.")
        return []
    try:
        return [stack.enter_context(bench.start_litellm())]
    except (LiteLlmMissing, ServerProcessError) as error:
        table.notes.append(f"LiteLLM has no figures: {error}")
        return []


def measure_limits(bench: Bench, table: Table) -> None:
    """The load generator against the model, without a server between: what no figure below can exceed."""
    direct, seconds = bench.model_itself, bench.seconds(1, 2)
    turns = measure_turns(bench, direct, seconds=seconds)
    burst = measure_burst(bench, direct, seconds=seconds)
    alone = measure_alone(bench, direct, turns=50)
    streams = measure_streams(bench, direct, 1000, seconds=seconds)
    table.notes.append(
        f"The load generator against the model alone: {turns.per_s:,.0f} turns/s, {burst.tokens_a_s:,.0f} tokens/s, "
        f"first token after {alone.report.first_token_ms.p50:.2f} ms, 1,000 paced streams with a gap p99 of "
        f"{streams.report.gap_ms.p99:.0f} ms."
    )
    print(table.notes[-1], flush=True)


def measure_fast_model(bench: Bench, table: Table, everybody: list[Contestant]) -> None:
    """Turns from a model that takes no time."""
    for each in everybody:
        measure_turns(bench, each, seconds=0.5)  # fills caches, opens connections
    seconds, rounds = bench.seconds(1, 3), bench.rounds(2, 3)
    _add_turns(table, play(everybody, lambda each: measure_turns(bench, each, seconds=seconds), rounds))
    bursts = play(everybody, lambda each: measure_burst(bench, each, seconds=seconds), rounds)
    _add_bursts(table, bursts)
    _add_firsts(table, play(everybody, lambda each: measure_alone(bench, each, turns=50), bench.rounds(3, 9)))


def _add_turns(table: Table, played: Played[Turns]) -> None:
    note, bar = f"answers of {ANSWER_TOKENS} tokens", Bar(5, at_least=True)
    what = f"turns/s, {CLIENTS} clients, stored, in a conversation"
    table.add(compose_row(what, played, lambda each: each.per_s, digits=0, bar=bar, note=note))
    note, bar = "the same bar, on a busy machine the steadier figure", Bar(0.2)
    table.add(compose_row("CPU a turn", played, lambda each: each.cpu_ms, unit="ms", digits=2, bar=bar, note=note))
    table.add(compose_row("turn, p99", played, lambda each: each.report.whole_ms.p99, unit="ms", digits=0))


def _add_bursts(table: Table, played: Played[Turns]) -> None:
    note, bar = f"{BURST_CLIENTS} answers of {BURST_TOKENS} tokens at once", Bar(20, at_least=True)
    table.add(compose_row("burst tokens/s", played, lambda each: each.tokens_a_s, digits=0, bar=bar, note=note))
    what, note = "CPU a token of a burst", "the same bar"
    table.add(compose_row(what, played, lambda each: each.cpu_us_a_token, unit="µs", bar=Bar(0.05), note=note))


def _add_firsts(table: Table, played: Played[Turns]) -> None:
    note = "after an instant model, one client, median"
    picks: dict[str, tuple[Bar, Callable[[Turns], float]]] = {
        "first event": (Bar(0.25), lambda each: each.report.first_event_ms.p50),
        "first token": (Bar(0.4), lambda each: each.report.first_token_ms.p50),
    }
    for what, (bar, pick) in picks.items():
        table.add(compose_row(what, played, pick, unit="ms", digits=2, bar=bar, note=note))


def measure_slow_model(bench: Bench, table: Table, contestants: list[Contestant]) -> None:
    """Many clients of a model that takes its time."""
    crowds = play(contestants, lambda each: measure_crowd(bench, each, seconds=bench.seconds(2, 4)), bench.rounds(1, 3))
    what = f"{MANY_CLIENTS} clients, model takes {MODEL_MS} ms"
    ideal = f"ideal {IDEAL_TURNS_A_S:,.0f}/s"
    bar = Bar(0.75, at_least=True, of_ours=True)
    table.add(compose_row(f"{what}: share of the ideal", crowds, _share, digits=2, bar=bar, note=ideal))
    none = Bar(0, of_ours=True)
    table.add(compose_row(f"{what}: refused", crowds, _refused, unit="%", bar=none, note="MAX_RUNS as by default"))


def measure_small_requests(bench: Bench, table: Table, contestants: list[Contestant]) -> None:
    """A stored response, and liveness."""
    paths = {each.name: find_path(bench, each) for each in contestants}
    bar, seconds, rounds = Bar(1.2, at_least=True), bench.seconds(0.6, 1.5), bench.rounds(2, 3)
    read = play(contestants, lambda each: measure_requests(bench, each, paths[each.name], seconds=seconds), rounds)
    live = play(contestants, lambda each: measure_requests(bench, each, "/healthz", seconds=seconds), rounds)
    for what, played in (("GET /v1/responses/{id}", read), ("GET /healthz", live)):
        table.add(compose_row(f"{what}, requests/s", played, lambda each: each[0], digits=0, bar=bar))
        table.add(compose_row(f"{what}, CPU a request", played, lambda each: each[1], unit="µs", digits=0))


def measure_costs(bench: Bench, table: Table, ours: Contestant) -> None:
    """What a turn's cost must not depend on: the length of a history, the number of workers."""
    turns, rounds = (160, 2) if bench.is_quick else (320, 3)
    measure_turns(bench, ours, seconds=1)  # fills caches
    windows = [
        (
            measure_window(bench, ours, items=WIDE, turns=turns),
            measure_window(bench, ours, items=NARROW, turns=turns),
        )
        for _ in range(rounds)
    ]
    add_ratio(table, f"CPU a turn, window of {WIDE} items against {NARROW}", windows, Bar(1.3, of_ours=True))
    many = 20_000 if bench.is_quick else MANY_ITEMS
    long, short = (fill_conversation(bench, ours, items) for items in (many, FEW_ITEMS))
    stored = [
        (
            measure_conversation(bench, ours, long, turns=turns),
            measure_conversation(bench, ours, short, turns=turns),
        )
        for _ in range(rounds)
    ]
    what = f"CPU a turn, {many:,} stored items against {FEW_ITEMS}"
    add_ratio(table, what, stored, Bar(1.05, of_ours=True), note="one client; both windows are the same")
    seconds = bench.seconds(1, 3)
    with bench.start_ours("ours with 2 workers", WORKERS="2", **NO_ARCHIVE) as two:
        measure_turns(bench, two, seconds=1)
        played = play([two, ours], lambda each: measure_turns(bench, each, seconds=seconds).cpu_ms, rounds)
    pairs = list(zip(played[two.name], played[ours.name], strict=True))
    add_ratio(table, "CPU a turn, 2 workers against 1", pairs, Bar(1.1, of_ours=True), note="both on the same core")


def measure_worker_memory(bench: Bench, table: Table) -> None:
    """RSS of a worker that has served nobody, and what streams add."""
    with bench.start_ours("ours, fresh") as ours, bench.start_plain() as plain:
        grown = dict(zip((OURS, PLAIN), measure_memory(bench, ours, plain), strict=True))
    played = {name: [growth] for name, growth in grown.items()}
    fresh, logged = f"RSS, {STREAMS} streams, fresh worker", f"answers of {TOKENS} tokens, {TOKENS_A_S} a second"
    rows: list[tuple[str, str, float, str, Callable[[Growth], float]]] = [
        ("memory of an idle worker", "MB", 110, "RSS", lambda each: each.idle_mb),
        (f"a stream after {FEW_TOKENS} tokens", "KB", 80, fresh, lambda each: each.few_kb),
        (f"a stream after {MANY_TOKENS} tokens", "KB", 80, fresh, lambda each: each.many_kb),
        ("log bytes a token", "", 40, logged, lambda each: each.log_bytes),
    ]
    for what, unit, limit, note, pick in rows:
        bar = Bar(limit, of_ours=True)
        table.add(compose_row(what, played, pick, unit=unit, digits=0, bar=bar, note=note))


def _share(crowd: Turns) -> float:
    return crowd.per_s / IDEAL_TURNS_A_S


def _refused(crowd: Turns) -> float:
    return 100 * crowd.report.failed / (crowd.report.answers + crowd.report.failed)
