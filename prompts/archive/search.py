"""Searches in what was said, by the index that each database has. Sync, for a thread or a page of the admin."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, connections, transaction
from django.db.models import BooleanField, F, QuerySet
from django.db.models.expressions import RawSQL

from prompts.archive.said import choose_words
from prompts.models.archive import ArchivedItem

# Of the items that match, the newest: a common word is in all of them.
MAX_MATCHES = 2_000
# The newest items are read one by one first, in about 50 ms: a common word is in enough of them.
WALKED = 5_000
POSTGRESQL = (
    "to_tsvector('simple', prompts_archiveditem.text || ' ' || prompts_archiveditem.forms) @@ to_tsquery('simple', %s)"
)
SQLITE = "prompts_archiveditem.id IN (SELECT rowid FROM prompts_said WHERE prompts_said MATCH %s)"


def filter_said(items: QuerySet[ArchivedItem], query: str) -> QuerySet[ArchivedItem]:
    """Those of the items that say each word of the query, or a word that begins with it; none without any words."""
    words = choose_words(query)
    if not words:
        return items.none()
    if connections[items.db].vendor == "postgresql":
        return _filter(items, POSTGRESQL, " & ".join(f"'{word}':*" for word in words))
    return _filter(items, SQLITE, " ".join(f'"{word}"*' for word in words))


@contextmanager
def limited_time(seconds: float) -> Iterator[None]:
    """Let PostgreSQL give up a query after so long; SQLite cannot. Raises DatabaseError then."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(int(seconds * 1000))])
        yield


def list_newest(
    items: QuerySet[ArchivedItem], query: str, *columns: str, limit: int, walked: int = WALKED
) -> list[tuple[Any, ...]]:
    """These columns of those of the items that say it, the newest first; as many as the limit when there are more.

    The newest `walked` are read before any other. PostgreSQL cannot tell how common the beginning of a word is, and
    takes it for a common one: then it reads a million items from the newest on to find none. So what is not among
    those is looked for by the index of words alone.
    """
    if connections[items.db].vendor != "postgresql":
        return list(filter_said(items, query).order_by("-id").values_list(*columns)[:limit])
    end = list(items.order_by("-id").values_list("id", flat=True)[walked : walked + 1])
    newest = items.filter(id__gt=end[0]) if end else items
    found = list(filter_said(newest, query).order_by("-id").values_list(*columns)[:limit])
    if not end or len(found) == limit:
        return found
    # A sum is not what the table's own order is by.
    rows = filter_said(items, query).annotate(place=F("id") + 0).order_by("-place")
    return list(rows.values_list(*columns)[:limit])


def _filter(items: QuerySet[ArchivedItem], condition: str, words: str) -> QuerySet[ArchivedItem]:
    # `words` are letters and digits in quotes: nothing in a query is syntax.
    said = RawSQL(condition, [words], output_field=BooleanField())  # noqa: S611 -- a constant, with its parameter
    return items.alias(says=said).filter(says=True)


def find_said_ids(query: str, *, owner: str | None = None) -> set[str]:
    """The conversations in which people and models said it: of an owner, or of all.

    A fork is found by what was said on it, not by what it shares. Looks at the newest `MAX_MATCHES` items.
    """
    spoken = ArchivedItem.objects.filter(conversation__isnull=False, role__in=("user", "assistant"))
    if owner is not None:
        spoken = spoken.filter(owner=owner)
    return {found for (found,) in list_newest(spoken, query, "conversation_id", limit=MAX_MATCHES)}
