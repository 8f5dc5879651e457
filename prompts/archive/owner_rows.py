"""An owner's rows in SQL: counted, revoked, erased. Sync, for a thread or a command. Raises DatabaseError."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils import timezone

from prompts.archive.counting import CONVERSATIONS, ITEMS, RESPONSES, SEARCH_INDEX
from prompts.archive.erasing import drop_deleted_words
from prompts.domain.owners import USER_PREFIX, is_user
from prompts.models import (
    ApiKey,
    ArchivedChain,
    ArchivedConversation,
    ArchivedItem,
    ArchivedResponse,
    ArchivedTimeline,
    Project,
    Prompt,
)

ROWS_A_SLICE = 500


def may_sign_in(owner: str) -> bool:
    """Whether the owner is a user who would go on making things while theirs are erased."""
    number = owner.removeprefix(USER_PREFIX)
    return is_user(owner) and number.isdecimal() and User.objects.filter(pk=number, is_active=True).exists()


def revoke_keys(owner: str) -> int:
    """How many were valid until now."""
    return ApiKey.objects.filter(owner=owner, revoked_at=None).update(revoked_at=timezone.now())


def list_key_hashes(owner: str) -> Sequence[str]:
    """Of all keys that the owner ever had."""
    return list(ApiKey.objects.filter(owner=owner).values_list("key_hash", flat=True))


def delete_keys(owner: str) -> int:
    """When nothing else is left: until then they are how the same erasure goes on."""
    return ApiKey.objects.filter(owner=owner).delete()[0]


def delete_prompts(owner: str) -> int:
    """With their versions; how many prompts."""
    rows = Prompt.objects.filter(owner=owner)
    count = rows.count()
    rows.delete()
    return count


def delete_project(owner: str) -> int:
    """What is set for the owner."""
    return Project.objects.filter(owner=owner).delete()[0]


def list_archived(owner: str, *, after: str) -> Sequence[str]:
    """Some timelines of the owner's that the archive has, in the order of their ids."""
    rows = ArchivedTimeline.objects.filter(owner=owner, id__gt=after).order_by("id")
    return list(rows.values_list("id", flat=True)[:ROWS_A_SLICE])


def erase_rows(owner: str) -> Counter[str]:
    """Whatever else of the owner is in the archive, in slices; and the words of it in the index of SQLite."""
    counts: Counter[str] = Counter()
    counts[ITEMS] = counts[SEARCH_INDEX] = _delete(ArchivedItem.objects.filter(owner=owner))
    counts[RESPONSES] = _delete(ArchivedResponse.objects.filter(owner=owner))
    counts[CONVERSATIONS] = _delete(ArchivedConversation.objects.filter(owner=owner))
    _delete(ArchivedChain.objects.filter(owner=owner))
    _delete(ArchivedTimeline.objects.filter(owner=owner))
    drop_deleted_words()
    return +counts


def _delete(rows: QuerySet[Any]) -> int:
    deleted = 0
    while some := list(rows.values_list("pk", flat=True)[:ROWS_A_SLICE]):
        deleted += rows.filter(pk__in=some).delete()[0]
    return deleted
