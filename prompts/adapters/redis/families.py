"""Families in Redis: found by what the expiry holds, read by plain commands, deleted by one script each."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from typing import cast

import msgspec
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.deletion import TOMBSTONE_S, delete_conversation
from prompts.adapters.redis.holders import find_owners
from prompts.adapters.redis.scripts import Scripts, new_call_id, read_fields, translated_errors
from prompts.domain import ids
from prompts.ports.families import LivingFamily

encode = msgspec.json.Encoder().encode

# Other clients wait for one reading.
MEMBERS_A_READ = 200
PARTS_A_READ = 500


class RedisFamilies:
    """`Families` on Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)

    async def list_members(self, partition: str, *, made_before_ms: float) -> AsyncIterator[Mapping[str, str]]:
        """See `Families.list_members`."""
        cursor, is_more = 0, True
        while is_more:
            with translated_errors():
                cursor, found = await self._redis.zscan(keys.expiry(partition), cursor, count=MEMBERS_A_READ)
            members = [cast(bytes, member).decode() for member, _ in found]
            yield await find_owners(self._redis, [each for each in members if _is_made_before(each, made_before_ms)])
            is_more = cursor != 0

    async def find(self, member: str) -> LivingFamily | None:
        """See `Families.find`."""
        partition = ids.get_partition(_get_id(member))
        with translated_errors():
            due_ms = await self._redis.zscore(keys.expiry(partition), member)  # first: what comes after it shows in it
        if due_ms is None:
            return None
        found = await self._walk(member)
        if found is None:
            return None
        return replace(
            found,
            due_ms=due_ms,
            used_ms=max(found.used_ms, *map(ids.get_time_ms, found.responses), 0),
            is_active=found.is_active or await self._has_lease(partition, found.responses),
        )

    async def find_conversation(self, conversation_id: str) -> LivingFamily | None:
        """See `Families.find_conversation`."""
        return await self._walk(f"conv:{conversation_id}")

    async def _walk(self, member: str) -> LivingFamily | None:
        """What hangs on it, as its hashes say."""
        found = _Walk(self._redis, ids.get_partition(_get_id(member)))
        owner = await found.walk(member)
        if owner is None:
            return None
        return LivingFamily(
            member=member,
            owner=owner,
            due_ms=0,
            used_ms=found.used_ms,
            is_active=found.is_active,
            conversations=list(found.conversations),
            timelines=list(found.timelines),
            responses=found.responses,
        )

    async def list_left(self, timelines: Collection[str]) -> Sequence[str]:
        """See `Families.list_left`."""
        named = list(timelines)
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for timeline in named:
                pipeline.zscore(keys.expiry(ids.get_partition(timeline)), f"chain:{timeline}")
            scores = await pipeline.execute()
        left = [timeline for timeline, score in zip(named, scores, strict=True) if score is not None]
        return [f"{ids.get_partition(timeline)} chain:{timeline}" for timeline in left]

    async def find_records(self, responses: Collection[str], *, claims: Mapping[str, str]) -> Sequence[str]:
        """See `Families.find_records`."""
        found: list[str] = []
        named = list(responses)
        for start in range(0, len(named), PARTS_A_READ):
            found += await self._find_records(named[start : start + PARTS_A_READ], claims)
        return found

    async def _find_records(self, responses: Sequence[str], claims: Mapping[str, str]) -> Sequence[str]:
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for response_id in responses:
                pipeline.hget(keys.response(response_id), "claims")
            told = await pipeline.execute()
            records = [
                (keys.prefix(ids.get_partition(response_id)) + name, response_id)
                for response_id, own in zip(responses, told, strict=True)
                for name in (claims.get(response_id, "") if own is None else own.decode()).split()
            ]
            for record, _ in records:
                pipeline.get(record)
            values = await pipeline.execute()
        # A key may lead to another response by now.
        return [
            record
            for (record, response_id), value in zip(records, values, strict=True)
            if value is not None and value.decode().partition(" ")[0] == response_id
        ]

    async def erase_records(self, records: Collection[str]) -> None:
        """See `Families.erase_records`. Each is in a slot of its own partition."""
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for record in records:
                pipeline.unlink(record)
            await pipeline.execute()

    async def _has_lease(self, partition: str, response_ids: Sequence[str]) -> bool:
        for start in range(0, len(response_ids), PARTS_A_READ):
            with translated_errors():
                scores = await self._redis.zmscore(
                    keys.leases(partition), list(response_ids[start : start + PARTS_A_READ])
                )
            if any(score is not None for score in scores):
                return True
        return False

    async def delete(self, family: LivingFamily, *, only_unused: bool) -> Sequence[str] | None:
        """See `Families.delete`."""
        kind, _, name = family.member.partition(":")
        partition = ids.get_partition(name)
        found_due = repr(family.due_ms) if only_unused else ""
        if kind == "conv":
            is_deleted = await delete_conversation(
                self._redis, self._scripts, name, owner=family.owner, found_due=found_due
            )
            if not is_deleted:
                return None
            [timeline] = await read_fields(self._redis, keys.conversation(name), ["erasing"])
            return [] if timeline is None else [f"{partition} chain:{timeline.decode()}"]
        is_deleted = await self._scripts.call(
            "delete_chain",
            meta_key=keys.timeline_meta(name),
            expiry_key=keys.expiry(partition),
            prefix=keys.prefix(partition),
            owner=family.owner,
            member=family.member,
            found_due_ms=found_due,
            call_id=new_call_id(),
        )
        return [f"{partition} {family.member}"] if is_deleted else None

    async def delete_archived(self, members: Collection[str]) -> bool:
        """See `Families.delete_archived`."""
        partition = ids.get_partition(_get_id(next(iter(members))))
        is_deleted = await self._scripts.call(
            "delete_archived",
            expiry_key=keys.expiry(partition),
            prefix=keys.prefix(partition),
            members=encode(sorted(members)),
            call_id=new_call_id(),
            tombstone_s=TOMBSTONE_S,
        )
        return bool(is_deleted)

    async def claim_sweep(self, for_s: int) -> bool:
        """See `Families.claim_sweep`."""
        with translated_errors():
            return bool(await self._redis.set(keys.RETENTION, 1, nx=True, ex=for_s))

    async def give_back_sweep(self) -> None:
        """See `Families.give_back_sweep`."""
        with translated_errors():
            await self._redis.delete(keys.RETENTION)


