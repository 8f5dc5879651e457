"""Use case: a conversation whole, as its owner may take it along; in slices, so that a long one holds nobody up."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Literal, TypeAlias

import msgspec

from prompts.domain.conversations import Conversation
from prompts.domain.items import Item
from prompts.ports.conversations import ConversationStore
from prompts.usecases.conversations import get_conversation
from prompts.usecases.markdown import render_item, render_title

decode_item = msgspec.json.Decoder(Item).decode

Form: TypeAlias = Literal["json", "markdown"]

# A slice has as many items as come near this size: reading and writing it takes about a millisecond.
SLICE_BYTES = 128 * 1024
MAX_ITEMS_A_SLICE = 50
# Characters of Markdown that are made before the event loop gets a turn.
CHARACTERS_A_TURN = 64 * 1024


async def export_conversation(
    conversation_id: str, *, owner: str, store: ConversationStore
) -> tuple[Conversation, AsyncIterator[Sequence[bytes]]]:
    """The conversation, and its items as they are stored, oldest first, in slices.

    Raises NotFound, Unavailable; so do the slices, should it be deleted, or the store go, in the middle.
    """
    conversation = await get_conversation(conversation_id, owner=owner, store=store)
    return conversation, _read_slices(conversation_id, owner=owner, store=store)


async def write_json(head: bytes, slices: AsyncIterator[Sequence[bytes]]) -> AsyncIterator[bytes]:
    """One object; `head` is the conversation as the API shows it."""
    yield b'{"object":"conversation.export","conversation":%b,"items":[' % head
    separator = b""
    async for items in slices:
        if items:
            yield separator + b",".join(items)
            separator = b","
    yield b"]}"


async def write_markdown(conversation: Conversation, slices: AsyncIterator[Sequence[bytes]]) -> AsyncIterator[bytes]:
    """A document for people."""
    yield render_title(conversation).encode()
    async for items in slices:
        for piece in _gather(line for item in items for line in render_item(decode_item(item))):
            yield piece.encode()
            await asyncio.sleep(0)  # one item alone may be megabytes


async def _read_slices(conversation_id: str, *, owner: str, store: ConversationStore) -> AsyncIterator[Sequence[bytes]]:
    limit, after = 1, None
    while True:
        page = await store.list_items(conversation_id, owner=owner, limit=limit, order="asc", after=after)
        yield page.data
        if not page.has_more:
            return
        after = page.last_id
        # One item at first, and one again after large ones: the next may be as large.
        limit = min(limit * 2, MAX_ITEMS_A_SLICE) if sum(map(len, page.data)) < SLICE_BYTES else 1


def _gather(lines: Iterator[str]) -> Iterator[str]:
    """The same in larger pieces."""
    gathered: list[str] = []
    size = 0
    for line in lines:
        gathered.append(line)
        size += len(line)
        if size >= CHARACTERS_A_TURN:
            yield "".join(gathered)
            gathered, size = [], 0
    yield "".join(gathered)
