"""Erases from the search index what vector stores hold no more; any number of replicas do so."""

import asyncio

import structlog

from prompts.errors import ServiceError, Unavailable
from prompts.ports.files import FileStore
from prompts.ports.passage_index import PassageIndex
from prompts.ports.vector_stores import Due, VectorStores
from prompts.run.chores import stop_if_cancelled, wait_for_work

log = structlog.get_logger(__name__)

# No search shows what is due: it only takes room.
LOOK_S = 2.0
# Half of what one replica is given for it (`VectorStores.list_due`).
ERASE_S = 30.0


class Unindexer:
    """The erasing of one process."""

    def __init__(self, *, stores: VectorStores, files: FileStore, index: PassageIndex) -> None:
        self._stores = stores
        self._files = files
        self._index = index
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something may be due now."""
        self._woken.set()

    async def keep_erased(self) -> None:
        """Erase what is due, until cancelled, also after failures."""
        while True:
            stop_if_cancelled()
            try:
                await self.erase_due()
            except ServiceError as error:
                log.warning("passages_not_erased", code=error.code)
            await wait_for_work(self._woken, look_s=LOOK_S)

    async def erase_due(self) -> None:
        """Erase all that is due now. What fails is due again in a minute. Raises Unavailable."""
        while due := await self._stores.list_due():
            for each in due:
                try:
                    async with asyncio.timeout(ERASE_S):
                        await self._erase(each)
                except Unavailable:
                    raise
                except Exception:
                    log.exception("passages_not_erased", vector_store_id=each.vector_store_id, file_id=each.file_id)

    async def _erase(self, due: Due) -> None:
        if due.file_id is not None:
            await self._index.remove_file(due.vector_store_id, due.file_id)
            await self._stores.forget(due)
            return
        await self._index.remove_store(due.vector_store_id)
        is_more = True
        while is_more:
            for file_id in await self._stores.list_left(due.vector_store_id):
                await self._files.detach(file_id, due.vector_store_id)
            is_more = await self._stores.forget(due)
