"""Items as the scripts take them: one packed argument (`unpack` in Lua fails near 8,000 values)."""

from collections.abc import Sequence

import msgspec

from prompts.domain.items import FunctionCall, Item
from prompts.history.model_input import estimate_tokens

encode = msgspec.json.Encoder().encode
decode_item = msgspec.json.Decoder(Item).decode
decode_items = msgspec.json.Decoder(list[Item]).decode


def pack_items(items: Sequence[Item]) -> bytes:
    """A JSON array of [id, the item's JSON, its estimated tokens, the id of the call it makes or ""]."""
    return encode([(item.id, encode(item).decode(), estimate_tokens(item), _made_call(item)) for item in items])


def _made_call(item: Item) -> str:
    return item.call_id if isinstance(item, FunctionCall) else ""
