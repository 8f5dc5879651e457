"""Pure: pictures of numbers by day, as shapes for an SVG. How they look is the stylesheet's: nothing is inline."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

WIDTH, HEIGHT = 640, 200
LEFT, RIGHT, TOP, BOTTOM = 60, 8, 10, 24
# Of the width of a day.
GAP = 0.25
STEPS = 4
# The stylesheet has so many colours; the last is for all others.
MAX_SERIES = 5


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers by day under a name; None where there is none."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Bar:
    """One rectangle; `colour` counts from 1."""

    x: float
    y: float
    width: float
    height: float
    colour: int
    title: str


@dataclass(frozen=True, slots=True)
class Label:
    """Some words at a place; a grid's label stands at its line."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A line through the days that have a number, in pieces."""

    points: Sequence[str]
    dots: Sequence[Label]
    colour: int


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture with its title, and in words for whoever does not see it."""

    title: str
    summary: str
    legend: Sequence[tuple[int, str]]
    bars: Sequence[Bar] = ()
    curves: Sequence[Curve] = ()
    grid: Sequence[Label] = ()
    days: Sequence[Label] = ()
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT


def draw_bars(title: str, days: Sequence[date], series: Sequence[Series], *, unit: str, first_colour: int = 1) -> Chart:
    """A bar a day; several series stand on each other."""
    totals = [sum(each.values[place] or 0 for each in series) for place in range(len(days))]
    top = _find_top(max(totals, default=0))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(days))
    bars: list[Bar] = []
    for place, day in enumerate(days):
        below, x = 0.0, _round(LEFT + place * step + step * GAP / 2)
        for colour, each in enumerate(series, first_colour):
            value = each.values[place] or 0
            height = _scale(value, top)
            y = HEIGHT - BOTTOM - _scale(below, top) - height
            told = f"{day:%d %b}: {_tell(value)} {unit}, {each.name}"
            bar = Bar(x, _round(y), _round(step * (1 - GAP)), _round(height), colour, told)
            bars += [bar] if value else []
            below += value
    summary = f"{title}: {_tell(sum(totals))} {unit} in {len(days)} days, at most {_tell(max(totals, default=0))} a day"
    legend = [(colour, each.name) for colour, each in enumerate(series, first_colour)]
    return Chart(title, summary, legend, bars=bars, grid=_draw_grid(top, ""), days=_draw_days(days))


def draw_curves(title: str, days: Sequence[date], series: Sequence[Series], *, unit: str) -> Chart:
    """A line for each series."""
    known = [value for each in series for value in each.values if value is not None]
    top = _find_top(max(known, default=0))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(days))
    curves = []
    for number, each in enumerate(series, 1):
        pieces: list[list[str]] = [[]]
        dots = []
        for place, value in enumerate(each.values):
            if value is None:
                pieces.append([])
                continue
            x, y = _round(LEFT + (place + 0.5) * step), _round(HEIGHT - BOTTOM - _scale(value, top))
            pieces[-1].append(f"{x},{y}")
            dots.append(Label(x, y, f"{days[place]:%d %b}: {_tell(value)} {unit}, {each.name}"))
        curves.append(Curve([" ".join(piece) for piece in pieces if len(piece) > 1], dots, number))
    summary = f"{title}: at most {_tell(max(known, default=0))} {unit}"
    legend = [(number, each.name) for number, each in enumerate(series, 1)]
    return Chart(title, summary, legend, curves=curves, grid=_draw_grid(top, f" {unit}"), days=_draw_days(days))


def _draw_grid(top: float, unit: str) -> list[Label]:
    lines = [top * step / STEPS for step in range(STEPS + 1)]
    return [Label(LEFT - 6, _round(HEIGHT - BOTTOM - _scale(line, top)), f"{_tell(line)}{unit}") for line in lines]


def _draw_days(days: Sequence[date]) -> list[Label]:
    """The first, the middle and the last."""
    step = (WIDTH - LEFT - RIGHT) / max(1, len(days))
    places = sorted({0, len(days) // 2, len(days) - 1}) if days else []
    return [Label(_round(LEFT + (place + 0.5) * step), HEIGHT - 6, f"{days[place]:%d %b}") for place in places]


def _find_top(most: float) -> float:
    """A round number that nothing is above, and that has round quarters."""
    if most <= 0:
        return float(STEPS)
    size = 10 ** math.floor(math.log10(most))
    return float(next(size * step for step in (1, 2, 4, 8, 10, 20) if size * step >= most))


def _scale(value: float, top: float) -> float:
    return value / top * (HEIGHT - TOP - BOTTOM)


def _round(value: float) -> float:
    return round(value, 1)


def _tell(value: float) -> str:
    """A number in few characters."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
