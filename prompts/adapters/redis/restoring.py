"""Writes back what Redis had let go: in slices, like what is staged, and found from one moment on."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import WatchError

from prompts.adapters.redis import keys
from prompts.adapters.redis.items import decode_item
from prompts.adapters.redis.scripts import Scripts, read_fields, translated_errors
from prompts.adapters.redis.staging import BUCKET, LARGE_BYTES, STAGED_S, is_written_before
from prompts.domain import ids
from prompts.domain.item_kinds import find_made_call
from prompts.errors import Unavailable
from prompts.ports.outbox import ItemRecord, Record
from prompts.ports.restoring import Beginning, Family

encode = msgspec.json.Encoder().encode

# Renewed by every slice. Who has lost it writes nothing any more.
LOCK_S = 30
PARTS_A_SLICE = 500
# As in lua/parts/account.lua.
BYTES_A_HOLDER = 1000
# What is counted anew, or belongs to the time before.
OWN_FIELDS = {"bytes", "staged_bytes", "erased", "branches", "owner", "expiry"}


class RedisRestoring:
    """`Restoring` on Redis."""

    def __init__(self, redis: Redis, *, retention_s: int) -> None:
        """`retention_s` is how long a family is kept from now on."""
        self._redis = redis
        self._scripts = Scripts(redis)
        self._retention_ms = retention_s * 1000

    async def get_begun_ms(self) -> int:
        """See `Restoring.get_begun_ms`. It is opened in all partitions at once: the first says it."""
        [since] = await read_fields(self._redis, keys.archive(ids.all_partitions()[0]), ["since_ms"])
        return int(since or 0)

    async def begin(self, family: Family, subject: str, *, token: str) -> Beginning:
        """See `Restoring.begin`."""
        partition = ids.get_partition(subject)
        is_conversation = ids.is_of_kind(subject, ids.CONVERSATION)
        answer: bytes = await self._scripts.call(
            "begin_restore",
            subject_key=keys.conversation(subject) if is_conversation else keys.response(subject),
            lock_key=keys.restoring(family.roots[0]),
            expiry_key=keys.expiry(partition),
            outbox_key=keys.outbox(partition),
            prefix=keys.prefix(partition),
            token=token,
            lock_ms=LOCK_S * 1000,
            staged_ms=STAGED_S * 1000,
            conversations=encode([each.id for each in family.conversations]),
            roots=encode(family.roots),
        )
        return cast(Beginning, answer.decode())

    async def put_timelines(self, family: Family, *, token: str) -> None:
        """See `Restoring.put_timelines`."""
        for root, parts in family.parts.items():
            for start in range(0, len(parts), PARTS_A_SLICE):
                async with self._slice(family.roots[0], token) as pipeline:
                    pipeline.sadd(f"{keys.timeline(root)}:parts", *parts[start : start + PARTS_A_SLICE])
        async with self._slice(family.roots[0], token) as pipeline:
            for timeline in family.timelines:
                kept: dict[Any, Any] = {field: value for field, value in timeline.fields.items() if not _is_own(field)}
                if branches := sum(part.startswith("tl:") for part in family.parts.get(timeline.id, ())):
                    kept["branches"] = branches
                kept["bytes"] = 0  # not those of a try that came to no end
                pipeline.hset(keys.timeline_meta(timeline.id), mapping=kept)

    async def put_items(self, timeline: str, items: Sequence[ItemRecord], *, root: str, token: str) -> int:
        """See `Restoring.put_items`."""
        meta, size = keys.timeline_meta(timeline), 0
        async with self._slice(root, token) as pipeline:
            for item in items:
                fields: dict[Any, Any] = {"k": item.id, "i": item.json, "t": item.tokens}
                if item.kept:
                    fields["w"] = item.kept
                pipeline.xadd(keys.timeline(timeline), fields, id=f"{item.position}-0")
                pipeline.set(keys.item(item.id), f"{timeline} {item.position}")
                if call_id := find_made_call(decode_item(item.json)):
                    pipeline.hsetnx(keys.timeline_calls(timeline), call_id, str(item.position))
                size += len(item.json.encode()) + len(item.kept.encode())
            for field, marks in (await self._mark_large(meta, items)).items():
                pipeline.hset(meta, field, marks)
            pipeline.hincrby(meta, "bytes", size)
        return size

    async def _mark_large(self, meta: str, items: Sequence[ItemRecord]) -> dict[str, str]:
        """The fields with the marks of large items (lua/parts/large.lua), those of earlier slices included."""
        fresh: dict[str, list[str]] = {}
        for item in items:
            if (size := len(item.json) + len(item.kept)) > LARGE_BYTES:
                mark = f"{item.position}:{item.tokens}:{size}:{item.id}"
                fresh.setdefault(f"large:{item.position // BUCKET}", []).append(mark)
        if not fresh:
            return {}
        former = await read_fields(self._redis, meta, list(fresh))
        found = zip(fresh.items(), former, strict=True)
        return {
            field: " ".join(dict.fromkeys([*(known.decode().split() if known else ()), *marks]))
            for (field, marks), known in found
        }

    async def put_responses(self, responses: Sequence[Record], *, root: str, token: str) -> int:
        """See `Restoring.put_responses`. Without its owner nobody finds one."""
        size = 0
        async with self._slice(root, token) as pipeline:
            for response in responses:
                fields: dict[Any, Any] = {name: value for name, value in response.fields.items() if not _is_own(name)}
                taken = BYTES_A_HOLDER + sum(len(str(value)) for value in fields.values())
                fields["bytes"] = taken
                pipeline.hset(keys.response(response.id), mapping=fields)
                size += taken
        return size

    async def finish(self, family: Family, *, token: str, size: int) -> bool:
        """See `Restoring.finish`."""
        partition = ids.get_partition(family.roots[0])
        is_there = await self._scripts.call(
            "finish_restore",
            lock_key=keys.restoring(family.roots[0]),
            expiry_key=keys.expiry(partition),
            prefix=keys.prefix(partition),
            token=token,
            owner=family.owner,
            expiry=family.expiry,
            retention_ms=self._retention_ms,
            conversations=encode([_pack_conversation(each) for each in family.conversations]),
            roots=encode(family.roots),
            responses=encode(family.responses),
            bytes=size,
        )
        if is_there:
            used = {each.id: int(each.fields["used_ms"]) for each in family.conversations if "used_ms" in each.fields}
            with translated_errors():
                if used:
                    await self._redis.zadd(keys.listing(family.owner), cast("dict[Any, Any]", used), nx=True)
        return bool(is_there)

    @asynccontextmanager
    async def _slice(self, root: str, token: str) -> AsyncIterator[Pipeline]:
        """Commands that are run together, if the lock is still held; the same again change nothing."""
        lock = keys.restoring(root)
        with translated_errors():
            async with self._redis.pipeline(transaction=True) as pipeline:
                await pipeline.watch(lock)
                held: Any = await pipeline.get(lock)
                if held is None or held.decode() != token:
                    raise Unavailable("This is being restored. Try again in a moment.", retry_after_s=1)
                pipeline.multi()  # type: ignore[no-untyped-call]  # redis-py's
                pipeline.pexpire(lock, LOCK_S * 1000)
                yield pipeline
                try:
                    answers = await pipeline.execute(raise_on_error=False)
                except WatchError as exc:
                    raise Unavailable("This is being restored. Try again in a moment.", retry_after_s=1) from exc
                for answer in answers:
                    if isinstance(answer, Exception) and not is_written_before(answer):
                        raise answer


def _is_own(field: str) -> bool:
    return field in OWN_FIELDS or field.startswith("large:")


def _pack_conversation(record: Record) -> tuple[str, list[str], str]:
    flat = [part for field, value in record.fields.items() for part in (field, value)]
    return record.id, flat, record.fields.get("forked_from", "")
