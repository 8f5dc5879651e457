"""Vector stores: what they hold, and the work of filling them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from msgspec import UNSET, UnsetType

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
    epoch: str
    task: Literal["index", "attributes"] = "index"
    """Its text, or only its attributes, which have changed since it was indexed."""
    tries: int = 0
    """How often it was put off, because something was away."""


@dataclass(frozen=True, slots=True)
class Due:
    """Passages that are to be erased from the index: a vector store's, or those of one file in it."""

    vector_store_id: str
    file_id: str | None = None


class VectorStores(Protocol):
    """The vector stores of all owners. An expired one can be read and deleted, and nothing else."""

    async def create(self, store: VectorStore, *, owner: str) -> None:
        """Raises Unavailable; the same again changes nothing. Its times are those of the store, not of `store`."""

    async def get(self, store_id: str, *, owner: str) -> VectorStore:
        """As it stands: its counts are those of its files. Raises NotFound, Unavailable."""

    async def list_stores(
        self, *, owner: str, limit: int, order: Literal["asc", "desc"], after: str | None, before: str | None
    ) -> Page:
        """One page of the owner's, by their age. Raises NotFound (the cursor), Unavailable."""

    async def update(
        self,
        store_id: str,
        *,
        owner: str,
        name: str | UnsetType | None = UNSET,
        metadata: Metadata | UnsetType = UNSET,
        expires_after: ExpiresAfter | UnsetType | None = UNSET,
    ) -> VectorStore:
        """Change what is given; None takes it away. Raises NotFound (expired as well), Unavailable."""

    async def delete(self, store_id: str, *, owner: str) -> None:
        """It does not exist from now on; what it holds is due for erasure. Raises NotFound, Unavailable."""

    async def attach(self, store_id: str, files: Sequence[NewFile], *, owner: str, batch_id: str | None = None) -> None:
        """Put files in, to be indexed; one that is there already with the same attributes and chunking stays as it is.

        So it does not where another index has it: after a change of the index, the same call puts it into the new one.
        With the id of a batch, they are a batch from now on; the files of a long list follow one another. Raises
        NotFound (expired as well), InvalidRequest (a file that waits in too many batches), Unavailable.
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
        """One page of the files of a vector store, or of a batch, by when they were put in.

        Raises NotFound (the cursor as well), Unavailable.
        """

    async def set_attributes(
        self, store_id: str, file_id: str, attributes: Attributes, *, owner: str, lease_s: float
    ) -> Indexing | None:
        """Change what is known of a file; the work of telling the index, unless somebody has that work already.

        Raises NotFound (expired as well), Unavailable.
        """

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
        """Of these files, those that are in the vector store now and are indexed, with their attributes.

        None of a vector store that is deleted or expired. Raises Unavailable.
        """

    # --- the work of filling them; several replicas share it ---

    async def list_waiting(self) -> Sequence[str]:
        """The partitions with files that wait, or whose holder was lost. Raises Unavailable."""

    async def seize_indexing(self, partition: str, *, lease_s: float) -> Indexing | None:
        """The next file that waits, or whose holder was lost, for this replica alone; None when there is none.

        Vector stores take turns. After three holders were lost with it, the file is `failed`. Raises Unavailable.
        """

    async def renew_indexing(self, indexing: Indexing, *, lease_s: float) -> None:
        """Raises StaleRun when it is another's, cancelled or deleted; Unavailable."""

    async def end_indexing(
        self, indexing: Indexing, *, usage_bytes: int = 0, error: IndexingError | None = None
    ) -> None:
        """It is `completed`, or with an error `failed`; then what is of it in the index is due for erasure.

        Attributes that have changed meanwhile wait to be told to the index. Raises StaleRun, Unavailable.
        """

    async def put_off_indexing(self, indexing: Indexing, *, delay_s: float, is_try: bool) -> None:
        """Let go of it: anybody may seize it after `delay_s`. Raises StaleRun, Unavailable."""

    async def abandon_indexing(self, indexing: Indexing) -> None:
        """What a stale holder may have put is due for erasure, where the file is not in it. Raises Unavailable."""

    async def list_due(self) -> Sequence[Due]:
        """Some that are to be erased now; for a minute nobody else is given them. Raises Unavailable."""

    async def list_left(self, store_id: str) -> Sequence[str]:
        """Some files that a deleted vector store has left; empty for one that is not deleted. Raises Unavailable."""

    async def forget(self, due: Due) -> bool:
        """They are erased. Raises Unavailable.

        Of a deleted store, whether more of it is left: what `list_left` gave is gone. Of a file, whether it has been
        put in again meanwhile.
        """
