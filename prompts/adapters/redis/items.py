"""Items as the scripts take and give them: packed as one argument, large ones by where they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.scripts import translated_errors
from prompts.domain.item_kinds import find_made_call
from prompts.domain.items import KEPT, Item
from prompts.domain.kept_thoughts import get_kept, hide_kept
from prompts.history.estimates import estimate_tokens

encode = msgspec.json.Encoder().encode
decode_item = msgspec.json.Decoder(Item).decode
decode_items = msgspec.json.Decoder(list[Item]).decode

Packed: TypeAlias = tuple[str, str, int, str, str]
"""Id, the item's JSON, its estimated tokens, its call's id or "", what is kept with it (JSON array) or ""."""

# What one pipeline reads of large items, unless one alone is larger: other clients wait for all of it.
BYTES_A_READ = 4 * 1024 * 1024


def pack_items(items: Sequence[Item]) -> list[Packed]:
    """The items as `append_items` of lua/parts/items.lua takes them (`unpack` in Lua fails near 8,000 values).

    What is kept is no part of the item's JSON: so whatever shows that shows none of it, in the last release too.
    """
    return [_pack(item) for item in items]


def _pack(item: Item) -> Packed:
    kept = get_kept(item)
    packed_kept = encode(kept).decode() if kept else ""
    return item.id, encode(hide_kept(item)).decode(), estimate_tokens(item), find_made_call(item) or "", packed_kept


@dataclass(frozen=True, slots=True)
class LargeItem:
    """Where a large item is (lua/parts/large.lua): no script has read it."""

    timeline: str
    position: int
    size: int


def find_large(given: bytes) -> LargeItem | None:
    """Where an item is that a script has not given itself."""
    if not given.startswith(b"@"):
        return None
    timeline, position, size = given[1:].decode().split(" ")
    return LargeItem(timeline, int(position), int(size))


async def read_large(redis: Redis, given: Sequence[bytes], *, is_whole: bool) -> list[bytes]:
    """The items' JSON, in this order, with what is kept with them when it `is_whole`; without those deleted meanwhile.

    No round trip when none of them is large. Raises Unavailable.
    """
    places = {index: place for index, item in enumerate(given) if (place := find_large(item)) is not None}
    if not places:
        return list(given)
    read: dict[int, bytes] = {}
    for group in _group(places):
        with translated_errors():
            pipeline = redis.pipeline(transaction=False)
            for place in group.values():
                at = f"{place.position}-0"
                pipeline.xrange(keys.timeline(place.timeline), at, at)
            for index, entries in zip(group, await pipeline.execute(), strict=True):
                for _, fields in entries:
                    read[index] = _read_entry(fields, is_whole=is_whole)
    found = [read.get(index) if index in places else item for index, item in enumerate(given)]
    return [item for item in found if item is not None]


def _group(places: dict[int, LargeItem]) -> Iterator[dict[int, LargeItem]]:
    group: dict[int, LargeItem] = {}
    size = 0
    for index, place in places.items():
        if group and size + place.size > BYTES_A_READ:
            yield group
            group, size = {}, 0
        group[index] = place
        size += place.size
    yield group


def _read_entry(fields: dict[bytes, bytes], *, is_whole: bool) -> bytes:
    """As lua/parts/whole.lua does it."""
    kept = fields.get(b"w") if is_whole else None
    return fields[b"i"] if kept is None else b'%b,"%b":%b}' % (fields[b"i"][:-1], KEPT.encode(), kept)
