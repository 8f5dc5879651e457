"""Vector stores: collections of files that can be searched (OpenAI's Vector stores)."""

from typing import Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from prompts.domain.conversations import Metadata
from prompts.domain.passages import Attributes

IndexingStatus: TypeAlias = Literal["in_progress", "completed", "cancelled", "failed"]


class FileCounts(Struct, frozen=True):
    """How many files of a vector store, or of a batch, stand where."""

    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    total: int = 0


class ExpiresAfter(Struct, frozen=True):
    """How many days after its last use a vector store goes, 1 to 365."""

    days: int
    anchor: Literal["last_active_at"] = "last_active_at"


class VectorStore(Struct, frozen=True, kw_only=True):
    """One vector store, as it is shown. Times are Unix seconds; `usage_bytes` is the text that is indexed."""

    id: str
    object: Literal["vector_store"] = "vector_store"
    created_at: int
    name: str | None
    description: str | UnsetType = UNSET
    usage_bytes: int = 0
    file_counts: FileCounts = FileCounts()
    status: Literal["expired", "in_progress", "completed"]
    expires_after: ExpiresAfter | None = None
    expires_at: int | None = None
    last_active_at: int | None = None
    metadata: Metadata = {}


class StaticSizes(Struct, frozen=True):
    """How long passages are, and by how much neighbours overlap, in tokens (estimates)."""

    max_chunk_size_tokens: int
    chunk_overlap_tokens: int


class StaticChunking(Struct, frozen=True, tag_field="type", tag="static"):
    """Passages of one size."""

    static: StaticSizes


class AutoChunking(Struct, frozen=True, tag_field="type", tag="auto"):
    """Passages that follow headings and paragraphs."""


Chunking: TypeAlias = AutoChunking | StaticChunking


class OtherChunking(Struct, frozen=True, tag_field="type", tag="other"):
    """What is shown of `AutoChunking`: OpenAI's word for a way of the server's own."""


ShownChunking: TypeAlias = OtherChunking | StaticChunking


class IndexingError(Struct, frozen=True):
    """Why a file is not in the index; the message says what to do."""

    code: Literal["server_error", "unsupported_file", "invalid_file"]
    message: str


class VectorStoreFile(Struct, frozen=True, kw_only=True):
    """One file in a vector store, as it is shown."""

    id: str
    object: Literal["vector_store.file"] = "vector_store.file"
    usage_bytes: int = 0
    created_at: int
    vector_store_id: str
    status: IndexingStatus
    last_error: IndexingError | None = None
    chunking_strategy: ShownChunking = OtherChunking()
    attributes: Attributes = {}


class FileBatch(Struct, frozen=True, kw_only=True):
    """Files that were put into a vector store together, as it is shown."""

    id: str
    object: Literal["vector_store.files_batch"] = "vector_store.files_batch"
    created_at: int
    vector_store_id: str
    status: IndexingStatus
    file_counts: FileCounts
