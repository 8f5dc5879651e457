"""Use cases on vector stores, their files and batches."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

from msgspec import UNSET, UnsetType

from prompts.domain import ids
from prompts.domain.conversations import Metadata
from prompts.domain.passages import Attributes, Stretch
from prompts.domain.vector_stores import (
    Chunking,
    ExpiresAfter,
    FileBatch,
    IndexingStatus,
    VectorStore,
    VectorStoreFile,
)
from prompts.errors import InvalidRequest, NotFound, unknown_file
from prompts.knowledge.chunking import join
from prompts.ports.files import FileStore
from prompts.ports.pages import Page
from prompts.ports.passage_index import PassageIndex
from prompts.ports.vector_stores import Indexing, NewFile, VectorStores
from prompts.usecases.public_ids import check_file_batch_id, check_file_id, check_vector_store_id

Order: TypeAlias = Literal["asc", "desc"]

# Of the files of one request: enough to save time, few enough to delay no other client.
MARKS_AT_ONCE = 50
# A change of attributes waits so long for the index; what takes longer goes on behind it.
TELL_S = 5.0
# Of a text that is read: a whole one may have 80 MB.
STRETCHES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class VectorStorePorts:
    """What vector stores need. The three functions are the background's: see `prompts/run/indexing.py`."""

    stores: VectorStores
    files: FileStore
    index: PassageIndex
    wake: Callable[[], None]
    """Says that a file waits to be indexed."""
    wake_eraser: Callable[[], None]
    """Says that passages are due."""
    tell_attributes: Callable[[Indexing], Awaitable[None]]
    lease_s: float
    tell_s: float = TELL_S


@dataclass(frozen=True, slots=True)
class FileToAttach:
    """A file as a client names it; `param` is its place in the request."""

    file_id: str
    attributes: Attributes
    chunking: Chunking
    param: str


async def create_vector_store(
    *,
    owner: str,
    name: str | None,
    description: str | None,
    metadata: Metadata,
    expires_after: ExpiresAfter | None,
    files: Sequence[FileToAttach],
    ports: VectorStorePorts,
) -> VectorStore:
    """A new vector store, with files to be indexed. Raises NotFound (a file), Unavailable; then there is none."""
    # Partitions take turns at being indexed: whoever fills many vector stores keeps their own waiting, not all others.
    store_id = ids.new_id(ids.VECTOR_STORE, ids.find_partition(owner))
    new_files = await _mark_files(store_id, files, owner=owner, ports=ports)
    store = VectorStore(
        id=store_id,
        created_at=int(time.time()),
        name=name,
        description=UNSET if description is None else description,
        status="completed",
        expires_after=expires_after,
        metadata=metadata,
    )
    await ports.stores.create(store, owner=owner)
    await _attach(store_id, new_files, owner=owner, batch_id=None, ports=ports)
    return await ports.stores.get(store_id, owner=owner)


async def get_vector_store(store_id: str, *, owner: str, ports: VectorStorePorts) -> VectorStore:
    """Raises NotFound, Unavailable."""
    check_vector_store_id(store_id)
    return await ports.stores.get(store_id, owner=owner)


async def list_vector_stores(
    *, owner: str, limit: int, order: Order, after: str | None, before: str | None, ports: VectorStorePorts
) -> Page:
    """One page of the owner's. Raises NotFound (a cursor), Unavailable."""
    for cursor, param in ((after, "after"), (before, "before")):
        if cursor is not None:
            check_vector_store_id(cursor, param=param)
    return await ports.stores.list_stores(owner=owner, limit=limit, order=order, after=after, before=before)


async def update_vector_store(
    store_id: str,
    *,
    owner: str,
    name: str | UnsetType | None,
    metadata: Metadata | UnsetType,
    expires_after: ExpiresAfter | UnsetType | None,
    ports: VectorStorePorts,
) -> VectorStore:
    """Change what is given. Raises NotFound, Unavailable."""
    check_vector_store_id(store_id)
    return await ports.stores.update(store_id, owner=owner, name=name, metadata=metadata, expires_after=expires_after)


async def delete_vector_store(store_id: str, *, owner: str, ports: VectorStorePorts) -> None:
    """It is gone at once, and its passages soon; its files stay. Raises NotFound, Unavailable."""
    check_vector_store_id(store_id)
    await ports.stores.delete(store_id, owner=owner)
    ports.wake_eraser()


async def attach_file(store_id: str, file: FileToAttach, *, owner: str, ports: VectorStorePorts) -> VectorStoreFile:
    """Put a file into a vector store, to be indexed. Raises NotFound (either), Unavailable."""
    await _check_usable(store_id, owner=owner, ports=ports)
    new_files = await _mark_files(store_id, [file], owner=owner, ports=ports)
    await _attach(store_id, new_files, owner=owner, batch_id=None, ports=ports)
    return await ports.stores.get_file(store_id, file.file_id, owner=owner)


async def attach_batch(
    store_id: str, files: Sequence[FileToAttach], *, owner: str, ports: VectorStorePorts
) -> FileBatch:
    """Put files into a vector store together. Raises NotFound (a file: then none is put in), Unavailable."""
    await _check_usable(store_id, owner=owner, ports=ports)
    new_files = await _mark_files(store_id, files, owner=owner, ports=ports)
    batch_id = ids.new_id(ids.FILE_BATCH, ids.get_partition(store_id))
    await _attach(store_id, new_files, owner=owner, batch_id=batch_id, ports=ports)
    return await ports.stores.get_batch(store_id, batch_id, owner=owner)


