"""Many or large items, written in slices before the one short script that makes them visible.

They stand on a timeline of their own, in the form of every other, at the positions that they will have. Until it joins
a history (lua/parts/staged.lua) nobody knows it, and it will be due to be erased like a chain whose time is over: so
whatever becomes of this process, the sweep erases what is left.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ResponseError

from prompts.adapters.redis import keys
from prompts.adapters.redis.items import Packed, pack_items
from prompts.adapters.redis.scripts import Scripts, read_fields, translated_errors
from prompts.domain import ids
from prompts.domain.items import Item

encode = msgspec.json.Encoder().encode

# Measured on a busy machine: a script appends so many items, or so many bytes, in 2 ms.
MAX_ITEMS_AT_ONCE = 100
MAX_BYTES_AT_ONCE = 1024 * 1024
# An answer joins its input. What is admitted as small stays so with an answer of that size.
MAX_SMALL_ITEMS = 50
MAX_SMALL_BYTES = 512 * 1024
# As in lua/parts/large.lua.
LARGE_BYTES = 65_536
BUCKET = 64
# Of one pipeline: other clients wait for all of it.
ITEMS_A_SLICE = 50
BYTES_A_SLICE = 1024 * 1024
# Longer than any commit is tried: a lease. Then the sweep erases what has not joined a history.
STAGED_S = 600
# Redis's word for an entry that the same call has written before its answer was lost.
WRITTEN_BEFORE = "equal or smaller"


class Batch(Struct, frozen=True):
    """Items as a script takes them: packed, or `staged` on a timeline that ends at `length`."""

    packed: bytes
    staged: str = ""
    length: int = 0


NOTHING = Batch(b"[]")


def is_large(items: Sequence[Item], size: int) -> bool:
    """Whether the input of a turn, of so many bytes of JSON, will be staged."""
    return len(items) > MAX_SMALL_ITEMS or size > MAX_SMALL_BYTES


class Staging:
    """Writes batches of items."""

    def __init__(self, redis: Redis, *, max_at_once: int = MAX_ITEMS_AT_ONCE) -> None:
        """More items than `max_at_once` are staged."""
        self._redis = redis
        self._scripts = Scripts(redis)
        self._max_at_once = max_at_once

    async def prepare(
        self, items: Sequence[Item], partition: str, *, key: str = "", field: str = "", owner: str = "", epoch: str = ""
    ) -> Batch:
        """The items for a script: as they are when they are few and small, else staged.

        They will stand behind the position that a hash has in a field; without one, at the beginning. For a hash that
        is not there, or not this owner's, or a response that is not under this epoch any more, nothing is staged: the
        script refuses it. Raises Unavailable, StorageFull.
        """
        packed = pack_items(items)
        if len(packed) <= self._max_at_once and sum(map(_measure, packed)) <= MAX_BYTES_AT_ONCE:
            return Batch(encode(packed))
        timeline = ids.new_id(ids.TIMELINE, partition)
        if not key:
            return await self._stage(packed, timeline, 0)
        wanted = ["owner", field, "epoch", "status"]
        found_owner, position, found_epoch, status = await read_fields(self._redis, key, wanted)
        if position is None or found_owner is None or found_owner.decode() != owner:
            return NOTHING
        if epoch and (found_epoch != epoch.encode() or status != b"in_progress"):
            return NOTHING
        return await self._stage(packed, timeline, int(position), key=key, epoch=epoch)

    async def drop(self, batch: Batch) -> None:
        """Have it erased at the next sweep: it was refused. Raises Unavailable."""
        if batch.staged:
            with translated_errors():
                due = {f"chain:{batch.staged}": 0}
                await self._redis.zadd(keys.expiry(ids.get_partition(batch.staged)), due, xx=True)

    async def _stage(
        self, packed: Sequence[Packed], timeline: str, position: int, *, key: str = "", epoch: str = ""
    ) -> Batch:
        meta = keys.timeline_meta(timeline)
        with translated_errors():
            seconds, _ = await self._redis.time()
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.zadd(keys.expiry(ids.get_partition(timeline)), {f"chain:{timeline}": (seconds + STAGED_S) * 1000})
            pipeline.hset(meta, mapping={"root": timeline, "expiry": f"chain:{timeline}"})
            await pipeline.execute()
        placed = list(enumerate(packed, position + 1))
        for piece in _slice(placed):
            pipeline = self._redis.pipeline(transaction=False)
            for place, item in piece:
                _append(pipeline, timeline, place, item)
            await _execute(pipeline)
            # Behind the entries, which they are erased with.
            is_ours = await self._scripts.call(
                "place_items",
                response_key=key or meta,
                prefix=keys.prefix(ids.get_partition(timeline)),
                epoch=epoch,
                timeline=timeline,
                places=encode([(item[0], place) for place, item in piece]),
            )
            if not is_ours:
                return NOTHING
        length = position + len(packed)
        pipeline = self._redis.pipeline(transaction=False)
        if calls := _find_calls(placed):
            pipeline.hset(keys.timeline_calls(timeline), mapping=calls)
        # Its length says that it is whole.
        staged_bytes = sum(map(_measure, packed))  # for the owner's account (lua/parts/account.lua)
        pipeline.hset(meta, mapping={**_mark_large(placed), "staged_bytes": staged_bytes, "length": length})
        await _execute(pipeline)
        return Batch(b"[]", timeline, length)


def _append(pipeline: Pipeline, timeline: str, place: int, item: Packed) -> None:
    item_id, json, tokens, _, kept = item
    fields: dict[Any, Any] = {"k": item_id, "i": json, "t": tokens}
    pipeline.xadd(keys.timeline(timeline), {**fields, "w": kept} if kept else fields, id=f"{place}-0")


async def write_ahead(redis: Redis, key: str, **fields: bytes) -> None:
    """Write large fields of a response that a script is to create: no script has to carry them.

    Nobody can read a response without an owner, and it goes by itself unless the script keeps it (PERSIST).
    Raises Unavailable, StorageFull.
    """
    values: dict[Any, Any] = {**fields}
    with translated_errors():
        pipeline = redis.pipeline(transaction=True)
        pipeline.hset(key, mapping=values)
        pipeline.expire(key, STAGED_S)
        await pipeline.execute()


async def _execute(pipeline: Pipeline) -> None:
    with translated_errors():
        for answer in await pipeline.execute(raise_on_error=False):
            if isinstance(answer, Exception) and not is_written_before(answer):
                raise answer


def is_written_before(answer: Exception) -> bool:
    """Whether it is Redis's word for an entry that is there already."""
    return isinstance(answer, ResponseError) and WRITTEN_BEFORE in str(answer)


