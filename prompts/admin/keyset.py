"""Lists of large tables, a page from wherever one is: nothing is counted, and no page costs more than another."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet

AnyModel = TypeVar("AnyModel", bound=Model)

PAGE_ROWS = 50


@dataclass(frozen=True, slots=True)
class KeysetPage(Generic[AnyModel]):
    """Rows, the newest first, and the cursors of the pages beside; "" where there is none."""

    rows: Sequence[AnyModel]
    newer: str = ""
    older: str = ""


def read_page(
    tables: "Sequence[QuerySet[AnyModel]]", by: str, *, newer: str = "", older: str = ""
) -> "KeysetPage[AnyModel]":
    """The page by the time `by` and the ids of rows that is newer or older than a cursor; without one the first.

    Rows of several tables stand between each other. A cursor that cannot be read is no cursor.
    """
    if cursor := _read_cursor(newer):
        found = _merge([rows.filter(_beyond(by, *cursor, "gt")).order_by(by, "pk") for rows in tables], by)
        has_more, shown = len(found) > PAGE_ROWS, found[:PAGE_ROWS][::-1]
        return KeysetPage(shown, _cursor(shown[:1], by) if has_more else "", _cursor(shown[-1:], by))
    cursor = _read_cursor(older)
    if cursor:
        tables = [rows.filter(_beyond(by, *cursor, "lt")) for rows in tables]
    found = _merge([rows.order_by(f"-{by}", "-pk") for rows in tables], by, is_reverse=True)
    shown = found[:PAGE_ROWS]
    return KeysetPage(
        shown, _cursor(shown[:1], by) if cursor else "", _cursor(shown[-1:], by) if len(found) > PAGE_ROWS else ""
    )


def _merge(ordered: "Sequence[QuerySet[AnyModel]]", by: str, *, is_reverse: bool = False) -> Sequence[AnyModel]:
    """A page's rows in their order, and one more."""
    found = [row for rows in ordered for row in rows[: PAGE_ROWS + 1]]
    return sorted(found, key=lambda row: (getattr(row, by), row.pk), reverse=is_reverse)[: PAGE_ROWS + 1]


def _beyond(by: str, at: datetime, key: str, sign: str) -> Q:
    """Rows on one side of a place. The first condition is one that an index is read by."""
    return Q(**{f"{by}__{sign}e": at}) & (Q(**{f"{by}__{sign}": at}) | Q(**{f"pk__{sign}": key}))


def _cursor(rows: Sequence[Model], by: str) -> str:
    if not rows:
        return ""
    at: datetime = getattr(rows[0], by)
    return f"{at.astimezone(UTC).strftime('%Y%m%dT%H%M%S%f')}-{rows[0].pk}"


def _read_cursor(cursor: str) -> tuple[datetime, Any] | None:
    at, separator, key = cursor.partition("-")
    try:
        return (datetime.strptime(at, "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC), key) if separator else None
    except ValueError:
        return None