async def _check_usable(store_id: str, *, owner: str, ports: VectorStorePorts) -> None:
    """Raises NotFound, before files are marked that no vector store has."""
    check_vector_store_id(store_id)
    await ports.stores.use([store_id], owner=owner)


async def _mark_files(
    store_id: str, files: Sequence[FileToAttach], *, owner: str, ports: VectorStorePorts
) -> Sequence[NewFile]:
    """Note on each file that the vector store has it, before it has: a mark too many does no harm.

    Raises NotFound naming the place of a file.
    """

    async def mark(file: FileToAttach) -> NewFile:
        try:
            check_file_id(file.file_id, param=file.param)
            found = await ports.files.attach(file.file_id, store_id, owner=owner)
        except NotFound:
            raise unknown_file(file.file_id, param=file.param) from None
        return NewFile(
            file_id=file.file_id, filename=found.filename, attributes=file.attributes, chunking=file.chunking
        )

    marked: list[NewFile] = []
    for start in range(0, len(files), MARKS_AT_ONCE):
        marked += await asyncio.gather(*map(mark, files[start : start + MARKS_AT_ONCE]))
    return marked


async def _attach(
    store_id: str, files: Sequence[NewFile], *, owner: str, batch_id: str | None, ports: VectorStorePorts
) -> None:
    if files:
        await ports.stores.attach(store_id, files, owner=owner, batch_id=batch_id)
        ports.wake()


async def get_vector_store_file(store_id: str, file_id: str, *, owner: str, ports: VectorStorePorts) -> VectorStoreFile:
    """Raises NotFound, Unavailable."""
    check_vector_store_id(store_id)
    check_file_id(file_id)
    return await ports.stores.get_file(store_id, file_id, owner=owner)


async def list_vector_store_files(
    store_id: str,
    *,
    owner: str,
    status: IndexingStatus | None,
    limit: int,
    order: Order,
    after: str | None,
    before: str | None,
    ports: VectorStorePorts,
    batch_id: str | None = None,
) -> Page:
    """One page of the files of a vector store, or of a batch. Raises NotFound (a cursor as well), Unavailable."""
    check_vector_store_id(store_id)
    if batch_id is not None:
        check_file_batch_id(batch_id)
    for cursor, param in ((after, "after"), (before, "before")):
        if cursor is not None:
            check_file_id(cursor, param=param)
    return await ports.stores.list_files(
        store_id, owner=owner, status=status, batch_id=batch_id, limit=limit, order=order, after=after, before=before
    )


async def set_file_attributes(
    store_id: str, file_id: str, attributes: Attributes, *, owner: str, ports: VectorStorePorts
) -> VectorStoreFile:
    """Change what is known of a file; searches filter by it from now on. Raises NotFound, Unavailable.

    An index that is slow or away is told later.
    """
    check_vector_store_id(store_id)
    check_file_id(file_id)
    work = await ports.stores.set_attributes(store_id, file_id, attributes, owner=owner, lease_s=ports.lease_s)
    if work is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(ports.tell_s):
                await ports.tell_attributes(work)
    return await ports.stores.get_file(store_id, file_id, owner=owner)


async def detach_file(store_id: str, file_id: str, *, owner: str, ports: VectorStorePorts) -> None:
    """Take a file out: no search finds it from now on. The file itself stays. Raises NotFound, Unavailable."""
    check_vector_store_id(store_id)
    check_file_id(file_id)
    await ports.stores.detach(store_id, file_id, owner=owner)
    ports.wake_eraser()


async def read_file_text(
    store_id: str, file_id: str, *, owner: str, ports: VectorStorePorts
) -> AsyncIterator[Sequence[str]]:
    """The text of a file as it was indexed, in pieces that repeat nothing, some at a time; the first ones are read.

    Raises NotFound, InvalidRequest (it is not indexed), Unavailable, also while it is read on.
    """
    file = await get_vector_store_file(store_id, file_id, owner=owner, ports=ports)
    if file.status != "completed":
        message = f"File '{file_id}' is {file.status}: it has no text here. Read it when it is completed."
        raise InvalidRequest(message, param="file_id")
    first = await ports.index.list_stretches(store_id, file_id, count=STRETCHES_AT_ONCE)
    return _read_on(store_id, file_id, first, ports)


async def _read_on(
    store_id: str, file_id: str, stretches: Sequence[Stretch], ports: VectorStorePorts
) -> AsyncIterator[Sequence[str]]:
    yield join(stretches)
    while len(stretches) == STRETCHES_AT_ONCE:
        last = stretches[-1]
        stretches = await ports.index.list_stretches(store_id, file_id, first=last.number + 1, count=STRETCHES_AT_ONCE)
        _, *texts = join([last, *stretches])  # the first one is known
        yield texts


async def get_file_batch(store_id: str, batch_id: str, *, owner: str, ports: VectorStorePorts) -> FileBatch:
    """Raises NotFound, Unavailable."""
    check_vector_store_id(store_id)
    check_file_batch_id(batch_id)
    return await ports.stores.get_batch(store_id, batch_id, owner=owner)


async def cancel_file_batch(store_id: str, batch_id: str, *, owner: str, ports: VectorStorePorts) -> FileBatch:
    """Of its files, those that are not indexed yet will not be. Raises NotFound, Unavailable."""
    check_vector_store_id(store_id)
    check_file_batch_id(batch_id)
    cancelled = await ports.stores.cancel_batch(store_id, batch_id, owner=owner)
    ports.wake_eraser()
    return cancelled
