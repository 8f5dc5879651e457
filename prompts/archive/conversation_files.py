"""The files of a conversation: what was uploaded for it, and whether anything else uses it."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from functools import partial

import msgspec
from django.db import DatabaseError, InterfaceError

from prompts.archive.knowledge_erasing import ErasurePorts
from prompts.archive.named_knowledge import find_named, find_used
from prompts.domain import ids
from prompts.domain.files import File
from prompts.domain.vector_stores import VectorStore, VectorStoreFile
from prompts.errors import NotFound
from prompts.sql_calls import ask_sql

read_store_file = msgspec.json.Decoder(VectorStoreFile).decode

FILES_A_PAGE = 100
# The archive follows within a second, or is behind by far.
COPIED_S = 5.0
LOOK_S = 0.25


@dataclass(slots=True)
class ConversationFiles:
    """What was uploaded for a conversation. What something else uses is `kept`."""

    files: list[File] = field(default_factory=list)
    stores: list[VectorStore] = field(default_factory=list)
    kept_files: list[File] = field(default_factory=list)
    kept_stores: list[VectorStore] = field(default_factory=list)
    is_known: bool = True
    """Whether it could be found out what uses them; else all are kept."""


async def find_conversation_files(
    owner: str, *, timelines: Collection[str], conversations: Collection[str], ports: ErasurePorts
) -> ConversationFiles:
    """Those of these conversations: named by items, or in the vector store that the page made for one of them.

    They are found in the archive, see `is_copied`. Raises Unavailable, DatabaseError, InterfaceError.
    """
    named = await ask_sql(partial(find_named, timelines=timelines, conversations=conversations))
    stores = [store async for store in _read_stores(named.stores, owner, ports)]
    inside = {store.id: [each async for each in _list_files(store.id, owner, ports)] for store in stores}
    named.files.update(*inside.values())
    try:
        find = partial(find_used, named, owner, timelines=timelines, conversations=conversations)
        used, is_known = await ask_sql(find), True
    except (DatabaseError, InterfaceError):
        used, is_known = named, False
    found = ConversationFiles(is_known=is_known)
    for store in stores:
        (found.kept_stores if store.id in used.stores else found.stores).append(store)
    going = {store.id for store in found.stores}
    for file in [each async for each in _read_files(named.files, owner, ports)]:
        is_kept = file.id in used.files or await _is_in_another_store(file.id, going, owner, ports)
        (found.kept_files if is_kept else found.files).append(file)
    return found


async def is_copied(ports: ErasurePorts, owner: str, *, within_s: float) -> bool:
    """Wait until the archive has all that Redis has now of an owner; whether it has. Raises Unavailable."""
    began = looked = await ports.outbox.find_copied(owner)
    while looked.copied_us is not None and looked.copied_us < began.now_us:
        if looked.now_us - began.now_us >= within_s * 1_000_000:
            return False
        await asyncio.sleep(LOOK_S)
        looked = await ports.outbox.find_copied(owner)
    return looked.copied_us is not None


async def _read_stores(named: Collection[str], owner: str, ports: ErasurePorts) -> AsyncIterator[VectorStore]:
    for store_id in sorted(named):
        try:
            yield await ports.vector_stores.get(store_id, owner=owner)
        except NotFound:
            continue


async def _list_files(store_id: str, owner: str, ports: ErasurePorts) -> AsyncIterator[str]:
    after: str | None = None
    is_more = True
    while is_more:
        page = await ports.vector_stores.list_files(
            store_id, owner=owner, status=None, limit=FILES_A_PAGE, order="asc", after=after, before=None
        )
        for shown in page.data:
            yield read_store_file(shown).id
        after, is_more = page.last_id, page.has_more


async def _read_files(named: Collection[str], owner: str, ports: ErasurePorts) -> AsyncIterator[File]:
    for file_id in sorted(named):
        if not ids.is_well_formed(file_id, ids.FILE):
            continue
        try:
            yield await ports.files.store.get(file_id, owner=owner)
        except NotFound:
            continue


async def _is_in_another_store(file_id: str, going: Collection[str], owner: str, ports: ErasurePorts) -> bool:
    for store_id in await ports.files.store.list_stores(file_id):
        if store_id in going:
            continue
        try:
            store = await ports.vector_stores.get(store_id, owner=owner)
        except NotFound:
            continue
        if store.status != "expired":
            return True
    return False
