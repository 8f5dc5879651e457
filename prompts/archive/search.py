"""Searches in what was said, by the index that each database has. Sync, for a thread or a page of the admin."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, connections, transaction
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from prompts.archive.said import choose_words
from prompts.models.archive import ArchivedItem

# Of the items that match, the newest: a common word is in all of them.
MAX_MATCHES = 2_000
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


def _filter(items: QuerySet[ArchivedItem], condition: str, words: str) -> QuerySet[ArchivedItem]:
    # `words` are letters and digits in quotes: nothing in a query is syntax.
    said = RawSQL(condition, [words], output_field=BooleanField())  # noqa: S611 -- a constant, with its parameter
    return items.alias(says=said).filter(says=True)


def find_said_ids(query: str, *, owner: str | None = None) -> set[str]:
    """The conversations in which people and models said it: of an owner, or of all.

    A fork is found by what was said on it, not by what it shares.
    """
    spoken = list_said(query, owner=owner).filter(role__in=("user", "assistant"))
    # With `id`, so that each item is one, as the limit counts them.
    return {found for found, _ in spoken.values_list("conversation_id", "id")[:MAX_MATCHES] if found}


def list_said(query: str, *, owner: str | None = None) -> QuerySet[ArchivedItem]:
    """The items of conversations that say it, the newest first: of an owner, or of all."""
    items = ArchivedItem.objects.filter(conversation__isnull=False)
    if owner is not None:
        items = items.filter(owner=owner)
    return filter_said(items, query).order_by("-id")
