"""Erases files that are due: deleted, expired, or left by an upload that broke off; any number of replicas may."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

import structlog

from prompts.errors import ServiceError
from prompts.ports.files import FileStorage, FileStore
from prompts.run.chores import jitter

log = structlog.get_logger(__name__)

# One look is a round trip for all partitions; nobody waits for what it finds.
SWEEP_S = 5.0
# Between two looks for what killed processes have left on the disk.
TIDY_S = 3_600.0

Detach: TypeAlias = Callable[[str, str], Awaitable[None]]
"""Takes a file out of a vector store: its id, then the file's. The same again changes nothing. Raises Unavailable."""


class Tidied(Protocol):
    """A storage that may have things left behind."""

    async def tidy(self) -> None:
        """Remove them. Raises Unavailable."""


async def keep_files_erased(*, store: FileStore, storage: FileStorage, detach: Detach) -> None:
    """Erase what is due every few seconds, until cancelled, also after failures."""
    while True:
        try:
            await erase_due_files(store=store, storage=storage, detach=detach)
        except ServiceError as error:
            log.warning("files_not_erased", code=error.code)
        await asyncio.sleep(jitter(SWEEP_S))


async def keep_tidied(storage: Tidied) -> None:
    """Remove what was left behind, at once and then every hour, until cancelled."""
    while True:
        try:
            await storage.tidy()
        except ServiceError as error:
            log.warning("storage_not_tidied", code=error.code)
        await asyncio.sleep(TIDY_S)


async def erase_due_files(*, store: FileStore, storage: FileStorage, detach: Detach) -> int:
    """Erase all that is due, and say how many files that were; one that fails is due again. Raises Unavailable."""
    erased = 0
    while due := await store.list_due():
        for file_id, stores in due:
            try:
                await erase_file(file_id, stores, store=store, storage=storage, detach=detach)
                erased += 1
            except Exception as error:
                if not isinstance(error, ServiceError):
                    log.exception("file_not_erased", file_id=file_id)
                else:
                    log.warning("file_not_erased", file_id=file_id, code=error.code)
    return erased


async def erase_file(
    file_id: str, stores: Sequence[str], *, store: FileStore, storage: FileStorage, detach: Detach
) -> None:
    """Erase a file that is shown no more. Raises Unavailable.

    First no vector store finds it: a storage may be away, and take long to say so. Then its bytes go.
    """
    for vector_store_id in stores:
        await detach(vector_store_id, file_id)
        await store.detach(file_id, vector_store_id)
    await storage.delete(file_id)
    await store.forget(file_id)
