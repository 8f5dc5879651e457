"""The tokens of projects: this month's beside their limits, from the meter, and past months from the archive."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, cast

from asgiref.sync import async_to_sync
from django.core.cache import cache
from django.core.handlers.asgi import ASGIRequest
from django.db.models import Count, F, Sum
from django.db.models.functions import TruncMonth
from django.http import HttpRequest

from prompts.admin.usage import KEPT_S
from prompts.api.state import get_state
from prompts.errors import Unavailable
from prompts.models import ArchivedResponse, Project
from prompts.ports.token_meter import TokenAccount

MONTHS = 12
# Of the first page: those with the most tokens.
OWNERS = 20
_SUMS: Mapping[str, Any] = {
    "turns": Count("*"),
    "given": Sum("input_tokens", default=0),
    "said": Sum("output_tokens", default=0),
}


@dataclass(frozen=True, slots=True)
class MonthLine:
    """What the archive has of an owner's month."""

    month: date
    turns: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Both."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class OwnerTokens:
    """An owner's tokens. Without a limit nothing is metered, and this month is what the archive has."""

    owner: str
    this_month: MonthLine
    account: TokenAccount | None
    """None while Redis is away."""
    project_id: int | None = None
    months: Sequence[MonthLine] = ()
    """Of a year, those in which there was something, the newest first."""

    @property
    def used(self) -> int:
        """This month's."""
        return self.account.month if self.account and self.account.limits.has_any else self.this_month.tokens

    @property
    def share(self) -> int | None:
        """Of the month's limit, in percent; None where there is none."""
        limit = self.account.limits.per_month if self.account else 0
        return round(100 * self.used / limit) if limit else None


def read_owner(request: HttpRequest, owner: str) -> OwnerTokens:
    """This month, and those of the year before it."""
    months = list_months(owner)
    account = _look(request, [owner]).get(owner)
    return OwnerTokens(owner, months[0], account, months=[month for month in months if month.turns])


def list_owners(request: HttpRequest) -> Sequence[OwnerTokens]:
    """Those with the most tokens of this month in the archive, at most a minute ago, the most first."""
    month = _first_of_month(datetime.now(UTC))
    key = f"tokens:{month:%Y-%m}"
    rows = cache.get(key)
    if rows is None:
        rows = [list(row) for row in find_busiest(month)]
        cache.set(key, rows, timeout=KEPT_S)
    lines = {owner: MonthLine(month.date(), turns, given, said) for owner, turns, given, said in rows}
    accounts = _look(request, list(lines))
    projects = dict(Project.objects.filter(owner__in=lines).values_list("owner", "pk"))
    return [OwnerTokens(owner, line, accounts.get(owner), projects.get(owner)) for owner, line in lines.items()]


def list_months(owner: str) -> list[MonthLine]:
    """What the archive has of this month, and of the twelve before, in this order."""
    months = [_first_of_month(datetime.now(UTC))]
    while len(months) <= MONTHS:
        last = months[-1]
        months.append(last.replace(year=last.year - (last.month == 1), month=(last.month - 2) % 12 + 1))
    rows = ArchivedResponse.objects.filter(owner=owner, created_at__gte=months[-1]).order_by()
    counted = rows.values_list(TruncMonth("created_at", tzinfo=UTC)).annotate(**_SUMS)
    found = {at.date(): MonthLine(at.date(), *sums) for at, *sums in counted}
    return [found.get(month.date(), MonthLine(month.date())) for month in months]


def find_busiest(month: datetime) -> Sequence[tuple[str, int, int, int]]:
    """The owners with the most tokens since then: turns, tokens in and out."""
    rows = ArchivedResponse.objects.filter(created_at__gte=month).order_by()
    sums = rows.values_list("owner").annotate(**_SUMS)
    return list(sums.order_by((F("given") + F("said")).desc(), "owner")[:OWNERS])


def _look(request: HttpRequest, owners: Sequence[str]) -> Mapping[str, TokenAccount]:
    """What the meter counts of them; nothing while Redis is away."""
    meter = get_state(cast(ASGIRequest, request).scope).turns.runner.meter
    try:
        return dict(zip(owners, async_to_sync(meter.look)(owners), strict=True))
    except Unavailable:
        return {}


def _first_of_month(at: datetime) -> datetime:
    return at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
