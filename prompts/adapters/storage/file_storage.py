"""Files in a storage of Django's: a folder, or a bucket of anything that speaks S3.

An upload is written to a temporary file first, and given to the storage whole: a folder renames it, S3 is sent it in
parts. So the storage never has half a file, and a process never has a whole one in memory. All of it runs in threads of
its own, a few at once: a slow disk keeps other uploads waiting, and nothing else.
"""

import asyncio
import os
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar

import structlog
from django.core.files import File
from django.core.files.storage import Storage

from prompts.domain import ids
from prompts.errors import Overloaded, Unavailable, unknown_file

log = structlog.get_logger(__name__)

Value = TypeVar("Value")

# Calls of the storage at once, of a process. Most take a millisecond; S3 may take seconds.
MAX_THREADS = 8
# What goes through a thread at once: large beside what a hop costs, small beside what many uploads may take.
PIECE_BYTES = 256 * 1024
# Temporary files of processes that were killed: older than any upload may take (`FileStore.expect`).
LEFT_BEHIND_S = 3 * 3600


class _Spooled(File):  # type: ignore[type-arg]  # generic for the type checker alone
    """A file that a storage may rename into its place."""

    def temporary_file_path(self) -> str:
        """Where it is."""
        return str(self.name)


class DjangoFileStorage:
    """`FileStorage` on a storage of Django's."""

    def __init__(
        self,
        storage: Storage,
        *,
        spool: Path,
        max_spooled_bytes: int,
        failures: tuple[type[Exception], ...] = (OSError,),
    ) -> None:
        """`spool` is for temporary files, on the file system of a folder, so many bytes at once; `failures` is what the
        storage may raise.
        """
        self._storage = storage
        self._free_bytes = max_spooled_bytes
        self._share_bytes = max_spooled_bytes * 3 // 4
        self._held_bytes: Counter[str] = Counter()
        """Of the room for uploads, by the partition of their files, which is their owner's."""
        self._spool = spool
        self._failures = failures
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="files")

    def close(self) -> None:
        """No more calls; those that have begun, and what is to be closed and removed, come to their end."""
        self._threads.shutdown(wait=False)

    async def write(self, file_id: str, content: AsyncIterator[bytes]) -> int:
        """See `FileStorage.write`."""
        spooled = await self._run(self._open_spool)
        partition, size = ids.get_partition(file_id), 0
        try:
            async for piece in _gather(content):
                self._take(len(piece), partition, size)
                size += len(piece)
                await self._run(spooled.write, piece)
            await self._run(self._save, file_id, spooled)
        finally:
            # Not awaited: also when this is cancelled, and behind what a thread may still be writing.
            self._call_later(_discard, spooled)
            self._free_bytes += size
            self._held_bytes[partition] -= size
        return size

    async def read(self, file_id: str) -> AsyncIterator[bytes]:
        """See `FileStorage.read`."""
        try:
            opened = await self._run(self._storage.open, _name(file_id), "rb")
            try:
                while piece := await self._run(opened.read, PIECE_BYTES):
                    yield piece
            finally:
                self._call_later(opened.close)
        except FileNotFoundError as exc:
            raise unknown_file(file_id) from exc

    async def delete(self, file_id: str) -> None:
        """See `FileStorage.delete`."""
        await self._run(self._storage.delete, _name(file_id))

    async def tidy(self) -> None:
        """Remove what killed processes have left in the spool."""
        await self._run(self._remove_left_behind)

    async def _run(self, call: Callable[..., Value], *args: Any) -> Value:
        with self._translated_errors():
            return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)

    def _take(self, size: int, partition: str, taken: int) -> None:
        """Room for some more of an upload that has `taken` so much; a quarter is kept from one owner's others."""
        is_share_taken = self._held_bytes[partition] - taken >= self._share_bytes
        if size > self._free_bytes or is_share_taken:
            raise Overloaded("This replica takes as many uploads as it may. Send the file again.")
        self._free_bytes -= size
        self._held_bytes[partition] += size

    def _call_later(self, call: Callable[..., None], *args: Any) -> None:
        try:
            self._threads.submit(call, *args)
        except RuntimeError:  # the storage is closed already
            call(*args)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Raise what the storage raises as ours; what it says reaches the logs only."""
        try:
            yield
        except FileNotFoundError:
            raise
        except self._failures as exc:
            log.warning("storage_failed", error=f"{type(exc).__name__}: {exc}"[:500])
            raise Unavailable("The storage of files cannot be used right now. Try again in a moment.") from exc

    def _open_spool(self) -> IO[bytes]:
        for folder in (self._spool.parent, self._spool):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Named, because a folder renames it into its place; 0600. `_discard` closes it.
        return tempfile.NamedTemporaryFile(dir=self._spool, delete=False)

    def _save(self, file_id: str, spooled: IO[bytes]) -> None:
        spooled.flush()
        os.fsync(spooled.fileno())
        with Path(spooled.name).open("rb") as whole:
            saved = self._storage.save(_name(file_id), _Spooled(whole, name=spooled.name))
        if saved != _name(file_id):
            self._storage.delete(saved)
            raise OSError(f"{file_id} is there already")

    def _remove_left_behind(self) -> None:
        before = time.time() - LEFT_BEHIND_S
        for path in self._spool.iterdir() if self._spool.is_dir() else ():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()


async def _gather(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same in pieces that are worth a hop to a thread."""
    pieces: list[bytes] = []
    size = 0
    async for piece in content:
        pieces.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    if pieces:
        yield b"".join(pieces)


def _discard(spooled: IO[bytes]) -> None:
    spooled.close()
    Path(spooled.name).unlink(missing_ok=True)  # where the storage has not renamed it


def _name(file_id: str) -> str:
    """Fanned out by the last digits, which are random: a folder of a million entries is slow everywhere."""
    return f"{file_id[-2:]}/{file_id}"
