"""Files in Redis: a hash each, two lists and a count an owner, and what is due to be erased. Bytes are elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import msgspec
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.due import read_due
from prompts.adapters.redis.lua_files import Arg
from prompts.adapters.redis.scripts import Scripts, new_call_id, translated_errors
from prompts.domain import ids
from prompts.domain.files import File, Purpose
from prompts.errors import QuotaExceeded, Unavailable, unknown_file
from prompts.ports.pages import Page

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(File).decode

MB = 1024 * 1024
# How long an upload may take; `prompts.usecases.files.MAX_UPLOAD_S` ends it well before.
EXPECTED_S = 2 * 3600
# Whoever is told of a file that is due has so long to erase it, before others try.
ERASING_S = 30
# Of a partition, in one reading.
MAX_DUE = 10
# Read in one round trip: enough to save some, few enough to delay no other client.
FILES_AT_ONCE = 100


class RedisFileStore:
    """`FileStore` on Redis."""

    def __init__(self, redis: Redis, *, max_owner_bytes: int, erasing_s: float = ERASING_S) -> None:
        """An owner may keep `max_owner_bytes` of files, over all replicas; 0 is no limit."""
        self._redis = redis
        self._max_owner_bytes = max_owner_bytes
        self._erasing_ms = int(erasing_s * 1000)
        self._scripts = Scripts(redis)

    async def expect(self, file_id: str, *, owner: str) -> None:
        """See `FileStore.expect`."""
        partition = ids.get_partition(file_id)
        kept = await self._scripts.call(
            "expect_file",
            due_key=keys.files_due(partition),
            bytes_key=keys.file_bytes(partition),
            file_id=file_id,
            owner=owner,
            max_bytes=self._max_owner_bytes,
            expected_ms=EXPECTED_S * 1000,
        )
        if kept >= 0:
            raise self._no_room(kept)

    async def add(self, file: File, *, owner: str) -> None:
        """See `FileStore.add`."""
        partition = ids.get_partition(file.id)
        kept = await self._scripts.call(
            "add_file",
            file_key=keys.file(file.id),
            due_key=keys.files_due(partition),
            prefix=keys.prefix(partition),
            file_id=file.id,
            owner=owner,
            purpose=file.purpose,
            bytes=file.bytes,
            shown=encode(file),
            expires_ms="" if file.expires_at is msgspec.UNSET else file.expires_at * 1000,
            max_bytes=self._max_owner_bytes,
        )
        if kept == -2:  # noqa: PLR2004 -- what the script returns
            raise Unavailable("The upload took too long. Send the file again.")
        if kept >= 0:
            raise self._no_room(kept)

    async def get(self, file_id: str, *, owner: str) -> File:
        """See `FileStore.get`."""
        shown = await self._scripts.call("get_file", file_key=keys.file(file_id), owner=owner)
        if shown is None:
            raise unknown_file(file_id)
        return decode(shown)

    async def list_files(
        self, *, owner: str, purpose: Purpose | None, limit: int, order: Literal["asc", "desc"], after: str | None
    ) -> Page:
        """See `FileStore.list_files`."""
        key = keys.files(ids.find_partition(owner), owner, purpose or "any")
        if after is not None:
            await self.get(after, owner=owner)
        found: list[tuple[str, bytes]] = []
        is_more = True
        while is_more and len(found) <= limit:
            at_once = min(FILES_AT_ONCE, limit + 1 - len(found))
            file_ids = await self._read_ids(key, order=order, after=after, count=at_once)
            is_more = len(file_ids) == at_once
            after = file_ids[-1] if file_ids else after
            calls = [{"file_key": keys.file(file_id), "owner": owner} for file_id in file_ids]
            replies = await self._scripts.call_many("get_file", calls)
            found += [(file_id, shown) for file_id, shown in zip(file_ids, replies, strict=True) if shown is not None]
        page = found[:limit]
        return Page(
            data=[shown for _, shown in page],
            first_id=page[0][0] if page else None,
            last_id=page[-1][0] if page else None,
            has_more=len(found) > limit,
        )

    async def _read_ids(
        self, key: str, *, order: Literal["asc", "desc"], after: str | None, count: int
    ) -> Sequence[str]:
        """Ids of a list in the order of their time, from behind `after` on."""
        edge = "" if after is None else f"({after}"
        with translated_errors():
            if order == "asc":
                found = await self._redis.zrange(key, edge or "-", "+", bylex=True, offset=0, num=count)
            else:
                found = await self._redis.zrange(key, edge or "+", "-", desc=True, bylex=True, offset=0, num=count)
        return [file_id.decode() for file_id in cast("list[bytes]", found)]

    async def attach(self, file_id: str, vector_store_id: str, *, owner: str) -> File:
        """See `FileStore.attach`."""
        shown = await self._scripts.call(
            "attach_file",
            file_key=keys.file(file_id),
            stores_key=keys.file_stores(file_id),
            owner=owner,
            vector_store_id=vector_store_id,
        )
        if shown is None:
            raise unknown_file(file_id)
        return decode(shown)

    async def detach(self, file_id: str, vector_store_id: str) -> None:
        """See `FileStore.detach`."""
        with translated_errors():
            await self._redis.srem(keys.file_stores(file_id), vector_store_id)

    async def list_stores(self, file_id: str) -> Sequence[str]:
        """See `FileStore.list_stores`."""
        with translated_errors():
            found = cast("set[bytes]", await self._redis.smembers(keys.file_stores(file_id)))
        return sorted(store.decode() for store in found)

    async def delete(self, file_id: str, *, owner: str) -> Sequence[str]:
        """See `FileStore.delete`."""
        partition = ids.get_partition(file_id)
        is_deleted, *stores = await self._scripts.call(
            "delete_file",
            file_key=keys.file(file_id),
            stores_key=keys.file_stores(file_id),
            due_key=keys.files_due(partition),
            prefix=keys.prefix(partition),
            file_id=file_id,
            owner=owner,
            call_id=new_call_id(),
        )
        if not is_deleted:
            raise unknown_file(file_id)
        return [store.decode() for store in stores]

    async def list_due(self) -> Sequence[tuple[str, Sequence[str]]]:
        """See `FileStore.list_due`."""
        # Most partitions have nothing: no script runs there.
        due = await read_due(self._redis, keys.files_due, count=1)
        calls: list[Mapping[str, Arg]] = [
            {
                "due_key": keys.files_due(partition),
                "prefix": keys.prefix(partition),
                "max_files": MAX_DUE,
                "again_ms": self._erasing_ms,
            }
            for partition in due
        ]
        replies = await self._scripts.call_many("list_due_files", calls)
        return [
            (file_id.decode(), stores.decode().split())
            for reply in replies
            for file_id, stores in zip(reply[::2], reply[1::2], strict=True)
        ]

    async def forget(self, file_id: str) -> None:
        """See `FileStore.forget`."""
        await self._scripts.call(
            "forget_file",
            file_key=keys.file(file_id),
            stores_key=keys.file_stores(file_id),
            due_key=keys.files_due(ids.get_partition(file_id)),
            file_id=file_id,
        )

    def _no_room(self, kept: int) -> QuotaExceeded:
        kept_mb, most_mb = f"{kept / MB:,.1f} MB", f"{self._max_owner_bytes / MB:,.1f} MB"
        return QuotaExceeded(f"You keep {kept_mb} of files, the limit is {most_mb}. Delete some of them.")
