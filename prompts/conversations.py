"""Use cases on conversations and their items."""

from collections.abc import Sequence
from typing import Literal

from prompts import ids
from prompts.domain import Conversation, Item, Metadata
from prompts.errors import unknown_conversation, unknown_item
from prompts.ports import ConversationStore, Page
from prompts.responses import NewMessage, build_items


async def create_conversation(
    *, owner: str, metadata: Metadata, new_items: Sequence[NewMessage], store: ConversationStore
) -> Conversation:
    """A new conversation with its first items, in the order given. Raises Unavailable."""
    partition = ids.new_partition()
    conversation_id = ids.new_id(ids.CONVERSATION, partition)
    return await store.create(conversation_id, owner=owner, metadata=metadata, items=build_items(new_items, partition))


async def get_conversation(conversation_id: str, *, owner: str, store: ConversationStore) -> Conversation:
    """The conversation. Raises NotFound, Unavailable."""
    _check_id(conversation_id)
    return await store.get(conversation_id, owner=owner)


async def update_conversation(
    conversation_id: str, *, owner: str, metadata: Metadata, store: ConversationStore
) -> Conversation:
    """Replace the metadata. Raises NotFound, Unavailable."""
    _check_id(conversation_id)
    return await store.update(conversation_id, owner=owner, metadata=metadata)


async def list_conversations(
    *, owner: str, limit: int, after: str | None, store: ConversationStore
) -> tuple[Sequence[Conversation], bool]:
    """The owner's conversations, last used first, and whether there are more. Raises NotFound, Unavailable."""
    if after is not None:
        _check_id(after, param="after")
    return await store.list(owner=owner, limit=limit, after=after)


async def add_items(
    conversation_id: str, *, owner: str, new_items: Sequence[NewMessage], store: ConversationStore
) -> Sequence[Item]:
    """Append items and give them back in the order given. Raises NotFound, ConversationLocked, Unavailable."""
    _check_id(conversation_id)
    items = build_items(new_items, ids.get_partition(conversation_id))
    await store.add_items(conversation_id, owner=owner, items=items)
    return items


async def list_items(
    conversation_id: str,
    *,
    owner: str,
    limit: int,
    order: Literal["asc", "desc"],
    after: str | None,
    store: ConversationStore,
) -> Page:
    """One page of the items. Raises NotFound, Unavailable."""
    _check_id(conversation_id)
    if after is not None and not ids.is_well_formed(after, ids.MESSAGE):
        raise unknown_item(after, param="after")
    return await store.list_items(conversation_id, owner=owner, limit=limit, order=order, after=after)


def _check_id(conversation_id: str, *, param: str = "conversation_id") -> None:
    """An id that cannot be one of ours leads to no key."""
    if not ids.is_well_formed(conversation_id, ids.CONVERSATION):
        raise unknown_conversation(conversation_id, param=param)
