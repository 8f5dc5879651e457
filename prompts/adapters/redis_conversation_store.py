"""Conversations in Redis: one hash each, their items on a stream, and a listing index an owner."""

from collections.abc import Sequence
from typing import Literal, cast

import msgspec
from redis.asyncio import Redis

from prompts import ids
from prompts.adapters import redis_names as names
from prompts.adapters.redis_items import pack_items
from prompts.adapters.redis_listing import touch_listing
from prompts.adapters.redis_scripts import Arg, Scripts, read_fields, translated_errors
from prompts.domain import Conversation, Item, Metadata
from prompts.errors import conversation_locked, unknown_conversation, unknown_item
from prompts.ports import Page

encode = msgspec.json.Encoder().encode
decode_metadata = msgspec.json.Decoder(Metadata).decode

FIELDS = ["owner", "metadata", "title", "active", "created_ms", "timeline", "head"]


class RedisConversationStore:
    """`ConversationStore` on Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)

    async def create(
        self, conversation_id: str, *, owner: str, metadata: Metadata, items: Sequence[Item]
    ) -> Conversation:
        """See `ConversationStore.create`."""
        partition = ids.get_partition(conversation_id)
        args: list[Arg] = [names.prefix(partition), owner, ids.new_id(ids.TIMELINE, partition)]
        args += [encode(metadata), pack_items(items)]
        now_ms = await self._scripts.call("create_conversation", keys=[names.conversation(conversation_id)], args=args)
        await touch_listing(self._scripts, owner, conversation_id)
        return Conversation(id=conversation_id, created_at=now_ms // 1000, metadata=metadata)

    async def get(self, conversation_id: str, *, owner: str) -> Conversation:
        """See `ConversationStore.get`."""
        found = await read_fields(self._redis, names.conversation(conversation_id), FIELDS)
        conversation = _read(conversation_id, found, owner)
        if conversation is None:
            raise unknown_conversation(conversation_id)
        return conversation

    async def update(self, conversation_id: str, *, owner: str, metadata: Metadata) -> Conversation:
        """See `ConversationStore.update`."""
        keys = [names.conversation(conversation_id)]
        if not await self._scripts.call("update_conversation", keys=keys, args=[owner, encode(metadata)]):
            raise unknown_conversation(conversation_id)
        return await self.get(conversation_id, owner=owner)

    async def list(self, *, owner: str, limit: int, after: str | None) -> tuple[Sequence[Conversation], bool]:
        """See `ConversationStore.list`."""
        listing = names.listing(owner)
        with translated_errors():
            start = 0
            if after is not None:
                rank = await self._redis.zrevrank(listing, after)
                if rank is None:
                    raise unknown_conversation(after, param="after")
                start = cast(int, rank) + 1
            found = cast("list[bytes]", await self._redis.zrevrange(listing, start, start + limit))
        conversations = await self._read_all([key.decode() for key in found[:limit]], owner)
        return conversations, len(found) > limit

    async def _read_all(self, conversation_ids: Sequence[str], owner: str) -> Sequence[Conversation]:
        """Those that are there; the index may name one that is gone."""
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for conversation_id in conversation_ids:
                pipeline.hmget(names.conversation(conversation_id), FIELDS)
            rows = await pipeline.execute()
        read = (_read(key, row, owner) for key, row in zip(conversation_ids, rows, strict=True))
        return [conversation for conversation in read if conversation is not None]

    async def add_items(self, conversation_id: str, *, owner: str, items: Sequence[Item]) -> None:
        """See `ConversationStore.add_items`."""
        partition = ids.get_partition(conversation_id)
        keys = [names.conversation(conversation_id), names.leases(partition)]
        reply = await self._scripts.call(
            "add_items", keys=keys, args=[names.prefix(partition), owner, pack_items(items)]
        )
        match reply:
            case [b"not_found"]:
                raise unknown_conversation(conversation_id)
            case [b"locked", active]:
                raise conversation_locked(conversation_id, active.decode())
        await touch_listing(self._scripts, owner, conversation_id)

    async def list_items(
        self, conversation_id: str, *, owner: str, limit: int, order: Literal["asc", "desc"], after: str | None
    ) -> Page:
        """See `ConversationStore.list_items`."""
        partition = ids.get_partition(conversation_id)
        args: list[Arg] = [names.prefix(partition), owner, limit, order, after or ""]
        keys = [names.conversation(conversation_id)]
        reply = await self._scripts.call("list_items", keys=keys, args=args)
        match reply:
            case [b"not_found"]:
                raise unknown_conversation(conversation_id)
            case [b"unknown_after"]:
                raise unknown_item(after or "", param="after")
        data, has_more = reply[1:][:limit], len(reply) - 1 > limit
        return Page(data=data, first_id=_id(data, 0), last_id=_id(data, -1), has_more=has_more)


class _Identified(msgspec.Struct):
    id: str


_decode_id = msgspec.json.Decoder(_Identified).decode


def _id(data: Sequence[bytes], index: int) -> str | None:
    return _decode_id(data[index]).id if data else None


def _read(conversation_id: str, found: Sequence[bytes | None], owner: str) -> Conversation | None:
    """The conversation in a row of FIELDS, or None when it is not there or another owner's."""
    if found[0] is None or found[0].decode() != owner:
        return None
    metadata, title, active, created_ms = found[1:5]
    return Conversation(
        id=conversation_id,
        created_at=int(created_ms or 0) // 1000,
        metadata=decode_metadata(metadata or b"{}"),
        title=title.decode() if title else None,
        active_response_id=active.decode() if active else None,
    )
