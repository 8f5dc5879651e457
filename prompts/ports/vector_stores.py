"""Vector stores: what they hold, and the work of filling them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from prompts.domain.conversations import Metadata
from prompts.domain.passages import Attributes
from prompts.domain.vector_stores import (
    Chunking,
    ExpiresAfter,
    FileBatch,
    IndexingError,
    IndexingStatus,
    VectorStore,
    VectorStoreFile,
)
from prompts.ports.pages import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A file as it is put into a vector store."""

    file_id: str
    filename: str
    attributes: Attributes
    chunking: Chunking


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexing:
    """The work on one file of a vector store, by whoever holds its lease; `epoch` tells who does."""

    vector_store_id: str
    file: NewFile
    owner: str
    epoch: int


class VectorStores(Protocol):
    """The vector stores of all owners. An expired one can be read and deleted, and no search finds it."""

    async def create(self, store: VectorStore, *, owner: str) -> None:
        """Raises QuotaExceeded, Unavailable; the same again changes nothing."""

    async def get(self, store_id: str, *, owner: str) -> VectorStore:
        """As it stands: its counts are those of its files. Raises NotFound, Unavailable."""

    async def list_stores(
        self, *, owner: str, limit: int, order: Literal["asc", "desc"], after: str | None, before: str | None
    ) -> Page:
        """One page of the owner's. Raises NotFound (the cursor), Unavailable."""

    async def update(
        self,
        store_id: str,
        *,
        owner: str,
        name: str | None = None,
        metadata: Metadata | None = None,
        expires_after: ExpiresAfter | None = None,
    ) -> VectorStore:
        """Change what is given. Raises NotFound, Unavailable."""

    async def delete(self, store_id: str, *, owner: str) -> None:
        """It does not exist from now on; what it holds is due for erasure. Raises NotFound, Unavailable."""

    async def attach(
        self, store_id: str, files: Sequence[NewFile], *, owner: str, batch: FileBatch | None = None
    ) -> Sequence[VectorStoreFile]:
        """Put files in, to be indexed; one that is there already with the same attributes stays as it is.

        Raises NotFound, QuotaExceeded, Unavailable.
        """

    async def get_file(self, store_id: str, file_id: str, *, owner: str) -> VectorStoreFile:
        """Raises NotFound, Unavailable."""

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
        """One page of the files of a vector store, or of a batch. Raises NotFound, Unavailable."""

    async def set_attributes(
        self, store_id: str, file_id: str, attributes: Attributes, *, owner: str
    ) -> VectorStoreFile:
        """Raises NotFound, Unavailable."""

    async def detach(self, store_id: str, file_id: str, *, owner: str | None) -> None:
        """The file is not in it from now on; its passages are due for erasure. `owner` None: the file itself is gone.

        Raises NotFound where there is an owner, Unavailable.
        """

    async def get_batch(self, store_id: str, batch_id: str, *, owner: str) -> FileBatch:
        """Raises NotFound, Unavailable."""

    async def cancel_batch(self, store_id: str, batch_id: str, *, owner: str) -> FileBatch:
        """Of its files, those that are not indexed yet will not be. Raises NotFound, Unavailable."""

    async def use(self, store_ids: Sequence[str], *, owner: str) -> None:
        """Note that they are searched now. Raises NotFound (unknown, another's, deleted or expired), Unavailable."""

    async def find_live(self, store_id: str, file_ids: Collection[str]) -> dict[str, Attributes]:
        """Of these files, those that are in the vector store now and are indexed, with their attributes."""

    # --- the work of filling them; several replicas share it ---

    async def seize_indexing(self, partition: str, *, lease_s: float) -> Indexing | None:
        """The next file that waits, or whose holder was lost, for this replica alone; None when there is none.

        After three holders were lost with it, the file is `failed`.
        """

    async def renew_indexing(self, indexing: Indexing, *, lease_s: float) -> None:
        """Raises StaleRun when it is another's, cancelled or deleted; Unavailable."""

    async def end_indexing(self, indexing: Indexing, *, usage_bytes: int, error: IndexingError | None = None) -> None:
        """It is `completed`, or with an error `failed`. Raises StaleRun, Unavailable."""

    async def list_due(self, partition: str) -> Sequence[tuple[str, str | None]]:
        """Some vector stores (without a file), and files of one, whose passages are to be erased from the index."""

    async def forget(self, store_id: str, file_id: str | None) -> None:
        """They are erased. Raises Unavailable."""
