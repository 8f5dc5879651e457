"""Conversations that Redis has let go, from the archive, for the API."""

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from django.db.models import Q, QuerySet

from prompts.adapters.sql.threads import SqlThreads
from prompts.archive.search import limited_time
from prompts.domain import ids
from prompts.domain.conversations import Conversation
from prompts.errors import unknown_conversation
from prompts.models.archive import ArchivedConversation
from prompts.ports.past_conversations import PastConversation, Place

# Of a process; a page takes milliseconds, or its time is over.
MAX_THREADS = 2
MAX_CALL_S = 2.0


class SqlPastConversations:
    """`PastConversations` on Django's ORM; `close` it when nobody asks any more."""

    def __init__(self, *, retention_s: int) -> None:
        """`retention_s` is how long nothing is let go: younger ids are not looked for."""
        self._retention_ms = retention_s * 1000
        self._threads = SqlThreads("past", MAX_THREADS, max_call_s=MAX_CALL_S)

    def close(self) -> None:
        """No more lists; those that have begun come to their end."""
        self._threads.close()

    def find_newest_ms(self) -> int:
        """See `PastConversations.find_newest_ms`."""
        return int(time.time() * 1000) - self._retention_ms

    async def find_place(self, conversation_id: str, *, owner: str) -> Place:
        """See `PastConversations.find_place`."""
        unknown = unknown_conversation(conversation_id, param="after")
        if ids.get_time_ms(conversation_id) > self.find_newest_ms():
            raise unknown
        used_ms = await self._threads.ask(partial(_find_last_use, conversation_id, owner))
        if used_ms is None:
            raise unknown
        return Place(used_ms, conversation_id)

    async def list(
        self,
        *,
        owner: str,
        behind: Place | None,
        limit: int,
        words: Sequence[str] = (),
        said_in: Collection[str] = (),
    ) -> Sequence[PastConversation]:
        """See `PastConversations.list`."""
        return await self._threads.ask(partial(_list, owner, behind, limit, words, said_in))


def _find_last_use(conversation_id: str, owner: str) -> int | None:
    with limited_time(MAX_CALL_S):
        row = ArchivedConversation.objects.filter(id=conversation_id, owner=owner).first()
        return None if row is None else _to_ms(row.last_used_at)


def _list(
    owner: str, behind: Place | None, limit: int, words: Sequence[str], said_in: Collection[str]
) -> Sequence[PastConversation]:
    rows = ArchivedConversation.objects.filter(owner=owner, expired_at__isnull=False)
    if behind is not None:
        at = datetime.fromtimestamp(behind.used_ms / 1000, UTC)
        rows = rows.filter(last_used_at__lte=at).filter(Q(last_used_at__lt=at) | Q(id__lt=behind.conversation_id))
    with limited_time(MAX_CALL_S):
        found = list(_choose(rows, words, said_in).order_by("-last_used_at", "-id")[:limit])
        origins = _find_origins({row.forked_from for row in found} - {""})
    return [PastConversation(_show(row), _list_origins(row.forked_from, origins)) for row in found]


def _choose(
    rows: QuerySet[ArchivedConversation], words: Sequence[str], said_in: Collection[str]
) -> QuerySet[ArchivedConversation]:
    if not words:
        return rows
    titled = Q()
    for word in words:
        titled &= Q(title__icontains=word.replace("\0", ""))
    return rows.filter(titled | Q(id__in=list(said_in)))


def _find_origins(conversation_ids: set[str]) -> Mapping[str, str]:
    """What each of these was forked from, and so on; "" where it was not."""
    found: dict[str, str] = {}
    wanted = conversation_ids
    while wanted:
        rows = ArchivedConversation.objects.filter(id__in=wanted).values_list("id", "forked_from")
        found |= dict.fromkeys(wanted, "") | dict(rows)
        wanted = {*found.values()} - {"", *found}
    return found


def _list_origins(origin: str, origins: Mapping[str, str]) -> Sequence[str]:
    listed: dict[str, None] = {}
    while origin and origin not in listed:
        listed[origin] = None
        origin = origins.get(origin, "")
    return list(listed)


def _show(row: ArchivedConversation) -> Conversation:
    return Conversation(
        id=row.id,
        created_at=_to_ms(row.created_at) // 1000,
        metadata=row.metadata,
        title=row.title or None,
        forked_from=row.forked_from or None,
        last_used_ms=_to_ms(row.last_used_at),
    )


def _to_ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
