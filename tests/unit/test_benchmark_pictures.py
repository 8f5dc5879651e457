"""The pictures of `make bench`."""

import json
from importlib.util import find_spec
from pathlib import Path

from benchmarks.contestants import OURS, PLAIN
from benchmarks.table import Bar, Row, Table, render_json
from tests.support.missing import give_up


def test_ratios_and_streams_are_drawn_and_the_same_figures_give_the_same_files(tmp_path: Path) -> None:
    if find_spec("matplotlib") is None:
        give_up("matplotlib is missing: `make check` installs it, `make test` alone does not")
    from benchmarks.pictures import draw

    table = Table()
    table.add(Row("burst tokens/s", {OURS: 71_000, PLAIN: 6_800}, ratio=10.4, bar=Bar(20, at_least=True)))
    table.add(Row("CPU a turn", {OURS: 2, PLAIN: 4}, ratio=0.5, bar=Bar(0.2)))
    table.add(Row("log bytes a token", {OURS: 39}, bar=Bar(40, of_ours=True)))
    table.curves = {
        OURS: [{"streams": 50, "gap_p99_ms": 52, "cpu_us": 100}, {"streams": 200, "gap_p99_ms": 55, "cpu_us": 90}]
    }
    result = json.loads(render_json(table))
    ratios, streams = (path.read_text("utf-8") for path in draw(result, tmp_path / "first"))
    assert [words in ratios for words in ("burst tokens/s", "10.4 ×", "2.0 ×", "log bytes")] == [
        True,
        True,
        True,
        False,
    ]
    assert "streams of 20 tokens a second" in streams
    assert [path.read_text("utf-8") for path in draw(result, tmp_path / "second")] == [ratios, streams]
