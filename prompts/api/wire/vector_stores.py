"""Bodies of requests about vector stores, and what of them the use cases take."""

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from prompts.api.wire.attributes import AttributesParam, read_attributes
from prompts.api.wire.filters import FilterParam
from prompts.api.wire.ids import FileId
from prompts.api.wire.items import Metadata
from prompts.api.wire.unknown import Unknown
from prompts.domain import ids
from prompts.domain.vector_stores import AutoChunking, Chunking, ExpiresAfter, StaticChunking, StaticSizes
from prompts.errors import InvalidRequest
from prompts.ports.passage_index import MAX_FOUND, Ranking
from prompts.usecases.public_ids import check_kind
from prompts.usecases.vector_stores import FileToAttach

# docs/api.md, "Limits". OpenAI's, but of a search: there a question has a length at which an index still answers.
MAX_FILE_IDS = 500
MAX_BATCH_FILES = 2_000
MAX_QUERIES = 16
MAX_QUERY_CHARACTERS = 4_096

StoreName = Annotated[str, Meta(max_length=256)]
StoreDescription = Annotated[str, Meta(max_length=1024)]


class ExpiresAfterParam(Struct, forbid_unknown_fields=True, kw_only=True):
    """After how many days without use a vector store expires."""

    anchor: Literal["last_active_at"]
    days: Annotated[int, Meta(ge=1, le=365)]


class StaticSizesParam(Struct, forbid_unknown_fields=True, kw_only=True):
    """How long passages are, and by how much neighbours overlap, in tokens (estimates)."""

    max_chunk_size_tokens: Annotated[int, Meta(ge=100, le=4096)]
    chunk_overlap_tokens: Annotated[int, Meta(ge=0, le=2048)]


class AutoChunkingParam(Struct, tag_field="type", tag="auto", forbid_unknown_fields=True):
    """Passages that follow headings and paragraphs."""


class StaticChunkingParam(Struct, tag_field="type", tag="static", forbid_unknown_fields=True):
    """Passages of one size."""

    static: StaticSizesParam


ChunkingParam: TypeAlias = AutoChunkingParam | StaticChunkingParam


class CreateVectorStore(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /v1/vector_stores`."""

    name: StoreName | None = None
    description: StoreDescription | None = None
    file_ids: Annotated[list[FileId], Meta(max_length=MAX_FILE_IDS)] | None = None
    chunking_strategy: ChunkingParam | None = None
    expires_after: ExpiresAfterParam | None = None
    metadata: Metadata | None = None


class UpdateVectorStore(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /v1/vector_stores/{id}`: what is left out stays, what is null goes."""

    name: StoreName | UnsetType | None = UNSET
    expires_after: ExpiresAfterParam | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET


class AttachFile(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /v1/vector_stores/{id}/files`, and a file of a batch."""

    file_id: FileId
    attributes: AttributesParam | None = None
    chunking_strategy: ChunkingParam | None = None


class SetFileAttributes(Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/vector_stores/{id}/files/{file_id}`: they take the place of the old ones."""

    attributes: AttributesParam | None


class CreateFileBatch(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /v1/vector_stores/{id}/file_batches`: `file_ids`, or `files` with attributes of their own."""

    file_ids: Annotated[list[FileId], Meta(min_length=1, max_length=MAX_BATCH_FILES)] | None = None
    files: Annotated[list[AttachFile], Meta(min_length=1, max_length=MAX_BATCH_FILES)] | None = None
    attributes: AttributesParam | None = None
    chunking_strategy: ChunkingParam | None = None


class SearchRankingParam(Struct, forbid_unknown_fields=True, kw_only=True):
    """How what is found is weighed."""

    ranker: Literal["auto", "none", "default-2024-11-15"] | None = None
    score_threshold: Annotated[float, Meta(ge=0, le=1)] | None = None


Query: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_QUERY_CHARACTERS)]


class SearchVectorStore(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /v1/vector_stores/{id}/search`."""

    query: Query | Annotated[list[Query], Meta(min_length=1, max_length=MAX_QUERIES)]
    filters: FilterParam | None = None
    max_num_results: Annotated[int, Meta(ge=1, le=MAX_FOUND)] | None = None
    ranking_options: SearchRankingParam | None = None
    rewrite_query: bool | None = None


def read_chunking(given: ChunkingParam | None, param: str) -> Chunking:
    """Raises InvalidRequest naming the path."""
    if not isinstance(given, StaticChunkingParam):
        return AutoChunking()
    sizes = given.static
    if 2 * sizes.chunk_overlap_tokens > sizes.max_chunk_size_tokens:
        path = f"{param}.static.chunk_overlap_tokens"
        most = sizes.max_chunk_size_tokens // 2
        raise InvalidRequest(f"Invalid '{path}': must be at most half of max_chunk_size_tokens: {most}.", param=path)
    return StaticChunking(StaticSizes(sizes.max_chunk_size_tokens, sizes.chunk_overlap_tokens))


def read_expiry(given: ExpiresAfterParam | None) -> ExpiresAfter | None:
    """None for never."""
    return None if given is None else ExpiresAfter(given.days)


def read_file_ids(
    file_ids: list[str] | None, *, attributes: AttributesParam | None, chunking: ChunkingParam | None
) -> list[FileToAttach]:
    """Files with the same attributes and chunking. Raises InvalidRequest naming the path."""
    read, cut = read_attributes(attributes, "attributes"), read_chunking(chunking, "chunking_strategy")
    return [
        FileToAttach(check_kind(file_id, ids.FILE, param=f"file_ids[{place}]"), read, cut, f"file_ids[{place}]")
        for place, file_id in enumerate(file_ids or [])
    ]


def read_file(file: AttachFile, under: str = "") -> FileToAttach:
    """A file with what is said of it; `under` is its place in the body. Raises InvalidRequest naming the path."""
    param = f"{under}file_id"
    return FileToAttach(
        file_id=check_kind(file.file_id, ids.FILE, param=param),
        attributes=read_attributes(file.attributes, f"{under}attributes"),
        chunking=read_chunking(file.chunking_strategy, f"{under}chunking_strategy"),
        param=param,
    )


def read_batch(body: CreateFileBatch, unknown: Unknown) -> list[FileToAttach]:
    """The files of a batch; what is said of all is left out where each has its own. Raises InvalidRequest."""
    if body.files is None and body.file_ids is None:
        raise InvalidRequest("Missing required parameter: 'file_ids', or 'files'.", param="file_ids")
    if body.files is None:
        return read_file_ids(body.file_ids, attributes=body.attributes, chunking=body.chunking_strategy)
    if body.file_ids is not None:
        raise InvalidRequest("'file_ids' and 'files' are mutually exclusive. Send one of the two.", param="files")
    for name in ("attributes", "chunking_strategy"):
        if getattr(body, name) is not None:
            unknown.leave_out(name, "field")
    return [read_file(file, f"files[{place}].") for place, file in enumerate(body.files)]


def read_ranking(given: SearchRankingParam | None) -> Ranking:
    """The ranking; left out, the server's own."""
    options = given or SearchRankingParam()
    return Ranking(
        ranker="none" if options.ranker == "none" else "auto", score_threshold=options.score_threshold or 0.0
    )
