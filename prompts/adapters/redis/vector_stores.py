"""Vector stores in Redis: a hash each and one a file in it, and sorted sets of its files by their status."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from prompts.adapters.redis import keys
from prompts.adapters.redis.member_pages import list_members
from prompts.adapters.redis.scripts import CALL_KEPT_S, is_owned, new_call_id, translated_errors
from prompts.adapters.redis.vector_store_records import (
    FILE_FIELDS,
    batch_of,
    decode_attributes,
    encode_attributes,
    file_of,
    new_file_of,
    read_days,
    store_of,
)
from prompts.adapters.redis.vector_store_work import RedisIndexingWork
from prompts.domain import ids
from prompts.domain.conversations import Metadata
from prompts.domain.passages import Attributes
from prompts.domain.vector_stores import ExpiresAfter, FileBatch, IndexingStatus, VectorStore, VectorStoreFile
from prompts.errors import (
    InvalidRequest,
    expired_vector_store,
    unknown_file,
    unknown_file_batch,
    unknown_vector_store,
)
from prompts.ports.pages import Page, count_fitting
from prompts.ports.vector_stores import Indexing, NewFile

encode = msgspec.json.Encoder().encode

# Of one script. Measured: so many files hold Redis for 0.5 ms, and so many bytes of attributes for a millisecond more.
FILES_A_SLICE = 20
BYTES_A_SLICE = 128 * 1024
# A file that is put into so many batches before it is indexed is no use of batches.
MAX_WAITING_BATCHES = 20
_REFUSALS: Mapping[int, Any] = {0: unknown_vector_store, -1: expired_vector_store}


class RedisVectorStores(RedisIndexingWork):
    """`VectorStores` on Redis."""

    async def create(self, store: VectorStore, *, owner: str) -> None:
        """See `VectorStores.create`."""
        created_ms = await self._scripts.call(
            "create_vector_store",
            store_key=keys.vector_store(store.id),
            unindexing_key=keys.unindexing(ids.get_partition(store.id)),
            prefix=keys.prefix(ids.get_partition(store.id)),
            owner=owner,
            store_id=store.id,
            name=encode(store.name),
            description=encode(None if store.description is UNSET else store.description),
            metadata=encode(store.metadata),
            days=store.expires_after.days if store.expires_after else "",
        )
        with translated_errors():
            await self._redis.zadd(keys.vector_store_listing(owner), {store.id: created_ms})

    async def get(self, store_id: str, *, owner: str) -> VectorStore:
        """See `VectorStores.get`."""
        found = await self._scripts.call("get_vector_store", store_key=keys.vector_store(store_id), owner=owner)
        if not found:
            raise unknown_vector_store(store_id)
        return store_of(store_id, found)

    async def list_stores(
        self, *, owner: str, limit: int, order: Literal["asc", "desc"], after: str | None, before: str | None
    ) -> Page:
        """See `VectorStores.list_stores`."""
        listing = keys.vector_store_listing(owner)
        listed, has_more = await list_members(
            self._redis, listing, limit=limit, order=order, after=after, before=before, unknown=unknown_vector_store
        )
        calls = [{"store_key": keys.vector_store(each), "owner": owner} for each in listed]
        rows = await self._scripts.call_many("get_vector_store", calls)
        dead = [store_id for store_id, row in zip(listed, rows, strict=True) if not row]
        if dead:
            with translated_errors():
                await self._redis.zrem(listing, *dead)
        found = [store_of(store_id, row) for store_id, row in zip(listed, rows, strict=True) if row]
        return _page(found, has_more)

    async def update(
        self,
        store_id: str,
        *,
        owner: str,
        name: str | UnsetType | None = UNSET,
        metadata: Metadata | UnsetType = UNSET,
        expires_after: ExpiresAfter | UnsetType | None = UNSET,
    ) -> VectorStore:
        """See `VectorStores.update`."""
        done = await self._scripts.call(
            "update_vector_store",
            store_key=keys.vector_store(store_id),
            unindexing_key=keys.unindexing(ids.get_partition(store_id)),
            prefix=keys.prefix(ids.get_partition(store_id)),
            owner=owner,
            store_id=store_id,
            name="" if name is UNSET else encode(name),
            metadata="" if metadata is UNSET else encode(metadata),
            days=read_days(expires_after),
        )
        if done != 1:
            raise _REFUSALS[done](store_id)
        return await self.get(store_id, owner=owner)

    async def delete(self, store_id: str, *, owner: str) -> None:
        """See `VectorStores.delete`."""
        partition = ids.get_partition(store_id)
        is_deleted = await self._scripts.call(
            "delete_vector_store",
            store_key=keys.vector_store(store_id),
            indexing_key=keys.indexing(partition),
            unindexing_key=keys.unindexing(partition),
            owner=owner,
            store_id=store_id,
            call_id=new_call_id(),
        )
        if not is_deleted:
            raise unknown_vector_store(store_id)
        with translated_errors():
            await self._redis.zrem(keys.vector_store_listing(owner), store_id)

    async def attach(self, store_id: str, files: Sequence[NewFile], *, owner: str, batch_id: str | None = None) -> None:
        """See `VectorStores.attach`."""
        partition = ids.get_partition(store_id)
        for packed in _slice(files):
            reply = await self._scripts.call(
                "attach_files",
                store_key=keys.vector_store(store_id),
                indexing_key=keys.indexing(partition),
                unindexing_key=keys.unindexing(partition),
                prefix=keys.prefix(partition),
                owner=owner,
                store_id=store_id,
                batch_id=batch_id or "",
                files=encode(packed),
                max_batches=MAX_WAITING_BATCHES,
                index_name=self._index_name,
            )
            _refuse(reply, store_id)

    async def get_file(self, store_id: str, file_id: str, *, owner: str) -> VectorStoreFile:
        """See `VectorStores.get_file`."""
        await self._check_owner(store_id, owner)
        [found] = await self._read_files(store_id, [file_id])
        if found is None:
            raise unknown_file(file_id)
        return found

    async def list_files(
        self,
        store_id: str,
        *,
        owner: str,
        status: IndexingStatus | None,
        batch_id: str | None = None,
        limit: int,
        order: Literal["asc", "desc"],
        after: str | None,
        before: str | None,
    ) -> Page:
        """See `VectorStores.list_files`."""
        if batch_id is None:
            await self._check_owner(store_id, owner)
            key = keys.vector_store_files(store_id, status or "files")
        else:
            await self.get_batch(store_id, batch_id, owner=owner)
            key = keys.batch_files(batch_id, status or "files")
        listed, has_more = await list_members(
            self._redis, key, limit=limit, order=order, after=after, before=before, unknown=unknown_file
        )
        found = [file for file in await self._read_files(store_id, listed) if file is not None]
        return _page(found, has_more)

    async def _read_files(self, store_id: str, file_ids: Sequence[str]) -> Sequence[VectorStoreFile | None]:
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for file_id in file_ids:
                pipeline.hmget(keys.vector_store_file(store_id, file_id), FILE_FIELDS)
            rows = await pipeline.execute()
        return [file_of(store_id, file_id, row) for file_id, row in zip(file_ids, rows, strict=True)]

    async def _check_owner(self, store_id: str, owner: str) -> None:
        if not await is_owned(self._redis, keys.vector_store(store_id), owner):
            raise unknown_vector_store(store_id)

    async def set_attributes(
        self, store_id: str, file_id: str, attributes: Attributes, *, owner: str, lease_s: float
    ) -> Indexing | None:
        """See `VectorStores.set_attributes`."""
        partition = ids.get_partition(store_id)
        reply = await self._scripts.call(
            "set_file_attributes",
            store_key=keys.vector_store(store_id),
            indexing_key=keys.indexing(partition),
            prefix=keys.prefix(partition),
            owner=owner,
            store_id=store_id,
            file_id=file_id,
            attributes=encode_attributes(attributes),
            lease_ms=int(lease_s * 1000),
            call_id=new_call_id(),
        )
        _refuse(reply, store_id, file_id)
        _, epoch, filename, chunking = reply
        if not epoch:
            return None
        file = new_file_of(file_id, filename, encode(attributes), chunking)
        return Indexing(vector_store_id=store_id, file=file, owner=owner, epoch=epoch.decode(), task="attributes")

    async def detach(self, store_id: str, file_id: str, *, owner: str | None) -> None:
        """See `VectorStores.detach`."""
        partition = ids.get_partition(store_id)
        done = await self._scripts.call(
            "detach_file",
            store_key=keys.vector_store(store_id),
            indexing_key=keys.indexing(partition),
            unindexing_key=keys.unindexing(partition),
            prefix=keys.prefix(partition),
            owner=owner or "",
            store_id=store_id,
            file_id=file_id,
            call_id=new_call_id(),
            call_kept_s=CALL_KEPT_S,
        )
        if done != 1 and owner is not None:
            raise unknown_vector_store(store_id) if done == 0 else unknown_file(file_id)

    async def get_batch(self, store_id: str, batch_id: str, *, owner: str) -> FileBatch:
        """See `VectorStores.get_batch`."""
        await self._check_same_partition(store_id, batch_id, owner)
        found = await self._scripts.call(
            "get_file_batch",
            store_key=keys.vector_store(store_id),
            batch_key=keys.file_batch(batch_id),
            owner=owner,
            store_id=store_id,
        )
        if len(found) == 1:
            raise unknown_vector_store(store_id)
        if not found:
            raise unknown_file_batch(batch_id)
        return batch_of(store_id, batch_id, found)

    async def cancel_batch(self, store_id: str, batch_id: str, *, owner: str) -> FileBatch:
        """See `VectorStores.cancel_batch`."""
        await self._check_same_partition(store_id, batch_id, owner)
        partition = ids.get_partition(store_id)
        left = 1
        while left > 0:
            left = await self._scripts.call(
                "cancel_file_batch",
                store_key=keys.vector_store(store_id),
                batch_key=keys.file_batch(batch_id),
                indexing_key=keys.indexing(partition),
                unindexing_key=keys.unindexing(partition),
                prefix=keys.prefix(partition),
                owner=owner,
                store_id=store_id,
                max_files=FILES_A_SLICE,
            )
        if left < 0:
            raise unknown_file_batch(batch_id) if left == -1 else unknown_vector_store(store_id)
        return await self.get_batch(store_id, batch_id, owner=owner)

    async def _check_same_partition(self, store_id: str, batch_id: str, owner: str) -> None:
        """Refuse a batch of another partition: it is not of this store, and its key is in another slot."""
        if ids.get_partition(store_id) != ids.get_partition(batch_id):
            await self._check_owner(store_id, owner)
            raise unknown_file_batch(batch_id)

    async def use(self, store_ids: Sequence[str], *, owner: str) -> None:
        """See `VectorStores.use`."""
        for store_id in store_ids:
            if not ids.is_well_formed(store_id, ids.VECTOR_STORE):
                raise unknown_vector_store(store_id)
        calls = [
            {
                "store_key": keys.vector_store(store_id),
                "unindexing_key": keys.unindexing(ids.get_partition(store_id)),
                "owner": owner,
                "store_id": store_id,
            }
            for store_id in store_ids
        ]
        for store_id, done in zip(store_ids, await self._scripts.call_many("use_vector_store", calls), strict=True):
            if done != 1:
                raise _REFUSALS[done](store_id)

    async def find_live(self, store_id: str, file_ids: Collection[str]) -> dict[str, Attributes]:
        """See `VectorStores.find_live`."""
        there = await self._scripts.call("get_vector_store", store_key=keys.vector_store(store_id), owner="")
        if not there or store_of(store_id, there).status == "expired":
            return {}
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for file_id in file_ids:
                pipeline.hmget(keys.vector_store_file(store_id, file_id), ["status", "attributes"])
            rows = await pipeline.execute()
        return {
            file_id: decode_attributes(attributes)
            for file_id, (status, attributes) in zip(file_ids, rows, strict=True)
            if status == b"completed"
        }


def _slice(files: Sequence[NewFile]) -> Iterator[Sequence[tuple[str, str, str, str]]]:
    """The files as `attach_files.lua` takes them, so many that a script stays short."""
    packed: list[tuple[str, str, str, str]] = []
    size = 0
    for file in map(_pack, files):
        packed.append(file)
        size += sum(map(len, file))
        if len(packed) == FILES_A_SLICE or size > BYTES_A_SLICE:
            yield packed
            packed, size = [], 0
    if packed:
        yield packed


def _pack(file: NewFile) -> tuple[str, str, str, str]:
    attributes, chunking = encode_attributes(file.attributes), encode(file.chunking)
    return file.file_id, file.filename, attributes.decode(), chunking.decode()


def _refuse(reply: Sequence[bytes], store_id: str, file_id: str = "") -> None:
    match reply:
        case [b"not_found"]:
            raise unknown_vector_store(store_id)
        case [b"expired"]:
            raise expired_vector_store(store_id)
        case [b"unknown_file"]:
            raise unknown_file(file_id)
        case [b"busy", waiting]:
            message = (
                f"File '{waiting.decode()}' waits in {MAX_WAITING_BATCHES} batches already. Wait until it is indexed."
            )
            raise InvalidRequest(message, param="file_ids")


def _page(found: Sequence[VectorStore] | Sequence[VectorStoreFile], has_more: bool) -> Page:
    data = [encode(each) for each in found]
    fitting = count_fitting([len(each) for each in data])
    shown = found[:fitting]
    return Page(
        data=data[:fitting],
        first_id=shown[0].id if shown else None,
        last_id=shown[-1].id if shown else None,
        has_more=has_more or fitting < len(data),
    )
