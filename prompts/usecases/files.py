"""Use cases on uploaded files."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Protocol

from msgspec import UNSET

from prompts.domain import ids
from prompts.domain.files import File, Purpose
from prompts.errors import BodyTooSlow, InvalidRequest, NotFound, QuotaExceeded, ServiceError, Unavailable, unknown_file
from prompts.ports.files import FileStorage, FileStore
from prompts.ports.pages import Page
from prompts.ports.text_extractor import TextExtractor
from prompts.run.erasing_files import Detach, erase_file
from prompts.usecases.public_ids import check_file_id

# Of 64 MB at the pace of a slow telephone; `FileStore.expect` waits longer.
MAX_UPLOAD_S = 3_600.0
# A deletion waits so long for the erasure; what takes longer goes on behind it.
ERASE_S = 5.0


@dataclass(frozen=True, slots=True)
class FilePorts:
    """What files are served with. `detach` takes a file out of a vector store."""

    store: FileStore
    storage: FileStorage
    extractor: TextExtractor
    detach: Detach
    max_file_bytes: int


@dataclass(frozen=True, slots=True)
class FileToKeep:
    """What is said of an uploaded file."""

    filename: str
    purpose: Purpose
    expires_after_s: int | None


class Uploading(Protocol):
    """An upload as it comes. Both raise InvalidRequest for what is wrong with it."""

    def content(self) -> AsyncIterator[bytes]:
        """The file's bytes; to be read to the end, where everything is checked."""

    def describe(self) -> FileToKeep:
        """What is known when its content was read."""


async def upload_file(upload: Uploading, *, owner: str, ports: FilePorts) -> File:
    """Keep a file. An upload that breaks off leaves nothing.

    Raises InvalidRequest, BodyTooLarge, BodyTooSlow, QuotaExceeded, Unavailable.
    """
    file_id = ids.new_id(ids.FILE, ids.find_partition(owner))
    await ports.store.expect(file_id, owner=owner)
    try:
        async with asyncio.timeout(MAX_UPLOAD_S):
            size = await ports.storage.write(file_id, upload.content())
    except InvalidRequest:
        with suppress(ServiceError):
            await ports.store.forget(file_id)
        raise
    except TimeoutError:
        raise BodyTooSlow("The file came too slowly. Send it again.", retry_after_s=1) from None
    file = _compose(file_id, size, upload.describe())
    try:
        await ports.store.add(file, owner=owner)
    except QuotaExceeded:
        await erase_file(file_id, [], store=ports.store, storage=ports.storage, detach=ports.detach)
        raise
    return file


async def get_file(file_id: str, *, owner: str, ports: FilePorts) -> File:
    """What is known of the file. Raises NotFound, Unavailable."""
    check_file_id(file_id)
    return await ports.store.get(file_id, owner=owner)


async def open_content(file_id: str, *, owner: str, ports: FilePorts) -> tuple[File, AsyncIterator[bytes]]:
    """The file and its bytes; the first ones are read already. Raises NotFound, Unavailable."""
    file = await get_file(file_id, owner=owner, ports=ports)
    pieces = ports.storage.read(file_id)
    first = await anext(pieces, b"")
    return file, _prepend(first, pieces)


async def list_files(
    *,
    owner: str,
    purpose: Purpose | None,
    limit: int,
    order: Literal["asc", "desc"],
    after: str | None,
    ports: FilePorts,
) -> Page:
    """One page of the owner's files. Raises NotFound, Unavailable."""
    if after is not None:
        check_file_id(after, param="after")
    try:
        return await ports.store.list_files(owner=owner, purpose=purpose, limit=limit, order=order, after=after)
    except NotFound:
        raise unknown_file(after or "", param="after") from None


async def delete_file(file_id: str, *, owner: str, ports: FilePorts) -> None:
    """Show the file no more, and erase it; what cannot be erased now is erased later. Raises NotFound, Unavailable."""
    check_file_id(file_id)
    stores = await ports.store.delete(file_id, owner=owner)
    with suppress(Unavailable, TimeoutError):
        async with asyncio.timeout(ERASE_S):
            await erase_file(file_id, stores, store=ports.store, storage=ports.storage, detach=ports.detach)


def _compose(file_id: str, size: int, said: FileToKeep) -> File:
    created_at = int(time.time())
    return File(
        id=file_id,
        bytes=size,
        created_at=created_at,
        expires_at=UNSET if said.expires_after_s is None else created_at + said.expires_after_s,
        filename=said.filename,
        purpose=said.purpose,
    )


async def _prepend(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
