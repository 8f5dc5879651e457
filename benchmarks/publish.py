"""`python -m benchmarks.publish`: the last whole run becomes docs/speed.md, with its pictures in docs/pictures."""

import json
from pathlib import Path

from benchmarks.pictures import draw

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parents[1] / "docs"
PAGE = """# Speed

What `make bench` measured in one run, beside a plain implementation of the same turn and beside what we have promised
ourselves (the bar). Ratios hold on other machines; absolute numbers are this machine's.
[benchmarks/README.md](../benchmarks/README.md) says who is measured, and how to read it.
`python -m benchmarks.publish` writes this page.

![How many times as good as plain FastAPI](pictures/speed-ratios.svg)

![Streams, as they become more](pictures/speed-streams.svg)

{table}"""


def main() -> None:
    draw(json.loads((RESULTS / "latest.json").read_text("utf-8")), DOCS / "pictures")
    table = (RESULTS / "latest.md").read_text("utf-8")
    (DOCS / "speed.md").write_text(PAGE.format(table=table), "utf-8")


if __name__ == "__main__":
    main()
