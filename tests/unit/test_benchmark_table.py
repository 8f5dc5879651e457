"""The table of `make bench`: bars, ratios, and the streams that a worker carries."""

from benchmarks.comparison import compose_row, compute_ratio
from benchmarks.contestants import BARE, OURS, PLAIN
from benchmarks.load_client import Report, Spread
from benchmarks.stream_rows import count_carried
from benchmarks.streams import Streams
from benchmarks.table import Bar, Row, Table, render

NOTHING = Spread(p50=0, p99=0, max=0)


def build_streams(count: int, *, gap_p99_ms: float = 55.0, refused: int = 0) -> Streams:
    report = Report(
        seconds=1,
        answers=count,
        tokens=count,
        window_tokens=count,
        first_event_ms=NOTHING,
        first_token_ms=NOTHING,
        whole_ms=NOTHING,
        gap_ms=Spread(p50=50, p99=gap_p99_ms, max=gap_p99_ms),
        probe_ms=NOTHING,
        failures={"503": refused} if refused else {},
        kept=[],
    )
    return Streams(count=count, report=report, cpu_us=1, redis_us=1, aof_bytes=1)


def test_a_ratio_is_the_median_of_its_rounds() -> None:
    assert compute_ratio([10, 20, 90], [10, 10, 10]) == 2
    assert compute_ratio([10], [0]) is None


def test_a_row_has_medians_and_the_ratio_to_the_plain_one() -> None:
    row = compose_row(
        "turns/s", {OURS: [10.0, 30.0, 50.0], PLAIN: [10.0, 10.0, 10.0], BARE: [99.0] * 3}, lambda each: each
    )
    assert (row.figures, row.ratio) == ({OURS: 30, PLAIN: 10, BARE: 99}, 3)


def test_a_bar_is_a_ratio_or_our_own_figure_to_be_reached_or_not_exceeded() -> None:
    def is_met(ours: float, ratio: float, bar: Bar) -> bool | None:
        return Row("anything", {OURS: ours}, ratio=ratio, bar=bar).is_met

    assert is_met(1, 5, Bar(5, at_least=True)) is True
    assert is_met(9, 4.9, Bar(5, at_least=True)) is False
    assert is_met(9, 0.25, Bar(0.25)) is True
    assert is_met(20, 9, Bar(20, of_ours=True)) is True
    assert is_met(21, 0, Bar(20, of_ours=True)) is False
    assert Row("not measured", {}, bar=Bar(20, of_ours=True)).is_met is None
    assert Row("without a bar", {OURS: 1}).is_met is None


def test_a_worker_carries_the_most_streams_below_the_first_that_are_uneven_or_refused() -> None:
    assert count_carried({50: build_streams(50), 100: build_streams(100, gap_p99_ms=65)}) == 100
    assert count_carried({50: build_streams(50), 100: build_streams(100, gap_p99_ms=66), 200: build_streams(200)}) == 50
    assert count_carried({50: build_streams(50, refused=1)}) == 0


def test_the_table_shows_each_row_beside_its_bar() -> None:
    table = Table(facts=["2 cores"], notes=["A note."], failures=["requests failed"])
    table.add(
        Row(
            "burst tokens/s",
            {OURS: 71_000, PLAIN: 6_800, BARE: 600_000},
            digits=0,
            ratio=10.5,
            bar=Bar(20, at_least=True),
        )
    )
    table.add(Row("log bytes a token", {OURS: 39.0}, bar=Bar(40, of_ours=True), note="50 streams"))
    lines = render(table).splitlines()
    assert "| burst tokens/s | 71,000 | 6,800 | 10.50 | ≥ 20 × | **no** | bare ASGI 600,000 |" in lines
    assert "| log bytes a token (50 streams) | 39.0 | – | – | ≤ 40 | yes |  |" in lines
    assert "* A note." in lines
    assert "* Not measured: requests failed" in lines