def _slice(placed: Sequence[tuple[int, Packed]]) -> Iterator[Sequence[tuple[int, Packed]]]:
    piece: list[tuple[int, Packed]] = []
    size = 0
    for place, item in placed:
        if piece and (len(piece) == ITEMS_A_SLICE or size + _measure(item) > BYTES_A_SLICE):
            yield piece
            piece, size = [], 0
        piece.append((place, item))
        size += _measure(item)
    yield piece


def _find_calls(placed: Sequence[tuple[int, Packed]]) -> dict[Any, Any]:
    """The calls that the items make, with the place of the first of each id."""
    return {item[3]: place for place, item in reversed(placed) if item[3]}


def _mark_large(placed: Sequence[tuple[int, Packed]]) -> dict[Any, Any]:
    """The marks of large items, as lua/parts/large.lua makes and reads them."""
    marks: defaultdict[str, list[str]] = defaultdict(list)
    for place, item in placed:
        if (size := _measure(item)) > LARGE_BYTES:
            marks[f"large:{place // BUCKET}"].append(f"{place}:{item[2]}:{size}:{item[0]}")
    return {field: " ".join(found) for field, found in marks.items()}


def _measure(item: Packed) -> int:
    """Its bytes, or a little fewer: characters."""
    return len(item[1]) + len(item[4])
