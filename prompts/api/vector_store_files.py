"""`/v1/vector_stores/{id}/files` and `…/file_batches`: put files in, follow their indexing, take them out."""

from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Annotated, Literal, cast

import msgspec
from django.http import HttpResponse, StreamingHttpResponse
from dmr import Path, Query, ResponseSpec, validate
from dmr.headers import HeaderSpec
from dmr.plugins.msgspec import BodyMsgspec
from msgspec import Meta, Struct

from prompts.api.controller import ApiController, break_off, json_response
from prompts.api.openapi.document import BODY_ERRORS, ERRORS
from prompts.api.openapi.examples import ATTACH_FILE, CREATE_FILE_BATCH, SET_FILE_ATTRIBUTES
from prompts.api.pages import Limit, Order, check_cursors, encode_page
from prompts.api.vector_stores import TextContent, VectorStorePath, read_store_id
from prompts.api.wire.attributes import read_attributes
from prompts.api.wire.ids import FileBatchId, FileId, VectorStoreId
from prompts.api.wire.vector_stores import AttachFile, CreateFileBatch, SetFileAttributes, read_batch, read_file
from prompts.domain import ids
from prompts.domain.vector_stores import FileBatch, IndexingStatus, VectorStoreFile
from prompts.usecases.public_ids import check_kind
from prompts.usecases.vector_stores import (
    attach_batch,
    attach_file,
    cancel_file_batch,
    detach_file,
    get_file_batch,
    get_vector_store_file,
    list_vector_store_files,
    read_file_text,
    set_file_attributes,
)

encode = msgspec.json.Encoder().encode

# OpenAI's SDK waits so long before it asks again whether a file is indexed. Most are within a second.
POLL_AFTER_MS = 500
_POLL_AFTER = "openai-poll-after-ms"
_POLL_HEADERS = {
    _POLL_AFTER: HeaderSpec(
        description="While it is `in_progress`: milliseconds after which to ask again.",
        required=False,
        skip_validation=True,
    )
}


class FilePlace(Struct):
    """`/v1/vector_stores/{vector_store_id}/files/{file_id}`."""

    vector_store_id: VectorStoreId
    file_id: FileId


class BatchPath(Struct):
    """`/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}`."""

    vector_store_id: VectorStoreId
    batch_id: FileBatchId


class VectorStoreFilesQuery(Struct, forbid_unknown_fields=True):
    """The query of a list of files."""

    limit: Limit = 20
    order: Order = "desc"
    after: FileId | None = None
    before: FileId | None = None
    filter: Annotated[IndexingStatus, Meta(description="Only those that stand there.")] | None = None


class VectorStoreFileList(Struct):
    """One page of files in a vector store."""

    data: list[VectorStoreFile]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal["list"] = "list"


class FileText(Struct):
    """The text of a file as it was read, in pieces that follow on one another. It is one page."""

    data: list[TextContent]
    has_more: bool = False
    next_page: str | None = None
    object: Literal["vector_store.file_content.page"] = "vector_store.file_content.page"


class DetachedFile(Struct):
    """What is left of a file in a vector store; the file itself stays."""

    id: str
    object: Literal["vector_store.file.deleted"] = "vector_store.file.deleted"
    deleted: bool = True


class VectorStoreFilesController(ApiController):
    """The files of a vector store."""

    tags = ["Vector stores"]

    @validate(ResponseSpec(VectorStoreFile, status_code=HTTPStatus.OK), *BODY_ERRORS, operation_id="attachFile")
    async def post(
        self, parsed_path: Path[VectorStorePath], parsed_body: Annotated[BodyMsgspec[AttachFile], ATTACH_FILE]
    ) -> HttpResponse:
        """Put an uploaded file in. It is indexed in the background."""
        self.check_quota()
        store_id = read_store_id(parsed_path.vector_store_id)
        file = await attach_file(store_id, read_file(parsed_body), owner=self.owner, ports=self.state.vector_stores)
        return self.render(encode(file))

    @validate(
        ResponseSpec(VectorStoreFileList, status_code=HTTPStatus.OK), *ERRORS, operation_id="listVectorStoreFiles"
    )
    async def get(self, parsed_path: Path[VectorStorePath], parsed_query: Query[VectorStoreFilesQuery]) -> HttpResponse:
        """One page of the files, newest first unless asked otherwise."""
        return await _list_page(self, read_store_id(parsed_path.vector_store_id), parsed_query)


class VectorStoreFileController(ApiController):
    """One file of a vector store."""

    tags = ["Vector stores"]

    @validate(
        ResponseSpec(VectorStoreFile, status_code=HTTPStatus.OK, headers=_POLL_HEADERS),
        *ERRORS,
        operation_id="getVectorStoreFile",
    )
    async def get(self, parsed_path: Path[FilePlace]) -> HttpResponse:
        """Whether the file is indexed, and why not when it has failed."""
        store_id, file_id = _read_place(parsed_path)
        file = await get_vector_store_file(store_id, file_id, owner=self.owner, ports=self.state.vector_stores)
        return _pollable(encode(file), file.status)

    @validate(ResponseSpec(VectorStoreFile, status_code=HTTPStatus.OK), *BODY_ERRORS, operation_id="setFileAttributes")
    async def post(
        self,
        parsed_path: Path[FilePlace],
        parsed_body: Annotated[BodyMsgspec[SetFileAttributes], SET_FILE_ATTRIBUTES],
    ) -> HttpResponse:
        """Replace the attributes; searches filter by the new ones from now on."""
        store_id, file_id = _read_place(parsed_path)
        file = await set_file_attributes(
            store_id,
            file_id,
            read_attributes(parsed_body.attributes, "attributes"),
            owner=self.owner,
            ports=self.state.vector_stores,
        )
        return self.render(encode(file))

    @validate(ResponseSpec(DetachedFile, status_code=HTTPStatus.OK), *ERRORS, operation_id="detachFile")
    async def delete(self, parsed_path: Path[FilePlace]) -> HttpResponse:
        """Take the file out: no search finds it from now on. The file itself stays."""
        store_id, file_id = _read_place(parsed_path)
        await detach_file(store_id, file_id, owner=self.owner, ports=self.state.vector_stores)
        return json_response(encode(DetachedFile(file_id)))


