"""Puts the files of vector stores into the search index, in the background; any number of replicas do so.

A replica holds a file with a lease, as it holds a response that it writes: when it is killed, another one begins the
file anew. A file that is not wanted any more it lets go within a third of the lease.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from prompts.domain.vector_stores import IndexingError
from prompts.errors import (
    InternalError,
    InvalidPrompt,
    NotFound,
    PromptTooLong,
    ServiceError,
    StaleRun,
    Unavailable,
)
from prompts.knowledge.chunking import cut
from prompts.ports.files import FileStorage, FileStore
from prompts.ports.observer import UNOBSERVED, IndexingStopped, Observer
from prompts.ports.passage_index import Indexed, PassageIndex
from prompts.ports.text_extractor import TextExtractor, UnreadableFile
from prompts.ports.vector_stores import Indexing, VectorStores
from prompts.run.chores import cancel_until_done, stop_if_cancelled, wait_for_work
from prompts.run.run import RENEWALS_A_LEASE

log = structlog.get_logger(__name__)

# Of a process: reading documents takes processor time that answers need.
AT_ONCE = 2
# A look is a round trip for all partitions. This process is woken by its own requests.
LOOK_S = 2.0
# Between two tries while something is away, twice as long each time: seven minutes in all.
FIRST_DELAY_S, MAX_DELAY_S = 1.0, 60.0
MAX_TRIES = 12
# How long a leaving process tries to let go of a file.
LET_GO_S = 2.0
CANCEL_AGAIN_S = 0.5

BROKEN = IndexingError("server_error", "The server could not index this file. Attach it again, or tell its operator.")
GONE = IndexingError("invalid_file", "The content of this file is not there any more. Upload it again.")
TOO_LONG = IndexingError(
    "invalid_file",
    "A passage of this file is too long for this server's embedding model. Attach the file again with smaller "
    "passages: a 'chunking_strategy' of type 'static'.",
)
REFUSED = IndexingError(
    "invalid_file", "This server's embedding model refuses the text of this file. Upload it in another form."
)
EMPTY = IndexingError("invalid_file", "No text was found in this file. Upload one with text, not with pictures of it.")


@dataclass(frozen=True, slots=True)
class IndexingPorts:
    """What the work uses."""

    stores: VectorStores
    files: FileStore
    storage: FileStorage
    extractor: TextExtractor
    index: PassageIndex


@dataclass(frozen=True, slots=True)
class _Ended:
    """How the work on a file ended."""

    usage_bytes: int = 0
    error: IndexingError | None = None


class Indexer:
    """The indexing of one process."""

    def __init__(self, ports: IndexingPorts, *, lease_s: float, observer: Observer = UNOBSERVED) -> None:
        """`lease_s` is how long a file waits for a replica that says nothing."""
        self._ports = ports
        self._lease_s = lease_s
        self._observer = observer
        self._woken = asyncio.Event()
        self._is_draining = False
        self._telling = asyncio.Semaphore(AT_ONCE)
        """Places for those who wait for their work to be done."""

    def wake(self) -> None:
        """There may be work now."""
        self._woken.set()

    def start_draining(self) -> None:
        """Begin nothing more. What is held goes on until `keep_indexing` is cancelled."""
        self._is_draining = True

    async def keep_indexing(self) -> None:
        """Index what waits, some files at once, until cancelled: then what is held is released."""
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._keep_working())

    async def tell_attributes(self, indexing: Indexing) -> None:
        """Do this work at once; what cannot be done now is done later. Raises nothing.

        Of a large file it takes minutes, and the index serves searches meanwhile: so few are done at once.
        """
        try:
            async with asyncio.timeout(self._lease_s / RENEWALS_A_LEASE):
                await self._telling.acquire()
        except TimeoutError:
            with suppress(StaleRun, Unavailable):  # without it the lease runs out
                await self._ports.stores.put_off_indexing(indexing, delay_s=0, is_try=False)
            return
        try:
            await self._work(indexing)
        finally:
            self._telling.release()

    async def _keep_working(self) -> None:
        while True:
            try:
                indexing = await self._seize()
            except Unavailable:
                indexing = None  # readiness reports it
            if indexing is not None:
                await self._work(indexing)
            stop_if_cancelled()
            if indexing is None:
                await wait_for_work(self._woken, look_s=LOOK_S)

    async def _seize(self) -> Indexing | None:
        if self._is_draining:
            return None
        stores = self._ports.stores
        partitions = list(await stores.list_waiting())
        random.shuffle(partitions)  # replicas do not all begin with the same one
        for partition in partitions:
            indexing = await stores.seize_indexing(partition, lease_s=self._lease_s)
            if indexing is not None:
                return indexing
        return None

    async def _work(self, indexing: Indexing) -> None:
        """Bring the work to its end, or let go of it."""
        try:
            stop_if_cancelled()
            await self._bring_to_end(indexing)
        except StaleRun:
            self._observer.notice(IndexingStopped("stale"))
            # Another replica has it, or nobody is to have it: then what was put meanwhile must go.
            with suppress(Unavailable):
                await self._ports.stores.abandon_indexing(indexing)
        except Unavailable:
            log.warning("indexing_left", file_id=indexing.file.file_id)  # the lease runs out, and somebody goes on
        except asyncio.CancelledError:
            with suppress(StaleRun, Unavailable, TimeoutError):
                async with asyncio.timeout(LET_GO_S):
                    await self._ports.stores.put_off_indexing(indexing, delay_s=0, is_try=False)
            raise

    async def _bring_to_end(self, indexing: Indexing) -> None:
        """Raises StaleRun, Unavailable (of the vector stores)."""
        do = index_file if indexing.task == "index" else tell_attributes
        try:
            ended = await self._hold(indexing, do(indexing, self._ports))
        except StaleRun:
            raise
        except ServiceError as error:
            await self._put_off(indexing, error)
            return
        except Exception as error:
            log.exception("file_not_indexed", file_id=indexing.file.file_id)
            if indexing.task == "attributes":  # what is indexed stays found
                await self._put_off(indexing, InternalError(type(error).__name__))
                return
            ended = _Ended(error=BROKEN)
        await self._tell(
            lambda: self._ports.stores.end_indexing(indexing, usage_bytes=ended.usage_bytes, error=ended.error)
        )
        self._observer.notice(IndexingStopped("failed" if ended.error else "completed"))

    async def _put_off(self, indexing: Indexing, error: ServiceError) -> None:
        """Try again later, or give up."""
        stores = self._ports.stores
        if indexing.tries >= MAX_TRIES and indexing.task == "index":
            log.warning("file_not_indexed", file_id=indexing.file.file_id, code=error.code)
            failure = IndexingError("server_error", f"{error.message} It was tried for minutes: attach the file again.")
            await self._tell(lambda: stores.end_indexing(indexing, error=failure))
            self._observer.notice(IndexingStopped("failed"))
            return
        delay_s = min(FIRST_DELAY_S * 2 ** min(indexing.tries, 10), MAX_DELAY_S)
        log.info("indexing_put_off", file_id=indexing.file.file_id, code=error.code, delay_s=delay_s)
        await self._tell(lambda: stores.put_off_indexing(indexing, delay_s=delay_s, is_try=True))
        self._observer.notice(IndexingStopped("put_off"))

    async def _tell(self, tell: Callable[[], Awaitable[None]]) -> None:
        """Write how it went, again and again until the lease may be lost. Raises StaleRun, Unavailable."""
        deadline = time.monotonic() + self._lease_s
        while True:
            try:
                return await tell()
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(self._lease_s / RENEWALS_A_LEASE / 2)

    async def _hold(self, indexing: Indexing, work: Coroutine[Any, Any, _Ended]) -> _Ended:
        """Do the work under the lease; it has stopped when this returns. Raises StaleRun, and what the work does."""
        task = asyncio.create_task(work)
        try:
            held_until = time.monotonic() + self._lease_s
            while not task.done():
                await asyncio.wait({task}, timeout=self._lease_s / RENEWALS_A_LEASE)
                begun = time.monotonic()
                if not task.done() and await self._is_renewed(indexing):
                    held_until = begun + self._lease_s
                elif not task.done() and time.monotonic() >= held_until:
                    raise StaleRun
            return task.result()
        finally:
            await cancel_until_done(task, again_s=CANCEL_AGAIN_S)
            _ = task.cancelled() or task.exception()  # asyncio warns about what nobody has looked at

    async def _is_renewed(self, indexing: Indexing) -> bool:
        """Raises StaleRun."""
        try:
            await self._ports.stores.renew_indexing(indexing, lease_s=self._lease_s)
        except Unavailable:
            return False
        stop_if_cancelled()
        return True


async def index_file(indexing: Indexing, ports: IndexingPorts) -> _Ended:
    """Read a file's text and put its passages into the index.

    Raises StaleRun when the file is gone, Unavailable.
    """
    file = indexing.file
    try:
        await ports.files.get(file.file_id, owner=indexing.owner)
    except NotFound:
        # It was deleted while it was attached.
        await ports.stores.detach(indexing.vector_store_id, file.file_id, owner=None)
        raise StaleRun from None
    try:
        blocks = await ports.extractor.extract(ports.storage.read(file.file_id), filename=file.filename)
    except UnreadableFile as error:
        return _Ended(error=IndexingError(error.code, error.message))
    except NotFound:
        return _Ended(error=GONE)
    stretches = await asyncio.to_thread(cut, blocks, file.chunking)  # of a long document: tenths of a second
    if not stretches:
        return _Ended(error=EMPTY)
    indexed = Indexed(file_id=file.file_id, filename=file.filename, attributes=file.attributes, stretches=stretches)
    try:
        await ports.index.put(indexing.vector_store_id, indexed)
    except InvalidPrompt as error:
        return _Ended(error=TOO_LONG if isinstance(error, PromptTooLong) else REFUSED)
    return _Ended(usage_bytes=sum(len(stretch.text.encode("utf-8", "surrogatepass")) for stretch in stretches))


async def tell_attributes(indexing: Indexing, ports: IndexingPorts) -> _Ended:
    """Tell the index what is known of a file now. Raises Unavailable."""
    await ports.index.set_attributes(indexing.vector_store_id, indexing.file.file_id, indexing.file.attributes)
    return _Ended()
