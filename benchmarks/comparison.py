"""Measures several servers in turn, round by round, and makes rows of what was found."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from benchmarks.contestants import OURS, PLAIN, Contestant
from benchmarks.table import Bar, Row, Table

Measured = TypeVar("Measured")
# What was measured of each contestant, a round at a time.
Played = Mapping[str, Sequence[Measured]]


def play(
    contestants: Sequence[Contestant], measure: Callable[[Contestant], Measured], rounds: int
) -> dict[str, list[Measured]]:
    """A B C A B C …: what disturbs the machine for a while disturbs all of them."""
    played: dict[str, list[Measured]] = {each.name: [] for each in contestants}
    for _ in range(rounds):
        for each in contestants:
            played[each.name].append(measure(each))
    return played


def compose_row(
    what: str,
    played: Played[Measured],
    pick: Callable[[Measured], float],
    *,
    unit: str = "",
    digits: int = 1,
    bar: Bar | None = None,
    note: str = "",
    beside: str = PLAIN,
) -> Row:
    """One row: medians, and the median of the rounds' ratios."""
    figures = {name: [pick(each) for each in rounds] for name, rounds in played.items()}
    medians = {name: statistics.median(values) for name, values in figures.items()}
    # What is shown as nothing is nothing that could be divided by.
    has_ratio = OURS in medians and bool(round(medians.get(beside, 0), digits))
    ratio = compute_ratio(figures[OURS], figures[beside]) if has_ratio else None
    return Row(what=what, figures=medians, unit=unit, digits=digits, ratio=ratio, bar=bar, note=note)


def compute_ratio(above: Sequence[float], below: Sequence[float]) -> float | None:
    """The median of the ratios of each round; None where nothing was measured."""
    ratios = [a / b for a, b in zip(above, below, strict=True) if b]
    return statistics.median(ratios) if ratios else None


def add_ratio(table: Table, what: str, pairs: Sequence[tuple[float, float]], bar: Bar, note: str = "") -> None:
    """A row of how much more the one of each pair is than the other."""
    ratio = compute_ratio([above for above, _ in pairs], [below for _, below in pairs])
    table.add(Row(what, {} if ratio is None else {OURS: ratio}, digits=2, bar=bar, note=note))