class VectorStoreFileTextController(ApiController):
    """The text of a file of a vector store."""

    tags = ["Vector stores"]

    @validate(ResponseSpec(FileText, status_code=HTTPStatus.OK), *ERRORS, operation_id="getVectorStoreFileText")
    async def get(self, parsed_path: Path[FilePlace]) -> HttpResponse:
        """The text as it was read and indexed."""
        store_id, file_id = _read_place(parsed_path)
        texts = await read_file_text(store_id, file_id, owner=self.owner, ports=self.state.vector_stores)
        # A whole text has up to 80 MB, and many may be read at once: nobody holds one.
        response = StreamingHttpResponse(break_off(_write_text(texts)), content_type="application/json")
        return cast(HttpResponse, response)


class FileBatchesController(ApiController):
    """Files that are put into a vector store together."""

    tags = ["Vector stores"]

    @validate(ResponseSpec(FileBatch, status_code=HTTPStatus.OK), *BODY_ERRORS, operation_id="createFileBatch")
    async def post(
        self,
        parsed_path: Path[VectorStorePath],
        parsed_body: Annotated[BodyMsgspec[CreateFileBatch], CREATE_FILE_BATCH],
    ) -> HttpResponse:
        """Put up to 2,000 uploaded files in. They are indexed in the background."""
        self.check_quota()
        store_id = read_store_id(parsed_path.vector_store_id)
        files = read_batch(parsed_body, self.unknown)
        batch = await attach_batch(store_id, files, owner=self.owner, ports=self.state.vector_stores)
        return self.render(encode(batch))


class FileBatchController(ApiController):
    """One file batch."""

    tags = ["Vector stores"]

    @validate(
        ResponseSpec(FileBatch, status_code=HTTPStatus.OK, headers=_POLL_HEADERS),
        *ERRORS,
        operation_id="getFileBatch",
    )
    async def get(self, parsed_path: Path[BatchPath]) -> HttpResponse:
        """How many of its files are indexed."""
        store_id, batch_id = _read_batch_place(parsed_path)
        batch = await get_file_batch(store_id, batch_id, owner=self.owner, ports=self.state.vector_stores)
        return _pollable(encode(batch), batch.status)


class CancelFileBatchController(ApiController):
    """Cancel a file batch."""

    tags = ["Vector stores"]

    @validate(ResponseSpec(FileBatch, status_code=HTTPStatus.OK), *ERRORS, operation_id="cancelFileBatch")
    async def post(self, parsed_path: Path[BatchPath]) -> HttpResponse:
        """Of its files, those that are not indexed yet will not be."""
        store_id, batch_id = _read_batch_place(parsed_path)
        batch = await cancel_file_batch(store_id, batch_id, owner=self.owner, ports=self.state.vector_stores)
        return json_response(encode(batch))


class FileBatchFilesController(ApiController):
    """The files of a batch."""

    tags = ["Vector stores"]

    @validate(ResponseSpec(VectorStoreFileList, status_code=HTTPStatus.OK), *ERRORS, operation_id="listFileBatchFiles")
    async def get(self, parsed_path: Path[BatchPath], parsed_query: Query[VectorStoreFilesQuery]) -> HttpResponse:
        """One page of the batch's files that are still in the vector store."""
        store_id, batch_id = _read_batch_place(parsed_path)
        return await _list_page(self, store_id, parsed_query, batch_id=batch_id)


async def _list_page(
    controller: ApiController, store_id: str, query: VectorStoreFilesQuery, *, batch_id: str | None = None
) -> HttpResponse:
    """One page of the files of a vector store, or of a batch."""
    check_cursors(ids.FILE, after=query.after, before=query.before)
    page = await list_vector_store_files(
        store_id,
        owner=controller.owner,
        status=query.filter,
        limit=query.limit,
        order=query.order,
        after=query.after,
        before=query.before,
        ports=controller.state.vector_stores,
        batch_id=batch_id,
    )
    return json_response(encode_page(page))


async def _write_text(texts: AsyncIterator[Sequence[str]]) -> AsyncIterator[bytes]:
    """The JSON of a `FileText`, some pieces at a time."""
    head, tail = encode(FileText([])).split(b"[]")
    yield head + b"["
    between = b""
    async for some in texts:
        if some:
            yield between + encode([TextContent(text) for text in some])[1:-1]
            between = b","
    yield b"]" + tail


def _read_place(path: FilePlace) -> tuple[str, str]:
    return read_store_id(path.vector_store_id), check_kind(path.file_id, ids.FILE, param="file_id")


def _read_batch_place(path: BatchPath) -> tuple[str, str]:
    return read_store_id(path.vector_store_id), check_kind(path.batch_id, ids.FILE_BATCH, param="batch_id")


def _pollable(content: bytes, status: IndexingStatus) -> HttpResponse:
    response = json_response(content)
    if status == "in_progress":
        response[_POLL_AFTER] = str(POLL_AFTER_MS)
    return response
