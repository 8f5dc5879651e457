"""Erasure in the archive: a conversation or a chain with all that hangs on it, as Redis erases it; a response; an item.

Sync, for a thread or a command. Each returns what was deleted, by its kind. The same call again deletes nothing.
"""

from collections import Counter
from collections.abc import Collection
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from prompts.models.archive import ArchivedConversation, ArchivedItem, ArchivedResponse, ArchivedTimeline
from prompts.models.histories import ArchivedChain

# Of one statement: what a database takes as parameters.
IDS_AT_ONCE = 500


def erase_conversations(conversation_ids: Collection[str]) -> Counter[str]:
    """Erase conversations, their items and responses, and what was forked from them: it goes with its origin."""
    timelines: set[str] = set()
    for some in slice_ids(conversation_ids):
        timelines |= {*ArchivedConversation.objects.filter(id__in=some).values_list("timeline", flat=True)}
        timelines |= {*ArchivedTimeline.objects.filter(conversation_id__in=some).values_list("id", flat=True)}
    return _erase(timelines - {""}, {*conversation_ids})


def erase_chain(root: str) -> Counter[str]:
    """Erase a chain of responses with its items."""
    return _erase({root}, set())


def erase_family(*, timelines: Collection[str], conversations: Collection[str]) -> Counter[str]:
    """Erase all of these, and what hangs on them."""
    return _erase({*timelines}, {*conversations})


def erase_responses(response_ids: Collection[str]) -> Counter[str]:
    """Erase responses. What they said stays in the history that it joined."""
    return _delete(ArchivedResponse.objects.filter(id__in=response_ids), "responses")


def erase_items(item_ids: Collection[str]) -> Counter[str]:
    """Erase items; forks that share them lose them too."""
    return _delete(ArchivedItem.objects.filter(item_id__in=item_ids), "items")


@transaction.atomic
def _erase(timelines: set[str], conversation_ids: set[str]) -> Counter[str]:
    fresh = timelines
    while fresh:
        found: set[tuple[str, str]] = set()
        for some in slice_ids(fresh):
            below = ArchivedTimeline.objects.filter(Q(root__in=some) | Q(origin__in=some))
            found |= {*below.values_list("id", "conversation_id")}
        conversation_ids |= {conversation_id for _, conversation_id in found if conversation_id}
        fresh = {timeline for timeline, _ in found} - timelines
        timelines |= fresh
    erased: Counter[str] = Counter()
    for some in slice_ids(timelines):
        erased += _delete(ArchivedItem.objects.filter(timeline__in=some), "items")
        erased += _delete(ArchivedResponse.objects.filter(timeline__in=some), "responses")
        erased += _delete(ArchivedTimeline.objects.filter(id__in=some), "timelines")
        erased += _delete(ArchivedChain.objects.filter(id__in=some), "chains")
    for some in slice_ids(conversation_ids):
        erased += _delete(ArchivedResponse.objects.filter(conversation_id__in=some), "responses")
        erased += _delete(ArchivedItem.objects.filter(conversation_id__in=some), "items")
        erased += _delete(ArchivedConversation.objects.filter(id__in=some), "conversations")
    return erased


def drop_deleted_words() -> None:
    """Take deleted words out of SQLite's files as well.

    They stay in its index until the segments are merged, and in its journal until that is written anew.
    """
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO prompts_said(prompts_said) VALUES ('optimize')")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _delete(rows: QuerySet[Any], kind: str) -> Counter[str]:
    count, _ = rows.delete()
    return Counter({kind: count} if count else {})


def slice_ids(wanted: Collection[str]) -> list[list[str]]:
    """Ids in slices that one statement takes."""
    ordered = sorted(wanted)
    return [ordered[start : start + IDS_AT_ONCE] for start in range(0, len(ordered), IDS_AT_ONCE)]
