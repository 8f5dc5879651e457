"""Erases files and vector stores for good: their bytes, their passages in the index, and what is known of them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from prompts.errors import NotFound, Unavailable
from prompts.ports.eraser import Eraser
from prompts.ports.families import Families
from prompts.ports.outbox import Outbox
from prompts.ports.owner_traces import OwnerTraces
from prompts.ports.passage_index import PassageIndex
from prompts.ports.vector_stores import VectorStores
from prompts.run.erasing_files import erase_file
from prompts.run.unindexing import Unindexer
from prompts.usecases.files import FilePorts

# Whoever indexes a file has stopped when the lease is over; then its passages can go for good.
UNINDEX_S = 30.0
LOOK_S = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasurePorts:
    """All that holds something of a conversation, or of its files."""

    families: Families
    eraser: Eraser
    outbox: Outbox
    traces: OwnerTraces
    files: FilePorts
    vector_stores: VectorStores
    index: PassageIndex
    unindexer: Unindexer


async def erase_vector_store(store_id: str, *, owner: str, ports: ErasurePorts) -> bool:
    """Erase it, but for its files; False when it is gone. While the index is away it stays. Raises Unavailable."""
    await ports.index.remove_store(store_id)
    try:
        await ports.vector_stores.delete(store_id, owner=owner)
    except NotFound:
        return False
    return True


async def wait_until_unindexed(store_ids: Sequence[str], *, ports: ErasurePorts) -> None:
    """Wait until nothing of deleted vector stores is left, nor passages of deleted files. Raises Unavailable."""
    await ports.unindexer.erase_due()
    try:
        async with asyncio.timeout(UNINDEX_S):
            while await ports.traces.list_erasing(store_ids):
                await ports.unindexer.erase_due()
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise Unavailable("Their passages are still being erased by the running servers.") from None


async def erase_whole_file(file_id: str, *, owner: str, ports: ErasurePorts) -> bool:
    """Erase a file, in every vector store; False when it is gone. Raises Unavailable.

    Its bytes first: while the storage is away, the file stays and is found again.
    """
    files = ports.files
    await files.storage.delete(file_id)
    try:
        stores = await files.store.delete(file_id, owner=owner)
    except NotFound:  # it expired, and is erased by itself
        return False
    await erase_file(file_id, stores, store=files.store, storage=files.storage, detach=files.detach)
    return True
