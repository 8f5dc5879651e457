"""Items of a history from what a client sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from prompts.domain import ids
from prompts.domain.item_kinds import ITEM_KINDS
from prompts.domain.items import Item
from prompts.errors import named_too_large, unknown_item
from prompts.ports.conversations import MAX_NAMED_BYTES, ConversationStore
from prompts.usecases.files import FilePorts
from prompts.usecases.named_files import read_named_files

encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item that is stored already, named by its id; `param` is where the client named it."""

    id: str
    param: str


async def build_items(
    new_input: Sequence[Item | StoredItem],
    partition: str,
    *,
    owner: str,
    conversations: ConversationStore,
    files: FilePorts,
    param: str = "input",
) -> list[Item]:
    """The items, each with an id of its own; `param` is where they stand in the request.

    Raises NotFound (an item, a file), InvalidRequest (a file that cannot be told), BodyTooLarge, Unavailable.
    """
    new_input = await read_named_files(new_input, owner=owner, param=param, ports=files)
    references = [entry for entry in new_input if isinstance(entry, StoredItem)]
    stored: Mapping[str, Item] = {}
    if references:
        stored = await _get_stored(references, owner=owner, conversations=conversations)
        _check_size(references, stored)
    items = [stored[entry.id] if isinstance(entry, StoredItem) else entry for entry in new_input]
    return [replace(item, id=ids.new_id(ITEM_KINDS[type(item)].id_prefix, partition)) for item in items]


def _check_size(references: Sequence[StoredItem], stored: Mapping[str, Item]) -> None:
    """Refuse more bytes than a request may bring itself: an item may be named again and again. Raises BodyTooLarge."""
    sizes = {item_id: len(encode(item)) for item_id, item in stored.items()}
    if sum(sizes[entry.id] for entry in references) > MAX_NAMED_BYTES:
        raise named_too_large()


async def _get_stored(
    references: Sequence[StoredItem], *, owner: str, conversations: ConversationStore
) -> Mapping[str, Item]:
    """The items that are named. Raises NotFound with the place of the first that is not there, Unavailable."""
    named = {entry.id: entry for entry in references}
    found = await conversations.find_items(list(named), owner=owner)
    for entry, item in zip(named.values(), found, strict=True):
        if item is None:
            raise unknown_item(entry.id, param=entry.param)
    return {entry_id: item for entry_id, item in zip(named, found, strict=True) if item is not None}
