"""What was answered by day and model: turns, errors, tokens, time to the first token. One query over an index."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDate

from prompts.models import ArchivedResponse

PERIODS = (7, 30, 90)
# Whoever looks again within a minute sees the same pictures.
KEPT_S = 60
# Upper bounds in milliseconds; between two of them times are taken to be spread evenly.
BOUNDS_MS = (100, 200, 300, 500, 750, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000, 30_000, 120_000)


@dataclass(slots=True)
class Usage:
    """What was answered on a day, or by a model; `below_ms` is how many first tokens came within each bound."""

    turns: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    below_ms: list[int] = field(default_factory=lambda: [0] * len(BOUNDS_MS))

    def add(self, other: "Usage") -> None:
        """Count another one in."""
        self.turns += other.turns
        self.failed += other.failed
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.below_ms = [one + two for one, two in zip(self.below_ms, other.below_ms, strict=True)]

    def find_first_token_ms(self, share: float) -> float | None:
        """The time within which this share of the first tokens came, about; None where none is known."""
        wanted, before, lower = share * self.below_ms[-1], 0, 0
        if not self.below_ms[-1]:
            return None
        for bound, count in zip(BOUNDS_MS, self.below_ms, strict=True):
            if count >= wanted and count > before:
                return lower + (bound - lower) * (wanted - before) / (count - before)
            before, lower = count, bound
        return float(BOUNDS_MS[-1])


@dataclass(frozen=True, slots=True)
class Period:
    """Every day of a period, also those without a turn, with what each model did; the busiest model first."""

    days: Sequence[date]
    by_day: Mapping[date, Mapping[str, Usage]]
    models: Sequence[str]

    def sum_day(self, day: date) -> Usage:
        """All models on a day."""
        return _sum(self.by_day.get(day, {}).values())

    def sum_model(self, model: str) -> Usage:
        """A model on all days."""
        return _sum(models[model] for models in self.by_day.values() if model in models)

    def sum_all(self) -> Usage:
        """All of it."""
        return _sum(usage for models in self.by_day.values() for usage in models.values())


def read_period(days: int) -> Period:
    """The last so many days, today included, in UTC; at most a minute old."""
    today = datetime.now(UTC).date()
    key = f"usage:{today.isoformat()}:{days}"
    rows = cache.get(key)
    if rows is None:
        rows = _query(today - timedelta(days=days - 1))
        cache.set(key, rows, timeout=KEPT_S)
    return _build(rows, [today - timedelta(days=back) for back in range(days - 1, -1, -1)])


def _query(first: date) -> list[list[Any]]:
    begin = datetime(first.year, first.month, first.day, tzinfo=UTC)
    below = {f"below_{bound}": Count("first_token_ms", filter=Q(first_token_ms__lt=bound)) for bound in BOUNDS_MS}
    rows = (
        ArchivedResponse.objects.filter(created_at__gte=begin)
        .order_by()
        .values_list(TruncDate("created_at", tzinfo=UTC), "model")
        .annotate(
            turns=Count("*"),
            failed=Count("status", filter=Q(status="failed")),
            given=Sum("input_tokens"),
            said=Sum("output_tokens"),
            **below,
        )
    )
    return [[row[0].isoformat(), *row[1:]] for row in rows]  # as the cache keeps it


def _build(rows: Iterable[Sequence[Any]], days: Sequence[date]) -> Period:
    by_day: dict[date, dict[str, Usage]] = {}
    for day, model, turns, failed, given, said, *below in rows:
        usage = Usage(turns, failed, given or 0, said or 0, list(below))
        by_day.setdefault(date.fromisoformat(day), {})[model] = usage
    turns_of: dict[str, int] = {}
    for models in by_day.values():
        for model, usage in models.items():
            turns_of[model] = turns_of.get(model, 0) + usage.turns
    return Period(days, by_day, sorted(turns_of, key=lambda model: (-turns_of[model], model)))


def _sum(usages: Iterable[Usage]) -> Usage:
    total = Usage()
    for usage in usages:
        total.add(usage)
    return total
