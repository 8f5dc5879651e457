"""Uploaded files: what is known of them, and their bytes."""

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

from prompts.domain.files import File, Purpose
from prompts.ports.pages import Page


class FileStore(Protocol):
    """What is known of all files. A file is in it once its bytes are in the storage.

    An owner's files are of one partition, `ids.find_partition(owner)`: so one script counts, lists and adds them.
    """

    async def expect(self, file_id: str, *, owner: str) -> None:
        """Note that the file's bytes are about to be written: they are due to be erased if `add` does not come in time.

        Raises QuotaExceeded (the owner keeps as many bytes as they may already), Unavailable.
        """

    async def add(self, file: File, *, owner: str) -> None:
        """Show the file from now on; the same again changes nothing.

        Raises QuotaExceeded (with it the owner would keep too many bytes), Unavailable (also when it comes too late).
        """

    async def get(self, file_id: str, *, owner: str) -> File:
        """Raises NotFound (unknown, deleted, expired, or another owner's), Unavailable."""

    async def list_files(
        self, *, owner: str, purpose: Purpose | None, limit: int, order: Literal["asc", "desc"], after: str | None
    ) -> Page:
        """One page of the owner's files, by their age. Raises NotFound (the file `after`), Unavailable."""

    async def attach(self, file_id: str, vector_store_id: str, *, owner: str) -> File:
        """Note that a vector store has this file; the same again changes nothing. Raises NotFound, Unavailable."""

    async def detach(self, file_id: str, vector_store_id: str) -> None:
        """Forget that; the same again changes nothing. Raises Unavailable."""

    async def list_stores(self, file_id: str) -> Sequence[str]:
        """The vector stores that have the file; some of them may be deleted. Raises Unavailable."""

    async def delete(self, file_id: str, *, owner: str) -> Sequence[str]:
        """Show the file no more, and give the vector stores that have it. Raises NotFound, Unavailable.

        The file's bytes and its passages are due from now on: `list_due` names the file until `forget`.
        """

    async def list_due(self) -> Sequence[tuple[str, Sequence[str]]]:
        """Some files that are due to be erased, each with its vector stores: deleted, expired, or never added.

        Whoever is told of one has half a minute for it; then others are told as well. Raises Unavailable.
        """

    async def forget(self, file_id: str) -> None:
        """Nothing of the file is left anywhere; one that is shown stays. Raises Unavailable."""


class FileStorage(Protocol):
    """The bytes of files, under their ids. Calls may use threads: no turn without a file waits for them."""

    async def write(self, file_id: str, content: AsyncIterator[bytes]) -> int:
        """Keep what comes, and give its size. What raises in between leaves nothing. Raises Unavailable."""

    def read(self, file_id: str) -> AsyncIterator[bytes]:
        """The bytes in pieces. Raises NotFound, Unavailable."""

    async def delete(self, file_id: str) -> None:
        """Keep them no more; the same again changes nothing. Raises Unavailable."""
