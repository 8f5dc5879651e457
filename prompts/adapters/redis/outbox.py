"""The outbox in Redis, and the records that it is about. They are read by plain commands: no script is held up."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.holders import find_owners
from prompts.adapters.redis.lua_files import Arg
from prompts.adapters.redis.multiplexed import small_pipeline
from prompts.adapters.redis.scripts import Scripts, translated_errors
from prompts.domain import ids
from prompts.ports.outbox import Backlog, CopiedUpTo, ItemRecord, Note, Record, Settlement, Taken

encode = msgspec.json.Encoder().encode

# Longer than a batch takes, and what a killed archiver costs. Who takes longer goes on: the epoch says whether it may.
LEASE_S = 10
# What cannot be copied is a mistake of ours, or of what is stored: a later release may read it.
POSTPONED_S = 600
# A note that is so far ahead was put off; others may be written while they are read.
AHEAD_US = 60_000_000
# Of a partition, in one step.
BACKFILLED_ROOTS = 50
# Of one reading; other clients wait for all of it.
ITEMS_A_READ = 50
RECORDS_A_READ = 50


class RedisOutbox:
    """`Outbox` on Redis."""

    def __init__(self, redis: Redis, *, lease_s: float = LEASE_S, postponed_s: int = POSTPONED_S) -> None:
        """`postponed_s` is how much later it is tried again what could not be copied."""
        self._redis = redis
        self._scripts = Scripts(redis)
        self._lease_s = lease_s
        self._postponed_s = postponed_s

    async def open(self, *, is_again: bool = False) -> None:
        """See `Outbox.open`."""
        calls: list[Mapping[str, Arg]] = [
            {"archive_key": keys.archive(each), "is_again": int(is_again)} for each in ids.all_partitions()
        ]
        await self._scripts.call_many("open_archive", calls)

    async def close(self) -> None:
        """See `Outbox.close`."""
        calls: list[Mapping[str, Arg]] = [
            {"archive_key": keys.archive(each), "outbox_key": keys.outbox(each)} for each in ids.all_partitions()
        ]
        await self._scripts.call_many("close_archive", calls)

    async def look(self) -> Backlog:
        """See `Outbox.look`. The time is Redis's own."""
        partitions = ids.all_partitions()
        with translated_errors():
            seconds, micros = await self._redis.time()
            pipeline = small_pipeline(self._redis)
            for partition in partitions:
                pipeline.zrange(keys.outbox(partition), 0, 0, withscores=True)
                pipeline.hexists(keys.archive(partition), "cursor")
            found = await pipeline.execute()
        now_us = seconds * 1_000_000 + micros
        oldest = {partition: noted[0][1] for partition, noted in zip(partitions, found[::2], strict=True) if noted}
        filling = [partition for partition, is_filling in zip(partitions, found[1::2], strict=True) if is_filling]
        due = [partition for partition, at_us in oldest.items() if at_us <= now_us]
        lag_s = max((now_us - at_us) / 1_000_000 for at_us in [*oldest.values(), now_us])
        return Backlog([*dict.fromkeys([*due, *filling])], lag_s)

    async def find_copied(self, owner: str) -> CopiedUpTo:
        """See `Outbox.find_copied`."""
        partitions = ids.all_partitions()
        with translated_errors():
            seconds, micros = await self._redis.time()
            now_us = seconds * 1_000_000 + micros
            pipeline = self._redis.pipeline(transaction=False)
            for partition in partitions:
                pipeline.zrange(keys.outbox(partition), 0, 0, withscores=True)
                pipeline.zrangebyscore(keys.outbox(partition), now_us + AHEAD_US, "+inf")
                pipeline.hmget(keys.archive(partition), ["since_ms", "cursor", "closed"])
            found = await pipeline.execute()
        postponed = [_name_member(subject.decode()) for subjects in found[1::3] for subject in subjects]
        is_held_up = owner in (await find_owners(self._redis, postponed)).values()
        is_whole = all(since_ms and cursor is None and closed is None for since_ms, cursor, closed in found[2::3])
        oldest = [int(noted[0][1]) for noted in found[::3] if noted]
        return CopiedUpTo(now_us, min([now_us, *oldest]) if is_whole and not is_held_up else None)

    async def take(self, partitions: Sequence[str], *, token: str, count: int) -> Sequence[Taken]:
        """See `Outbox.take`."""
        calls: list[Mapping[str, Arg]] = [
            {
                "outbox_key": keys.outbox(partition),
                "lease_key": keys.archiver(partition),
                "archive_key": keys.archive(partition),
                "token": token,
                "lease_ms": int(self._lease_s * 1000),
                "count": count,
            }
            for partition in partitions
        ]
        replies = await self._scripts.call_many("take_outbox", calls)
        return [
            Taken(partition, int(reply[0]), _read_notes(reply[2:]), bool(reply[1]))
            for partition, reply in zip(partitions, replies, strict=True)
            if reply != [b"held"]
        ]

    async def settle(self, settlements: Sequence[Settlement], *, token: str) -> None:
        """See `Outbox.settle`."""
        calls: list[Mapping[str, Arg]] = [
            {
                "outbox_key": keys.outbox(each.partition),
                "lease_key": keys.archiver(each.partition),
                "expiry_key": keys.expiry(each.partition),
                "token": token,
                "settled": _pack_notes(each.copied),
                "let_go": encode(each.let_go),
                "postponed": _pack_notes(each.postponed),
                "postponed_us": self._postponed_s * 1_000_000,
            }
            for each in settlements
        ]
        await self._scripts.call_many("settle_outbox", calls)

    async def backfill(self, partition: str) -> None:
        """See `Outbox.backfill`."""
        await self._scripts.call(
            "backfill_outbox",
            archive_key=keys.archive(partition),
            expiry_key=keys.expiry(partition),
            outbox_key=keys.outbox(partition),
            count=BACKFILLED_ROOTS,
        )

    async def read_responses(self, response_ids: Sequence[str]) -> Sequence[Record]:
        """See `Outbox.read_responses`."""
        found = await self._read(response_ids, keys.response)
        return [each for each in found if "owner" in each.fields and "unstored" not in each.fields]

    async def read_conversations(self, conversation_ids: Sequence[str]) -> Sequence[Record]:
        """See `Outbox.read_conversations`."""
        found = await self._read(conversation_ids, keys.conversation)
        return [each for each in found if "owner" in each.fields and "head" in each.fields]

    async def read_timelines(self, timelines: Sequence[str]) -> Sequence[Record]:
        """See `Outbox.read_timelines`."""
        return [each for each in await self._read(timelines, keys.timeline_meta) if "root" in each.fields]

    async def _read(self, record_ids: Sequence[str], name: Callable[[str], str]) -> list[Record]:
        found: list[Record] = []
        for start in range(0, len(record_ids), RECORDS_A_READ):
            named = record_ids[start : start + RECORDS_A_READ]
            with translated_errors():
                pipeline = self._redis.pipeline(transaction=False)
                for each in named:
                    pipeline.hgetall(name(each))
                rows = await pipeline.execute()
            found += [Record(each, _decode(row)) for each, row in zip(named, rows, strict=True)]
        return found

    async def find_living(self, members: Sequence[str]) -> Collection[str]:
        """See `Outbox.find_living`."""
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for member in members:
                pipeline.zscore(keys.expiry(ids.get_partition(member.partition(":")[2])), member)
            scores = await pipeline.execute()
        return {member for member, score in zip(members, scores, strict=True) if score is not None}

    async def read_items(self, timeline: str, *, after: int, upto: int) -> Sequence[ItemRecord]:
        """See `Outbox.read_items`."""
        first, last = f"{after + 1}-0", f"{upto}-0"
        with translated_errors():
            found = await self._redis.xrange(keys.timeline(timeline), min=first, max=last, count=ITEMS_A_READ)
        # The client never decodes (config/connections.py); its types cannot know that.
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", found)
        return [_read_item(entry_id.decode(), _decode(fields)) for entry_id, fields in entries]

    async def find_places(self, item_ids: Sequence[str]) -> Mapping[str, tuple[str, int]]:
        """See `Outbox.find_places`."""
        if not item_ids:
            return {}
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for each in item_ids:
                pipeline.get(keys.item(each))
            found = await pipeline.execute()
        places = {each: place.decode().split(" ") for each, place in zip(item_ids, found, strict=True) if place}
        return {each: (timeline, int(position)) for each, (timeline, position) in places.items()}

    async def list_parts(self, root: str) -> Sequence[tuple[str, str]]:
        """See `Outbox.list_parts`."""
        found: set[tuple[str, str]] = set()
        with translated_errors():
            async for part in self._redis.sscan_iter(f"{keys.timeline(root)}:parts", count=100):
                kind, _, name = part.decode().partition(":")
                found.add((kind, name))
        return sorted(found)

    async def find_timelines(self, holders: Sequence[str]) -> Sequence[str]:
        """See `Outbox.find_timelines`."""
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for each in holders:
                pipeline.hget(keys.conversation(each), "timeline")
            found = await pipeline.execute()
        return [timeline.decode() for timeline in found if timeline is not None]


def _read_notes(flat: Sequence[bytes]) -> list[Note]:
    return [Note(subject.decode(), int(float(at_us))) for subject, at_us in zip(flat[::2], flat[1::2], strict=True)]


def _pack_notes(notes: Sequence[Note]) -> bytes:
    return encode([(note.subject, str(note.at_us)) for note in notes])


def _decode(row: Mapping[Any, Any]) -> dict[str, str]:
    return {field.decode(): value.decode("utf-8", "replace") for field, value in row.items()}


def _read_item(entry_id: str, fields: Mapping[str, str]) -> ItemRecord:
    position = int(entry_id.partition("-")[0])
    return ItemRecord(fields["k"], position, fields["i"], int(fields["t"]), fields.get("w", ""))


def _name_member(subject: str) -> str:
    """What a note is about, see `lua/parts/outbox.lua`."""
    return subject.removeprefix("all:").removeprefix("let_go:")
