"""The table: what was measured, beside the plain implementation and beside its bar; for people and for programs."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from benchmarks.contestants import OURS, PLAIN


@dataclass(frozen=True)
class Bar:
    """What a row is to reach: by its ratio to the plain one, or by our own figure."""

    limit: float
    at_least: bool = False
    of_ours: bool = False

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:,g}{'' if self.of_ours else ' ×'}"


@dataclass(frozen=True)
class Row:
    """One line. `figures` are medians by the contestants' names; `ratio` is ours to the one beside us, a round each."""

    what: str
    figures: Mapping[str, float]
    unit: str = ""
    digits: int = 1
    ratio: float | None = None
    bar: Bar | None = None
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the bar is reached; None without a bar, or without the figure."""
        value = self.figures.get(OURS) if self.bar and self.bar.of_ours else self.ratio
        if self.bar is None or value is None:
            return None
        return value >= self.bar.limit if self.bar.at_least else value <= self.bar.limit

    def show(self, name: str) -> str:
        """A contestant's figure as text."""
        value = self.figures.get(name)
        return "–" if value is None else f"{value:,.{self.digits}f}{f' {self.unit}' if self.unit else ''}"


@dataclass
class Table:
    """What a run has measured so far, and what it depends on. `curves`: streams as they become more, by contestant."""

    beside: str = PLAIN
    rows: list[Row] = field(default_factory=list)
    curves: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def add(self, row: Row) -> None:
        """Keep a row, and show it at once."""
        self.rows.append(row)
        mark = {None: " ", True: "✓", False: "✗"}[row.is_met]
        others = ", ".join(f"{name} {row.show(name)}" for name in row.figures if name != OURS)
        ratio = f" = {row.ratio:.2f} ×" if row.ratio is not None else ""
        print(
            f"{mark} {row.what}: {row.show(OURS)}{ratio}{f' ({others})' if others else ''} {row.bar or ''}", flush=True
        )


def render(table: Table) -> str:
    """The table as Markdown. Contestants who are in few rows share a column."""
    lines = [
        f"| | ours | {table.beside} | ours ÷ that | bar | met | others |",
        "|---|---:|---:|---:|---:|---|---|",
        *(f"| {' | '.join(_list_cells(row, table.beside))} |" for row in table.rows),
        "",
        *(f"* {note}" for note in table.notes),
        *(f"* Not measured: {failure}" for failure in table.failures),
        "",
        " · ".join(table.facts),
        "",
    ]
    return "\n".join(lines)


def render_json(table: Table) -> str:
    """The same for programs."""
    rows = [{**asdict(row), "is_met": row.is_met} for row in table.rows]
    result = {"rows": rows, "curves": table.curves, "notes": table.notes, "facts": table.facts}
    return json.dumps(result, indent=2, ensure_ascii=False)


def _list_cells(row: Row, beside: str) -> Sequence[str]:
    met = {None: "", True: "yes", False: "**no**"}[row.is_met]
    others = [f"{name} {row.show(name)}" for name in row.figures if name not in {OURS, beside}]
    ratio = "–" if row.ratio is None else f"{row.ratio:.2f}"
    what = f"{row.what} ({row.note})" if row.note else row.what
    return [what, row.show(OURS), row.show(beside), ratio, str(row.bar or ""), met, "; ".join(others)]