class _Walk:
    """What is found on the way through a family, from its root to its forks."""

    def __init__(self, redis: Redis, partition: str) -> None:
        self._redis = redis
        self._partition = partition
        self.conversations: dict[str, None] = {}
        self.timelines: dict[str, None] = {}
        self.responses: list[str] = []
        self.used_ms = 0
        self.is_active = False

    async def walk(self, member: str) -> str | None:
        """Returns whose it is; None when it is being erased."""
        owner = await self._enter(member)
        if owner is None:
            return None
        left = list(self.timelines)
        while left:
            for part in await self._read_parts(left.pop()):
                kind, _, name = part.partition(":")
                if kind == "resp":
                    self.responses.append(name)
                    continue
                before = len(self.timelines)
                if kind == "tl":
                    self.timelines[name] = None
                else:
                    await self._enter(part)
                left += list(self.timelines)[before:] if kind == "conv" else []
        return owner

    async def _enter(self, member: str) -> str | None:
        """A conversation, or the root of a chain."""
        kind, _, name = member.partition(":")
        if kind == "chain":
            owner, expiry = await read_fields(self._redis, keys.timeline_meta(name), ["owner", "expiry"])
            if owner is None or expiry is None:
                return None
            self.timelines[name] = None
            self.used_ms = max(self.used_ms, ids.get_time_ms(name))
            return owner.decode()
        fields = ["owner", "timeline", "used_ms", "active", "head"]
        owner, timeline, used_ms, active, head = await read_fields(self._redis, keys.conversation(name), fields)
        if owner is None or timeline is None:
            return None
        self.timelines[timeline.decode()] = None
        if head is not None:  # else it only holds a former timeline
            self.conversations[name] = None
        self.used_ms = max(self.used_ms, int(used_ms or 0))
        self.is_active = self.is_active or bool(active)
        return owner.decode()

    async def _read_parts(self, timeline: str) -> Sequence[str]:
        with translated_errors():
            scanned = self._redis.sscan_iter(f"{keys.timeline(timeline)}:parts", count=PARTS_A_READ)
            parts = [part.decode() async for part in scanned]
        return list(dict.fromkeys(parts))


def _get_id(member: str) -> str:
    return member.partition(":")[2]


def _is_made_before(member: str, time_ms: float) -> bool:
    name = _get_id(member)
    is_ours = ids.is_well_formed(name, ids.CONVERSATION) or ids.is_well_formed(name, ids.TIMELINE)
    return is_ours and ids.get_time_ms(name) < time_ms
