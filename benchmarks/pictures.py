"""Draws what was measured, as two pictures.

How many times better than the plain implementation, with the bars; and streams, as they become more.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

BLUE, RED, GREY = "#2563eb", "#dc2626", "#9ca3af"
COLOURS = (BLUE, GREY, "#059669", "#d97706")
EVEN_GAP_MS = 65


def draw(result: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the pictures of a result into a folder; their paths."""
    # The same figures give the same file; text stays text.
    mpl.rcParams["svg.hashsalt"] = "bench"
    mpl.rcParams["svg.fonttype"] = "none"
    mpl.rcParams["axes.spines.top"] = mpl.rcParams["axes.spines.right"] = False
    pictures = {"speed-ratios.svg": draw_ratios(result["rows"]), "speed-streams.svg": draw_streams(result["curves"])}
    folder.mkdir(exist_ok=True)
    for name, figure in pictures.items():
        figure.savefig(folder / name, metadata={"Date": None}, bbox_inches="tight")
    return [folder / name for name in pictures]


def draw_ratios(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Rows with a bar that is a ratio: how many times better than plain, and where the bar is."""
    shown = list(_list_ratios(rows))[::-1]
    figure = Figure(figsize=(8, 0.5 * len(shown) + 1))
    axes = figure.subplots()
    names, better, bars = ([each[place] for each in shown] for place in range(3))
    axes.barh(names, better, color=BLUE, height=0.55)
    axes.plot(bars, names, "|", color=RED, markersize=18, markeredgewidth=3, label="the bar")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.axvline(1, color=GREY, linewidth=1)
    axes.set_xlabel("times as good as plain FastAPI (right of the grey line is better)")
    for name, times in zip(names, better, strict=True):
        axes.annotate(f" {times:.1f} ×", (times, name), va="center")
    axes.legend(loc="lower right", frameon=False)
    return figure


def draw_streams(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """The evenness of streams, and what a token costs, by their number."""
    figure = Figure(figsize=(10, 3.6))
    even, cost = figure.subplots(1, 2)
    _draw_curves(even, curves, "gap_p99_ms", "gap between tokens, p99, ms")
    even.axhline(EVEN_GAP_MS, color=RED, linewidth=1, linestyle="--")
    even.set_yscale("log")
    _draw_curves(cost, curves, "cpu_us", "CPU a token, µs")
    cost.set_ylim(bottom=0)
    figure.tight_layout()
    return figure


def _draw_curves(axes: Axes, curves: Mapping[str, Sequence[Mapping[str, float]]], what: str, title: str) -> None:
    for (name, points), colour in zip(curves.items(), COLOURS, strict=False):
        counts, values = [point["streams"] for point in points], [point[what] for point in points]
        axes.plot(counts, values, "o-", label=name, color=colour)
    axes.set_xlabel("streams of 20 tokens a second on one worker")
    axes.set_ylabel(title)
    axes.legend(frameon=False)


def _list_ratios(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, float, float]]:
    """What, how many times better, and how many times the bar wants."""
    for row in rows:
        bar, ratio = row["bar"], row["ratio"]
        if bar is None or bar["of_ours"] or not ratio:
            continue
        yield row["what"], *((ratio, bar["limit"]) if bar["at_least"] else (1 / ratio, 1 / bar["limit"]))
