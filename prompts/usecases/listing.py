"""Use case: an owner's conversations, those that the store has and those that it has let go, in one list.

Both are in the order of their last use. What was let go was used longer ago than anything is kept, so the archive is
asked only where a page comes that far: when the store has no more, or what it has there was restored.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import structlog

from prompts.domain.conversations import Conversation
from prompts.domain.responses import Notice
from prompts.errors import NotFound, Unavailable
from prompts.ports.conversations import ConversationStore
from prompts.ports.past_conversations import PastConversations, Place
from prompts.ports.said_search import SaidSearch
from prompts.usecases.public_ids import check_conversation_id

log = structlog.get_logger(__name__)

# What is in the archive and not to be shown is so for a moment only. Looks of one page, each at as many as it has.
MAX_LOOKS = 20
ARCHIVE_AWAY = Notice(
    "archive_unavailable", "The archive cannot be reached right now: older conversations are missing."
)


@dataclass(frozen=True, slots=True)
class Listed:
    """One page, whether there are more, and what is missing in it."""

    conversations: Sequence[Conversation]
    has_more: bool
    notices: Sequence[Notice] = ()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a list shows."""

    owner: str
    limit: int
    words: Sequence[str]
    said_in: Collection[str]


async def list_conversations(
    *,
    owner: str,
    limit: int,
    after: str | None,
    forked_from: str | None,
    query: str,
    store: ConversationStore,
    past: PastConversations,
    said: SaidSearch,
) -> Listed:
    """The owner's conversations, last used first.

    Only the forks of one that the store has, the newest first, with `forked_from`; only those whose titles have the
    words of the `query`, or in which they were said. While the archive is away, titles alone are searched, and what the
    store has is listed. Raises NotFound, Unavailable (the store; or the archive, when `after` is in it alone).
    """
    if after is not None:
        check_conversation_id(after, param="after")
    words = query.split()
    said_in = await _find_said(query, owner=owner, said=said) if words else ()
    if forked_from is not None:
        check_conversation_id(forked_from, param="forked_from")
        return Listed(
            *await store.list(
                owner=owner, limit=limit, after=after, forked_from=forked_from, words=words, said_in=said_in
            )
        )
    return await _list(_Wanted(owner, limit, words, said_in), after, store=store, past=past)


async def _find_said(query: str, *, owner: str, said: SaidSearch) -> Collection[str]:
    try:
        return await said.find(query, owner=owner)
    except Unavailable as error:
        log.warning("titles_alone_searched", code=error.code)
        return ()


async def _list(wanted: _Wanted, after: str | None, *, store: ConversationStore, past: PastConversations) -> Listed:
    place: Place | None = None
    try:
        there, has_more = await _read_store(wanted, store, after=after)
    except NotFound:
        if after is None:
            raise
        place = await past.find_place(after, owner=wanted.owner)
        there, has_more = await _read_store(wanted, store, behind=place)
    if has_more and (there[-1].last_used_ms or 0) > past.find_newest_ms():
        return Listed(there, has_more)
    try:
        if after is not None and place is None:
            used_ms = await store.find_last_use(after, owner=wanted.owner)
            place = None if used_ms is None else Place(used_ms, after)
        let_go = await _read_past(replace(wanted, limit=wanted.limit + 1), place, store=store, past=past)
    except Unavailable as error:
        log.warning("past_conversations_not_listed", code=error.code)
        return Listed(there, has_more, [ARCHIVE_AWAY])
    known = {each.id for each in there}
    together = sorted(
        [*there, *(each for each in let_go if each.id not in known)],
        key=lambda each: (each.last_used_ms or 0, each.id),
        reverse=True,
    )
    return Listed(together[: wanted.limit], has_more or len(together) > wanted.limit)


async def _read_store(
    wanted: _Wanted, store: ConversationStore, *, after: str | None = None, behind: Place | None = None
) -> tuple[Sequence[Conversation], bool]:
    return await store.list(
        owner=wanted.owner,
        limit=wanted.limit,
        after=after,
        behind_ms=None if behind is None else behind.used_ms,
        words=wanted.words,
        said_in=wanted.said_in,
    )


async def _read_past(
    wanted: _Wanted, place: Place | None, *, store: ConversationStore, past: PastConversations
) -> Sequence[Conversation]:
    """What was let go and not deleted, up to the limit."""
    found: list[Conversation] = []
    for _ in range(MAX_LOOKS):
        some = await past.list(
            owner=wanted.owner, behind=place, limit=wanted.limit, words=wanted.words, said_in=wanted.said_in
        )
        let_go = await store.find_let_go({each.conversation.id: each.origins for each in some})
        found += [each.conversation for each in some if each.conversation.id in let_go]
        if len(some) < wanted.limit or len(found) >= wanted.limit:
            break
        place = Place(some[-1].conversation.last_used_ms or 0, some[-1].conversation.id)
    return found
