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
    if connections[items.db].vendor == "postgresql":
        return _filter(items, POSTGRESQL, _compose_words(query))
    return _filter(items, SQLITE, " ".join(f'"{word}"*' for word in choose_words(query)))


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

    PostgreSQL cannot tell how common the beginning of a word is. So the newest `walked` are read before any other, and
    what is not among those is looked for by the index of words alone.
    """
    said = filter_said(items, query)
    if connections[items.db].vendor != "postgresql":
        return list(said.order_by("-id").values_list(*columns)[:limit])
    newest, is_all = _walk(items, query, walked)
    if is_all or len(newest) >= limit:
        return list(items.filter(id__in=newest[:limit]).order_by("-id").values_list(*columns))
    # A sum is not what the table's own order is by: in that one, a million items would be read to find none.
    return list(said.annotate(place=F("id") + 0).order_by("-place").values_list(*columns)[:limit])


def _walk(items: QuerySet[ArchivedItem], query: str, count: int) -> tuple[list[int], bool]:
    """Which of the newest items say it, the newest first; and whether these are all.

    What a limit bounds, PostgreSQL reads by itself, and not by the index of words.
    """
    words = _compose_words(query)
    if not words:
        return [], True
    walked, params = items.order_by("-id").values("id", "text", "forms")[:count].query.sql_with_params()
    says = POSTGRESQL.replace("prompts_archiveditem.", "walked.")
    with connections[items.db].cursor() as cursor:
        cursor.execute(f"SELECT id, {says} FROM ({walked}) AS walked ORDER BY id DESC", [words, *params])  # noqa: S608 -- Django's own SQL, and a constant
        found = cursor.fetchall()
    return [place for place, is_said in found if is_said], len(found) < count


def _compose_words(query: str) -> str:
    """The words as PostgreSQL takes them, each as a beginning; empty without any."""
    return " & ".join(f"'{word}':*" for word in choose_words(query))


def _filter(items: QuerySet[ArchivedItem], condition: str, words: str) -> QuerySet[ArchivedItem]:
    if not words:
        return items.none()
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
