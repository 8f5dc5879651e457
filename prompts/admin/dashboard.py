"""The pictures on the first page of the admin."""

from collections.abc import Sequence
from dataclasses import dataclass

from prompts.admin.charts import MAX_SERIES, Chart, Series, draw_bars, draw_curves
from prompts.admin.usage import PERIODS, Period, Usage, read_period

DEFAULT_DAYS = 30


@dataclass(frozen=True, slots=True)
class ModelLine:
    """A model in the table below the pictures."""

    model: str
    usage: Usage
    median_s: float | None
    slow_s: float | None


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Everything that is shown."""

    days: int
    periods: Sequence[int]
    total: Usage
    charts: Sequence[Chart]
    models: Sequence[ModelLine]


def build_dashboard(asked: str) -> Dashboard:
    """The dashboard of a period, as the address names it; any other is the default."""
    days = next((period for period in PERIODS if str(period) == asked), DEFAULT_DAYS)
    period = read_period(days)
    models = [_build_line(period, model) for model in period.models[:20]]
    return Dashboard(days, PERIODS, period.sum_all(), _draw(period), models)


def _draw(period: Period) -> list[Chart]:
    sums = [period.sum_day(day) for day in period.days]
    by_model = [
        Series(
            name, [sum(period.by_day.get(day, {}).get(model, Usage()).turns for model in models) for day in period.days]
        )
        for name, models in _group_models(period.models)
    ]
    given = Series("in", [usage.input_tokens for usage in sums])
    said = Series("out", [usage.output_tokens for usage in sums])
    failed = Series("failed", [usage.failed for usage in sums])
    median, slow = (
        Series(name, [_to_s(usage.find_first_token_ms(share)) for usage in sums])
        for name, share in (("half of them", 0.5), ("95 %", 0.95))
    )
    return [
        draw_bars("Turns", period.days, by_model, unit="turns"),
        draw_bars("Tokens", period.days, [given, said], unit="tokens"),
        draw_bars("Errors", period.days, [failed], unit="failed turns", first_colour=2),
        draw_curves("Time to the first token", period.days, [median, slow], unit="s"),
    ]


def _group_models(models: Sequence[str]) -> list[tuple[str, Sequence[str]]]:
    """The busiest ones by themselves, all others together."""
    if len(models) <= MAX_SERIES:
        return [(model, [model]) for model in models]
    own = [(model, [model]) for model in models[: MAX_SERIES - 1]]
    return [*own, ("others", models[MAX_SERIES - 1 :])]


def _build_line(period: Period, model: str) -> ModelLine:
    usage = period.sum_model(model)
    return ModelLine(model, usage, _to_s(usage.find_first_token_ms(0.5)), _to_s(usage.find_first_token_ms(0.95)))


def _to_s(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
