"""Conversations in Redis: one hash each, their items on a stream, and a listing index an owner."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Literal, cast

import msgspec
from msgspec.structs import replace
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.deletion import delete_conversation
from prompts.adapters.redis.items import decode_item, find_large, read_large
from prompts.adapters.redis.listing import touch_listing
from prompts.adapters.redis.member_pages import find_rank
from prompts.adapters.redis.restored import call_restored, restored
from prompts.adapters.redis.scripts import CALL_KEPT_S, Scripts, find_owned, new_call_id, translated_errors
from prompts.adapters.redis.staging import MAX_ITEMS_AT_ONCE, Staging
from prompts.domain import ids
from prompts.domain.conversations import Conversation, Metadata, has_words
from prompts.domain.items import Item
from prompts.errors import (
    HistoryTooDeep,
    Unavailable,
    UnknownCall,
    conversation_locked,
    named_too_large,
    unknown_conversation,
    unknown_item,
)
from prompts.ports.conversations import MAX_LOOKED_AT, MAX_NAMED_BYTES
from prompts.ports.pages import MAX_PAGE_BYTES, Page
from prompts.ports.restoring import NO_RESTORER, Restorer

encode = msgspec.json.Encoder().encode
decode_metadata = msgspec.json.Decoder(Metadata).decode

# Items that were staged behind a history that has grown since are staged again.
MAX_TRIES = 3
NAMED_AT_ONCE = 100
# A search reads so many conversations in one round trip; the event loop is held for a millisecond.
LOOKED_AT_AT_ONCE = 200

FIELDS = ["owner", "metadata", "title", "active", "created_ms", "forked_from"]


class RedisConversationStore:
    """`ConversationStore` on Redis."""

    def __init__(
        self,
        redis: Redis,
        *,
        retention_s: int,
        max_at_once: int = MAX_ITEMS_AT_ONCE,
        restorer: Restorer = NO_RESTORER,
    ) -> None:
        """`retention_s` is how long a history is kept after its last use; for `max_at_once` see `Staging`.

        The `restorer` brings back what was kept for longer ago.
        """
        self.restorer = restorer
        self._redis = redis
        self._retention_ms = retention_s * 1000
        self._scripts = Scripts(redis)
        self._staging = Staging(redis, max_at_once=max_at_once)

    async def create(
        self, conversation_id: str, *, owner: str, metadata: Metadata, items: Sequence[Item], title: str | None = None
    ) -> Conversation:
        """See `ConversationStore.create`."""
        partition = ids.get_partition(conversation_id)
        batch = await self._staging.prepare(items, partition)
        created_ms = await self._scripts.call(
            "create_conversation",
            conversation_key=keys.conversation(conversation_id),
            expiry_key=keys.expiry(partition),
            prefix=keys.prefix(partition),
            owner=owner,
            conversation_id=conversation_id,
            timeline=batch.staged or ids.new_id(ids.TIMELINE, partition),
            metadata=encode(metadata),
            title=title or "",
            items=batch.packed,
            retention_ms=self._retention_ms,
            staged_length=batch.length,
        )
        if not created_ms:
            raise Unavailable("The items could not be kept in time. Try again.")
        await touch_listing(self._scripts, owner, conversation_id)
        return Conversation(id=conversation_id, created_at=created_ms // 1000, metadata=metadata, title=title or None)

    @restored
    async def get(self, conversation_id: str, *, owner: str) -> Conversation:
        """See `ConversationStore.get`."""
        found = await find_owned(self._redis, keys.conversation(conversation_id), owner, FIELDS)
        conversation = _read(conversation_id, found, owner) if found is not None else None
        if conversation is None:
            raise unknown_conversation(conversation_id)
        return conversation

    @restored
    async def update(
        self, conversation_id: str, *, owner: str, metadata: Metadata, title: str | None = None
    ) -> Conversation:
        """See `ConversationStore.update`."""
        is_updated = await self._scripts.call(
            "update_conversation",
            conversation_key=keys.conversation(conversation_id),
            prefix=keys.prefix(ids.get_partition(conversation_id)),
            owner=owner,
            metadata=encode(metadata),
            title=title or "",
            has_title=int(title is not None),
        )
        if not is_updated:
            raise unknown_conversation(conversation_id)
        return await self.get(conversation_id, owner=owner)

    async def list(
        self,
        *,
        owner: str,
        limit: int,
        after: str | None,
        behind_ms: int | None = None,
        forked_from: str | None = None,
        words: Sequence[str] = (),
        said_in: Collection[str] = (),
    ) -> tuple[Sequence[Conversation], bool]:
        """See `ConversationStore.list`."""
        listing = keys.listing(owner)
        if forked_from is not None:
            if await find_owned(self._redis, keys.conversation(forked_from), owner, FIELDS) is None:
                raise unknown_conversation(forked_from, param="forked_from")
            listing = keys.forks(forked_from)
        start = 0
        if after is not None:
            unknown = unknown_conversation(after, param="after")
            start = await find_rank(self._redis, listing, after, "desc", unknown) + 1
        elif behind_ms is not None:
            with translated_errors():
                start = await self._redis.zcount(listing, behind_ms, "+inf")
        batch = LOOKED_AT_AT_ONCE if words else limit + 1
        found: list[Conversation] = []
        looked_at = 0
        while len(found) <= limit and looked_at < MAX_LOOKED_AT:
            with translated_errors():
                listed = cast(
                    "list[tuple[bytes, float]]",
                    await self._redis.zrevrange(listing, start, start + batch - 1, withscores=True),
                )
            if not listed:
                break
            there = await self._read_all(listing, [conversation_id.decode() for conversation_id, _ in listed], owner)
            if forked_from is None:  # the forks of one are in the order of their making
                there = _tell_last_use(there, {key.decode(): int(used_ms) for key, used_ms in listed})
            start += len(there)  # the others are no longer in the index
            looked_at += len(listed)
            found += [each for each in there if has_words(each.title, words) or each.id in said_in]
        return found[:limit], len(found) > limit

    async def find_last_use(self, conversation_id: str, *, owner: str) -> int | None:
        """See `ConversationStore.find_last_use`."""
        with translated_errors():
            used_ms = await self._redis.zscore(keys.listing(owner), conversation_id)
        return None if used_ms is None else int(used_ms)

    async def find_let_go(self, lineages: Mapping[str, Sequence[str]]) -> Collection[str]:
        """See `ConversationStore.find_let_go`. A deletion is noted in the outbox until the archive knows of it."""
        named = list(dict.fromkeys(each for found, origins in lineages.items() for each in (found, *origins)))
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for each in named:
                pipeline.hmget(keys.conversation(each), ["owner", "deleted", "let_go"])
                pipeline.zscore(keys.outbox(ids.get_partition(each)), f"gone:conv:{each}")
            found = await pipeline.execute()
        marks = dict(zip(named, zip(found[::2], found[1::2], strict=True), strict=True))
        there = {each for each, (mark, _) in marks.items() if mark[0] is not None}
        # A fork that went with its origin has an empty mark: its origin says why.
        gone = {each for each, (mark, noted) in marks.items() if noted is not None or (mark[1] and mark[2] is None)}
        return [each for each, origins in lineages.items() if each not in there and gone.isdisjoint((each, *origins))]

    async def _read_all(self, listing: str, conversation_ids: Sequence[str], owner: str) -> Sequence[Conversation]:
        """The conversations that exist. The ids of those that do not are removed from the index."""
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for conversation_id in conversation_ids:
                pipeline.hmget(keys.conversation(conversation_id), FIELDS)
            rows = await pipeline.execute()
        read = [_read(key, row, owner) for key, row in zip(conversation_ids, rows, strict=True)]
        dead = [key for key, found in zip(conversation_ids, read, strict=True) if found is None]
        if dead:
            with translated_errors():
                await self._redis.zrem(listing, *dead)
        return [conversation for conversation in read if conversation is not None]

    @restored
    async def delete(self, conversation_id: str, *, owner: str) -> None:
        """See `ConversationStore.delete`."""
        if not await delete_conversation(self._redis, self._scripts, conversation_id, owner=owner):
            raise unknown_conversation(conversation_id)

    async def fork(
        self,
        conversation_id: str,
        origin_id: str,
        *,
        owner: str,
        side: Literal["before", "after"] | None,
        item_id: str,
        metadata: Metadata | None = None,
        title: str | None = None,
    ) -> Conversation:
        """See `ConversationStore.fork`."""
        make = partial(
            self._fork,
            conversation_id,
            origin_id,
            owner=owner,
            side=side,
            item_id=item_id,
            metadata=metadata,
            title=title,
        )
        return await call_restored(self.restorer, origin_id, owner, make)

    async def _fork(
        self,
        conversation_id: str,
        origin_id: str,
        *,
        owner: str,
        side: Literal["before", "after"] | None,
        item_id: str,
        metadata: Metadata | None,
        title: str | None,
    ) -> Conversation:
        partition = ids.get_partition(origin_id)
        reply = await self._scripts.call(
            "fork",
            conversation_key=keys.conversation(conversation_id),
            origin_key=keys.conversation(origin_id),
            expiry_key=keys.expiry(partition),
            prefix=keys.prefix(partition),
            owner=owner,
            conversation_id=conversation_id,
            origin_id=origin_id,
            timeline=ids.new_id(ids.TIMELINE, partition),
            side=side or "",
            item_id=item_id,
            retention_ms=self._retention_ms,
            own_metadata="" if metadata is None else encode(metadata),
            own_title=title or "",
            has_title=int(title is not None),
        )
        match reply:
            case [b"not_found"]:
                raise unknown_conversation(origin_id)
            case [b"unknown_item"]:
                raise unknown_item(item_id, param=side or "item_id")
            case [b"too_deep"]:
                raise HistoryTooDeep(param="conversation_id")
        await touch_listing(self._scripts, owner, conversation_id)
        return await self.get(conversation_id, owner=owner)

    @restored
    async def add_items(
        self, conversation_id: str, *, owner: str, items: Sequence[Item], unanswered: Sequence[str] = ()
    ) -> None:
        """See `ConversationStore.add_items`."""
        tries = 0
        reply: Sequence[bytes] = [b"moved"]
        while reply == [b"moved"] and tries < MAX_TRIES:
            reply = await self._add(conversation_id, items, unanswered, owner=owner)
            tries += 1
        match reply:
            case [b"moved"]:
                raise Unavailable("Others add items to this conversation at the same time. Try again.")
            case [b"too_deep"]:
                raise HistoryTooDeep(param="items")
            case [b"unknown_call", call_id]:
                raise UnknownCall(call_id.decode())
            case [b"not_found"]:
                raise unknown_conversation(conversation_id)
            case [b"locked", active]:
                raise conversation_locked(conversation_id, active.decode())
        await touch_listing(self._scripts, owner, conversation_id)

    async def _add(
        self, conversation_id: str, items: Sequence[Item], unanswered: Sequence[str], *, owner: str
    ) -> Sequence[bytes]:
        """The script's reply. What it refuses is not left staged."""
        partition, key = ids.get_partition(conversation_id), keys.conversation(conversation_id)
        batch = await self._staging.prepare(items, partition, key=key, field="head", owner=owner)
        reply: Sequence[bytes] = await self._scripts.call(
            "add_items",
            conversation_key=key,
            expiry_key=keys.expiry(partition),
            prefix=keys.prefix(partition),
            owner=owner,
            items=batch.packed,
            unanswered=encode(unanswered),
            retention_ms=self._retention_ms,
            conversation_id=conversation_id,
            staged=batch.staged,
            staged_length=batch.length,
            staged_behind=batch.length - len(items),
        )
        if reply != [b"ok"]:
            await self._staging.drop(batch)
        return reply

    @restored
    async def list_items(
        self, conversation_id: str, *, owner: str, limit: int, order: Literal["asc", "desc"], after: str | None
    ) -> Page:
        """See `ConversationStore.list_items`."""
        reply = await self._scripts.call(
            "list_items",
            conversation_key=keys.conversation(conversation_id),
            prefix=_prefix_of(conversation_id),
            owner=owner,
            limit=limit,
            order=order,
            after=after or "",
            max_bytes=MAX_PAGE_BYTES,
        )
        match reply:
            case [b"not_found"]:
                raise unknown_conversation(conversation_id)
            case [b"unknown_after"]:
                raise unknown_item(after or "", param="after")
        data, has_more = await read_large(self._redis, reply[2:], is_whole=False), bool(reply[1])
        return Page(data=data, first_id=_id(data, 0), last_id=_id(data, -1), has_more=has_more)

    @restored
    async def get_item(self, conversation_id: str, item_id: str, *, owner: str) -> bytes:
        """See `ConversationStore.get_item`."""
        await self._check_same_partition(conversation_id, item_id, owner=owner)
        reply = await self._scripts.call(
            "get_conversation_item",
            conversation_key=keys.conversation(conversation_id),
            item_key=keys.item(item_id),
            prefix=_prefix_of(conversation_id),
            owner=owner,
        )
        match reply:
            case [b"ok", given]:
                for item in await read_large(self._redis, [given], is_whole=False):
                    return item
                raise unknown_item(item_id, param="item_id")
            case [b"not_found"]:
                raise unknown_conversation(conversation_id)
        raise unknown_item(item_id, param="item_id")

    async def find_items(self, item_ids: Sequence[str], *, owner: str) -> Sequence[Item | None]:
        """See `ConversationStore.find_items`."""
        found = await self._find_items(item_ids, owner=owner)
        missing = [each for each, item in zip(item_ids, found, strict=True) if item is None]
        if missing and await self.restorer.restore_items(missing, owner=owner):
            found = await self._find_items(item_ids, owner=owner)
        return found

    async def _find_items(self, item_ids: Sequence[str], *, owner: str) -> Sequence[Item | None]:
        found: dict[str, bytes] = {}
        size = 0
        for start in range(0, len(item_ids), NAMED_AT_ONCE):
            named = item_ids[start : start + NAMED_AT_ONCE]
            calls = [{"item_key": keys.item(each), "prefix": _prefix_of(each), "owner": owner} for each in named]
            replies = await self._scripts.call_many("get_item", calls)
            batch = {each: reply[0] for each, reply in zip(named, replies, strict=True) if reply}
            size += sum(large.size if (large := find_large(given)) else len(given) for given in batch.values())
            found |= batch
            if size > MAX_NAMED_BYTES:
                raise named_too_large()
        read = [
            await read_large(self._redis, [found[each]], is_whole=True) if each in found else [] for each in item_ids
        ]
        return [decode_item(item[0]) if item else None for item in read]

    async def _check_same_partition(self, conversation_id: str, item_id: str, *, owner: str) -> None:
        """Refuse an item of another partition: it is not of this conversation, and its key is in another slot."""
        if ids.get_partition(conversation_id) != ids.get_partition(item_id):
            await self.get(conversation_id, owner=owner)
            raise unknown_item(item_id, param="item_id")

    @restored
    async def delete_item(self, conversation_id: str, item_id: str, *, owner: str) -> None:
        """See `ConversationStore.delete_item`."""
        await self._check_same_partition(conversation_id, item_id, owner=owner)
        reply = await self._scripts.call(
            "delete_item",
            conversation_key=keys.conversation(conversation_id),
            item_key=keys.item(item_id),
            prefix=_prefix_of(conversation_id),
            owner=owner,
            item_id=item_id,
            call_id=new_call_id(),
            call_kept_s=CALL_KEPT_S,
        )
        if reply == 0:
            raise unknown_conversation(conversation_id)
        if reply < 0:
            raise unknown_item(item_id, param="item_id")


class _Identified(msgspec.Struct):
    id: str


_decode_id = msgspec.json.Decoder(_Identified).decode


def _id(data: Sequence[bytes], index: int) -> str | None:
    return _decode_id(data[index]).id if data else None


def _read(conversation_id: str, found: Sequence[bytes | None], owner: str) -> Conversation | None:
    """The conversation in a row of FIELDS, or None when it is not there or another owner's."""
    if found[0] is None or found[0].decode() != owner:
        return None
    metadata, title, active, created_ms, forked_from = found[1:]
    return Conversation(
        id=conversation_id,
        created_at=int(created_ms or 0) // 1000,
        metadata=decode_metadata(metadata or b"{}"),
        title=title.decode() if title else None,
        active_response_id=active.decode() if active else None,
        forked_from=forked_from.decode() if forked_from else None,
    )


def _tell_last_use(found: Sequence[Conversation], used_at: Mapping[str, int]) -> Sequence[Conversation]:
    return [replace(conversation, last_used_ms=used_at[conversation.id]) for conversation in found]


def _prefix_of(public_id: str) -> str:
    return keys.prefix(ids.get_partition(public_id))
