"""`python -m benchmarks`: starts everything, measures, and writes the table to `results/latest.md` and `.json`.

`QUICK=1` measures less, in about four minutes. `WHY=1` takes parts of our service away instead, one at a time.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine
from benchmarks.ablations import WITHOUT_IT, measure_ablations
from benchmarks.contestants import PLAIN, Bench, open_bench
from benchmarks.measuring import measure_all
from benchmarks.pictures import draw
from benchmarks.programs import BuildError
from benchmarks.table import Table, render, render_json

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    began = time.monotonic()
    is_why = bool(os.environ.get("WHY"))
    table = Table(beside=WITHOUT_IT if is_why else PLAIN, facts=machine.describe_machine())
    machine.leave_server_core()
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        open_bench(Path(directory), is_quick=bool(os.environ.get("QUICK"))) as bench,
    ):
        table.facts.append(_describe_redis(bench))
        (measure_ablations if is_why else measure_all)(bench, table)
    table.facts.append(f"load {os.getloadavg()[0]:.2f} at the end")
    table.facts.append(f"took {time.monotonic() - began:.0f} s")
    RESULTS.mkdir(exist_ok=True)
    name = "why" if is_why else "latest"
    (RESULTS / f"{name}.md").write_text(render(table), "utf-8")
    (RESULTS / f"{name}.json").write_text(render_json(table), "utf-8")
    if not is_why:
        draw(json.loads(render_json(table)), RESULTS)
    print(f"\n{render(table)}")
    if table.failures:
        sys.exit(f"Not everything could be measured: {len(table.failures)}.")


def _describe_redis(bench: Bench) -> str:
    info = bench.redis.info("server")
    return f"{info.get('server_name', 'redis')} {info.get('valkey_version', info['redis_version'])}"


if __name__ == "__main__":
    try:
        main()
    except BuildError as error:
        sys.exit(str(error))
