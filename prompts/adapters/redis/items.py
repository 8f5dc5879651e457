"""Items as the scripts take them: one packed argument (`unpack` in Lua fails near 8,000 values)."""

from collections.abc import Sequence

import msgspec

from prompts.domain.item_kinds import find_made_call
from prompts.domain.items import Item
from prompts.domain.kept_thoughts import get_kept, hide_kept
from prompts.history.estimates import estimate_tokens

encode = msgspec.json.Encoder().encode
decode_item = msgspec.json.Decoder(Item).decode
decode_items = msgspec.json.Decoder(list[Item]).decode


def pack_items(items: Sequence[Item]) -> bytes:
    """A JSON array of [id, the item's JSON, its estimated tokens, its call's id or "", what is kept with it or ""].

    What is kept is no part of the item's JSON: so whatever shows that shows none of it, in the last release too.
    """
    return encode([_pack(item) for item in items])


def _pack(item: Item) -> tuple[str, str, int, str, str]:
    kept = get_kept(item)
    packed_kept = encode(kept).decode() if kept else ""
    return item.id, encode(hide_kept(item)).decode(), estimate_tokens(item), find_made_call(item) or "", packed_kept
