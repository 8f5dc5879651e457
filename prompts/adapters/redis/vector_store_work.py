"""The work of filling vector stores, in Redis: a queue a vector store, leases, and what is to be erased."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.deletion import TOMBSTONE_S
from prompts.adapters.redis.due import read_due
from prompts.adapters.redis.lua_files import Arg
from prompts.adapters.redis.scripts import CALL_KEPT_S, Scripts, new_call_id, read_fields, translated_errors
from prompts.adapters.redis.vector_store_records import encode_attributes, new_file_of
from prompts.domain import ids
from prompts.domain.vector_stores import IndexingError
from prompts.errors import StaleRun
from prompts.ports.vector_stores import Due, Indexing

encode = msgspec.json.Encoder().encode

# A file that takes its replica down must not go round for ever.
MAX_LOST_HOLDERS = 3
LOST = IndexingError(
    "server_error", "The servers that indexed this file were lost with it, three times. Attach it again, or split it."
)
# Whoever erases passages has so long for one file or vector store, before another replica tries it.
ERASING_LEASE_S = 60
DUE_A_PARTITION = 10
# Of a deleted vector store, by one script.
FILES_ERASED_AT_ONCE = 50


class RedisIndexingWork:
    """The part of `VectorStores` that replicas share: who indexes which file, and what is to be erased."""

    def __init__(self, redis: Redis, *, index_name: str = "") -> None:
        """`index_name` tells the search index of now from others: a file that another one has can be put again."""
        self._redis = redis
        self._index_name = index_name
        self._scripts = Scripts(redis)

    async def list_waiting(self) -> Sequence[str]:
        """See `VectorStores.list_waiting`."""
        return list(await read_due(self._redis, keys.indexing, count=1))

    async def seize_indexing(self, partition: str, *, lease_s: float) -> Indexing | None:
        """See `VectorStores.seize_indexing`."""
        reply: Any = [1]
        while reply == [1]:
            reply = await self._scripts.call(
                "seize_indexing",
                indexing_key=keys.indexing(partition),
                unindexing_key=keys.unindexing(partition),
                prefix=keys.prefix(partition),
                lease_ms=int(lease_s * 1000),
                call_id=new_call_id(),
                call_kept_s=CALL_KEPT_S,
                max_holders=MAX_LOST_HOLDERS,
                lost_error=encode(LOST),
            )
        if not reply:
            return None
        store_id, file_id, owner, epoch, filename, attributes, chunking, status, tries = reply
        return Indexing(
            vector_store_id=store_id.decode(),
            file=new_file_of(file_id.decode(), filename, attributes, chunking),
            owner=owner.decode(),
            epoch=epoch.decode(),
            task="index" if status == b"in_progress" else "attributes",
            tries=tries,
        )

    async def renew_indexing(self, indexing: Indexing, *, lease_s: float) -> None:
        """See `VectorStores.renew_indexing`."""
        await self._renew(indexing, due_s=lease_s)

    async def put_off_indexing(self, indexing: Indexing, *, delay_s: float, is_try: bool) -> None:
        """See `VectorStores.put_off_indexing`."""
        await self._renew(indexing, due_s=delay_s, has_let_go=True, more_tries=int(is_try))

    async def _renew(self, indexing: Indexing, *, due_s: float, has_let_go: bool = False, more_tries: int = 0) -> None:
        is_held = await self._scripts.call(
            "renew_indexing",
            **self._keys_of(indexing),
            store_id=indexing.vector_store_id,
            file_id=indexing.file.file_id,
            epoch=indexing.epoch,
            due_ms=int(due_s * 1000),
            has_let_go=int(has_let_go),
            more_tries=more_tries,
        )
        if not is_held:
            raise StaleRun

    async def end_indexing(
        self, indexing: Indexing, *, usage_bytes: int = 0, error: IndexingError | None = None
    ) -> None:
        """See `VectorStores.end_indexing`."""
        is_ended = await self._scripts.call(
            "end_indexing",
            **self._keys_of(indexing),
            unindexing_key=keys.unindexing(ids.get_partition(indexing.vector_store_id)),
            prefix=keys.prefix(ids.get_partition(indexing.vector_store_id)),
            store_id=indexing.vector_store_id,
            file_id=indexing.file.file_id,
            epoch=indexing.epoch,
            usage_bytes=usage_bytes if indexing.task == "index" else -1,
            error=encode(error) if error else "",
            attributes=encode_attributes(indexing.file.attributes),
            index_name=self._index_name,
        )
        if not is_ended:
            raise StaleRun

    async def abandon_indexing(self, indexing: Indexing) -> None:
        """See `VectorStores.abandon_indexing`."""
        store_id, file_id = indexing.vector_store_id, indexing.file.file_id
        await self._scripts.call(
            "abandon_indexing",
            store_key=keys.vector_store(store_id),
            file_key=keys.vector_store_file(store_id, file_id),
            unindexing_key=keys.unindexing(ids.get_partition(store_id)),
            store_id=store_id,
            file_id=file_id,
        )

    @staticmethod
    def _keys_of(indexing: Indexing) -> dict[str, str]:
        store_id = indexing.vector_store_id
        return {
            "store_key": keys.vector_store(store_id),
            "file_key": keys.vector_store_file(store_id, indexing.file.file_id),
            "indexing_key": keys.indexing(ids.get_partition(store_id)),
        }

    async def list_due(self) -> Sequence[Due]:
        """See `VectorStores.list_due`."""
        due = await read_due(self._redis, keys.unindexing, count=1)
        calls: list[Mapping[str, Arg]] = [
            {
                "unindexing_key": keys.unindexing(partition),
                "prefix": keys.prefix(partition),
                "max_taken": DUE_A_PARTITION,
                "lease_ms": ERASING_LEASE_S * 1000,
            }
            for partition in due
        ]
        taken = await self._scripts.call_many("take_unindexing", calls)
        members = [member.decode().partition(" ") for some in taken for member in some]
        return [Due(store_id, file_id or None) for store_id, _, file_id in members]

    async def list_left(self, store_id: str) -> Sequence[str]:
        """See `VectorStores.list_left`."""
        [owner] = await read_fields(self._redis, keys.vector_store(store_id), ["owner"])
        if owner is not None:
            return []
        with translated_errors():
            left: Any = await self._redis.zrange(keys.vector_store_files(store_id), 0, FILES_ERASED_AT_ONCE - 1)
        return [each.decode() for each in left]

    async def forget(self, due: Due) -> bool:
        """See `VectorStores.forget`."""
        partition = ids.get_partition(due.vector_store_id)
        is_more = await self._scripts.call(
            "forget_passages",
            store_key=keys.vector_store(due.vector_store_id),
            unindexing_key=keys.unindexing(partition),
            prefix=keys.prefix(partition),
            store_id=due.vector_store_id,
            file_id=due.file_id or "",
            max_files=FILES_ERASED_AT_ONCE,
            tombstone_s=TOMBSTONE_S,
        )
        return bool(is_more)
