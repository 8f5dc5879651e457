"""Use cases on conversations and their items."""

from collections.abc import Sequence
from typing import Literal

from prompts.domain import ids
from prompts.domain.conversations import Conversation, Metadata
from prompts.domain.items import Item
from prompts.domain.kept_thoughts import hide_kept
from prompts.errors import UnknownCall
from prompts.history.calls import find_unanswered
from prompts.ports.conversations import ConversationStore
from prompts.ports.eraser import Eraser
from prompts.ports.pages import Page
from prompts.run.sweeping import erase_deleted
from prompts.usecases.files import FilePorts
from prompts.usecases.items import StoredItem, build_items
from prompts.usecases.public_ids import check_conversation_id, check_item_id


async def create_conversation(
    *,
    owner: str,
    metadata: Metadata,
    title: str | None,
    new_items: Sequence[Item | StoredItem],
    store: ConversationStore,
    files: FilePorts,
) -> Conversation:
    """A new conversation with its first items, in the order given. Raises Unavailable."""
    partition = ids.new_partition()
    conversation_id = ids.new_id(ids.CONVERSATION, partition)
    items = await build_items(new_items, partition, owner=owner, conversations=store, files=files, param="items")
    for call_id in find_unanswered(items):
        raise UnknownCall(call_id)
    return await store.create(conversation_id, owner=owner, metadata=metadata, items=items, title=title)


async def get_conversation(conversation_id: str, *, owner: str, store: ConversationStore) -> Conversation:
    """The conversation. Raises NotFound, Unavailable."""
    check_conversation_id(conversation_id)
    return await store.get(conversation_id, owner=owner)


async def update_conversation(
    conversation_id: str, *, owner: str, metadata: Metadata, title: str | None, store: ConversationStore
) -> Conversation:
    """Replace the metadata, and the title when one is given; an empty one goes. Raises NotFound, Unavailable."""
    check_conversation_id(conversation_id)
    return await store.update(conversation_id, owner=owner, metadata=metadata, title=title)


async def delete_conversation(conversation_id: str, *, owner: str, store: ConversationStore, eraser: Eraser) -> None:
    """Delete it at once, and erase everything that it holds before this returns. Raises NotFound, Unavailable."""
    check_conversation_id(conversation_id)
    await store.delete(conversation_id, owner=owner)
    await erase_deleted(eraser, conversation_id)


async def fork_conversation(
    origin_id: str,
    *,
    owner: str,
    before: str | None,
    after: str | None,
    metadata: Metadata | None,
    title: str | None,
    store: ConversationStore,
) -> Conversation:
    """A new conversation that shares the history up to an item, or all of it.

    Without metadata or a title of its own it has its origin's. Raises NotFound, Unavailable.
    """
    check_conversation_id(origin_id)
    side: Literal["before", "after"] = "after" if before is None else "before"
    item_id = after if before is None else before
    if item_id is not None:
        check_item_id(item_id, param=side)
    conversation_id = ids.new_id(ids.CONVERSATION, ids.get_partition(origin_id))
    at = None if item_id is None else side
    return await store.fork(
        conversation_id, origin_id, owner=owner, side=at, item_id=item_id or "", metadata=metadata, title=title
    )


async def add_items(
    conversation_id: str,
    *,
    owner: str,
    new_items: Sequence[Item | StoredItem],
    store: ConversationStore,
    files: FilePorts,
) -> Sequence[Item]:
    """Append items and give them back as they are shown, in the order given.

    Raises NotFound, ConversationLocked, Unavailable.
    """
    check_conversation_id(conversation_id)
    items = await build_items(
        new_items, ids.get_partition(conversation_id), owner=owner, conversations=store, files=files, param="items"
    )
    await store.add_items(conversation_id, owner=owner, items=items, unanswered=find_unanswered(items))
    return [hide_kept(item) for item in items]


async def get_item(conversation_id: str, item_id: str, *, owner: str, store: ConversationStore) -> bytes:
    """One item of the conversation, as stored. Raises NotFound, Unavailable."""
    check_conversation_id(conversation_id)
    check_item_id(item_id, param="item_id")
    return await store.get_item(conversation_id, item_id, owner=owner)


async def delete_item(conversation_id: str, item_id: str, *, owner: str, store: ConversationStore) -> Conversation:
    """Erase one item of the history; gives the conversation. Raises NotFound, Unavailable."""
    check_conversation_id(conversation_id)
    check_item_id(item_id, param="item_id")
    await store.delete_item(conversation_id, item_id, owner=owner)
    return await store.get(conversation_id, owner=owner)


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
    check_conversation_id(conversation_id)
    if after is not None:
        check_item_id(after, param="after")
    return await store.list_items(conversation_id, owner=owner, limit=limit, order=order, after=after)
