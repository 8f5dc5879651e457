"""Items as the scripts take them: one packed argument (`unpack` in Lua fails near 8,000 values)."""

from collections.abc import Sequence

import msgspec

from prompts.domain.item_kinds import find_made_call
from prompts.domain.items import Item
from prompts.history.estimates import estimate_tokens

encode = msgspec.json.Encoder().encode
decode_item = msgspec.json.Decoder(Item).decode
decode_items = msgspec.json.Decoder(list[Item]).decode


def pack_items(items: Sequence[Item]) -> bytes:
    """A JSON array of [id, the item's JSON, its estimated tokens, the id of the call it makes or ""]."""
    return encode([_pack(item) for item in items])


def _pack(item: Item) -> tuple[str, str, int, str]:
    return item.id, encode(item).decode(), estimate_tokens(item), find_made_call(item) or ""
