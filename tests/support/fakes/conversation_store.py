"""`ConversationStore` in memory."""

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from msgspec.structs import replace

from prompts.answer.events import encode
from prompts.domain.conversations import Conversation, Metadata, has_words
from prompts.domain.items import Item
from prompts.domain.kept_thoughts import hide_kept
from prompts.errors import conversation_locked, unknown_conversation, unknown_item
from prompts.ports.pages import Page
from tests.support.fakes.memory import Memory, check_calls, check_open
from tests.support.fakes.pages import cut_page, find_place
from tests.support.fakes.records import History, KeptConversation, new_root


class FakeConversationStore:
    """`ConversationStore` in memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def create(
        self, conversation_id: str, *, owner: str, metadata: Metadata, items: Sequence[Item], title: str | None = None
    ) -> Conversation:
        """See `ConversationStore.create`."""
        if kept := self._memory.conversations.get(conversation_id):
            return kept.shown
        root = new_root(conversation_id, owner, conversation_id=conversation_id)
        kept = KeptConversation(conversation_id, owner, int(time.time()), metadata, title, root, history=())
        if conversation_id in self._memory.deleted_ids:
            return kept.shown
        kept.history = self._memory.join((), items, root)
        return self._memory.open_conversation(kept)

    async def get(self, conversation_id: str, *, owner: str) -> Conversation:
        """See `ConversationStore.get`."""
        return self._memory.find_conversation(conversation_id, owner).shown

    async def update(
        self, conversation_id: str, *, owner: str, metadata: Metadata, title: str | None = None
    ) -> Conversation:
        """See `ConversationStore.update`."""
        kept = self._memory.find_conversation(conversation_id, owner)
        kept.metadata = metadata
        kept.title = kept.title if title is None else title
        return kept.shown

    async def delete(self, conversation_id: str, *, owner: str) -> None:
        """See `ConversationStore.delete`."""
        self._memory.delete_conversation(self._memory.find_conversation(conversation_id, owner))

    async def fork(
        self,
        conversation_id: str,
        origin_id: str,
        *,
        owner: str,
        side: Literal["before", "after"] | None,
        item_id: str,
        metadata: Metadata | None = None,
        title: str | None = None,
    ) -> Conversation:
        """See `ConversationStore.fork`."""
        if kept := self._memory.conversations.get(conversation_id):
            return kept.shown
        origin = self._memory.find_conversation(origin_id, owner)
        unknown = unknown_conversation(origin_id)
        if conversation_id in self._memory.deleted_ids:
            raise unknown
        check_open(origin.root, unknown)
        root = new_root(origin_id, owner, conversation_id=conversation_id, parent=origin.root)
        history = origin.history
        if side is not None:
            place = self._find_place(item_id, history, param=side)
            history = history[: place + (side == "after")]
        kept = KeptConversation(
            conversation_id,
            owner,
            int(time.time()),
            origin.metadata if metadata is None else metadata,
            origin.title if title is None else title,
            root,
            history,
            forked_from=origin_id,
        )
        return self._memory.open_conversation(kept)

    async def list(
        self,
        *,
        owner: str,
        limit: int,
        after: str | None,
        behind_ms: int | None = None,
        forked_from: str | None = None,
        words: Sequence[str] = (),
        said_in: Collection[str] = (),
    ) -> tuple[Sequence[Conversation], bool]:
        """See `ConversationStore.list`."""
        conversations = self._memory.conversations
        listed = list(self._memory.listings[owner])
        if forked_from is not None:
            origin = conversations.get(forked_from)
            if origin is None or origin.owner != owner:
                raise unknown_conversation(forked_from, param="forked_from")
            listed = [each.id for each in reversed(conversations.values()) if each.forked_from == forked_from]
        start = 0
        if after is not None:
            if after not in listed:
                raise unknown_conversation(after, param="after")
            start = listed.index(after) + 1
        elif behind_ms is not None:
            start = sum(self._memory.used_at[each] * 1000 >= behind_ms for each in listed)
        there = [conversations[each].shown for each in listed[start:] if each in conversations]
        if forked_from is None:
            there = [replace(each, last_used_ms=self._memory.used_at[each.id] * 1000) for each in there]
        found = [shown for shown in there if has_words(shown.title, words) or shown.id in said_in]
        return found[:limit], len(found) > limit

    async def find_last_use(self, conversation_id: str, *, owner: str) -> int | None:
        """See `ConversationStore.find_last_use`."""
        is_listed = conversation_id in self._memory.listings[owner]
        return self._memory.used_at[conversation_id] * 1000 if is_listed else None

    async def find_let_go(self, lineages: Mapping[str, Sequence[str]]) -> Collection[str]:
        """See `ConversationStore.find_let_go`: it lets nothing go by itself."""
        gone = self._memory.deleted_ids
        return [
            each
            for each, origins in lineages.items()
            if each not in self._memory.conversations and gone.isdisjoint((each, *origins))
        ]

    async def add_items(
        self, conversation_id: str, *, owner: str, items: Sequence[Item], unanswered: Sequence[str] = ()
    ) -> None:
        """See `ConversationStore.add_items`."""
        kept = self._memory.find_conversation(conversation_id, owner)
        if items and self._memory.find_item(items[0].id) is None:
            if kept.active_response_id is not None:
                raise conversation_locked(conversation_id, kept.active_response_id)
            check_open(kept.root, unknown_conversation(conversation_id))
            check_calls(kept.history, unanswered)
            kept.history = self._memory.join(kept.history, items, kept.root)
            kept.root.use()
        self._memory.touch_listing(owner, conversation_id)

    async def list_items(
        self, conversation_id: str, *, owner: str, limit: int, order: Literal["asc", "desc"], after: str | None
    ) -> Page:
        """See `ConversationStore.list_items`."""
        history = self._memory.find_conversation(conversation_id, owner).history
        return cut_page(self._memory.list_shown(history), limit=limit, order=order, after=after)

    async def get_item(self, conversation_id: str, item_id: str, *, owner: str) -> bytes:
        """See `ConversationStore.get_item`."""
        history = self._memory.find_conversation(conversation_id, owner).history
        return encode(hide_kept(history[self._find_place(item_id, history, param="item_id")]))

    async def find_items(self, item_ids: Sequence[str], *, owner: str) -> Sequence[Item | None]:
        """See `ConversationStore.find_items`."""
        return [self._find_owned(item_id, owner) for item_id in item_ids]

    async def delete_item(self, conversation_id: str, item_id: str, *, owner: str) -> None:
        """See `ConversationStore.delete_item`."""
        history = self._memory.find_conversation(conversation_id, owner).history
        self._find_place(item_id, history, param="item_id")
        self._memory.deleted_ids.add(item_id)

    def _find_place(self, item_id: str, history: History, *, param: str) -> int:
        """The index of an item in a history. Raises NotFound."""
        if self._memory.find_item(item_id) is None:
            raise unknown_item(item_id, param=param)
        return find_place(item_id, history, param=param)

    def _find_owned(self, item_id: str, owner: str) -> Item | None:
        item = self._memory.find_item(item_id)
        if item is None:
            return None
        _, root = self._memory.items[item_id]
        return None if root.owner != owner or root.is_deleted else item
