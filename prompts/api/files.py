"""`/v1/files`: upload, list, retrieve, download and delete."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from mimetypes import MimeTypes
from typing import Annotated, Literal, cast

import msgspec
from django.http import HttpResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header
from dmr import Path, Query, ResponseSpec, validate
from dmr.openapi.objects import MediaType, OpenAPIType, Schema
from msgspec import Meta, Struct

from prompts.api.controller import ApiController, KeyBeforeUpload, break_off, json_response
from prompts.api.openapi.document import ERRORS, NEW_ERRORS, FileContent, FormBody
from prompts.api.pages import Order, check_cursors, encode_page
from prompts.api.state import WithBody
from prompts.api.wire.ids import FileId
from prompts.api.wire.upload import FORM_BYTES, MAX_EXPIRY_S, MIN_EXPIRY_S, PURPOSES, Upload, file_too_large
from prompts.domain import ids
from prompts.domain.files import File, Purpose
from prompts.errors import BodyTooLarge
from prompts.usecases.files import delete_file, get_file, list_files, open_content, upload_file
from prompts.usecases.public_ids import check_kind

encode = msgspec.json.Encoder().encode

# OpenAI's bound of `limit`, and what one page holds at most: the client goes on behind it.
MAX_LIMIT = 10_000
MAX_A_PAGE = 1_000
# The package's own table, not the machine's: the same at every replica.
_MEDIA_TYPES = MimeTypes()

_FORM = FormBody(
    "uploadFile",
    MediaType(
        schema=Schema(
            type=OpenAPIType.OBJECT,
            properties={
                "file": Schema(type=OpenAPIType.STRING, format="binary", min_length=1, description="The file itself."),
                "purpose": Schema(
                    type=OpenAPIType.STRING, enum=list(PURPOSES), description="What it is for; only kept and shown."
                ),
                "expires_after[anchor]": Schema(
                    type=OpenAPIType.STRING, enum=["created_at"], description="Since when its life is counted."
                ),
                "expires_after[seconds]": Schema(
                    type=OpenAPIType.INTEGER,
                    minimum=MIN_EXPIRY_S,
                    maximum=MAX_EXPIRY_S,
                    description="How long it is kept: an hour to 30 days. Left out, until it is deleted.",
                ),
            },
            required=["file", "purpose"],
        )
    ),
)


class FilePath(Struct):
    """`/v1/files/{file_id}`."""

    file_id: FileId


class FilesQuery(Struct, forbid_unknown_fields=True):
    """The query of `GET /v1/files`."""

    purpose: Annotated[Purpose, Meta(description="Only those that were uploaded for this.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="How many at most; a page ends at 1,000.")] = MAX_LIMIT
    order: Order = "desc"
    after: FileId | None = None


class FileList(Struct):
    """One page of files."""

    data: list[File]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal["list"] = "list"


class DeletedFile(Struct):
    """What is left of a deleted file."""

    id: str
    object: Literal["file"] = "file"
    deleted: bool = True


class FilesController(ApiController):
    """Files of the key's owner."""

    tags = ["Files"]
    auth = [KeyBeforeUpload()]
    form_body = _FORM

    @validate(
        ResponseSpec(File, status_code=HTTPStatus.OK),
        *NEW_ERRORS,
        operation_id="uploadFile",
    )
    async def post(self) -> HttpResponse:
        """Keep a file: a form with `file` and `purpose`, read as it comes."""
        self.check_quota()
        ports = self.state.files
        pieces = cast(WithBody, self.request).stream_body(max_bytes=ports.max_file_bytes + FORM_BYTES)
        upload = Upload(
            _say_limit(pieces, ports.max_file_bytes),
            self.request.META.get("CONTENT_TYPE", ""),
            max_file_bytes=ports.max_file_bytes,
            unknown=self.unknown,
        )
        await upload.start()
        file = await upload_file(upload, owner=self.owner, ports=ports)
        return self.render(encode(file))

    @validate(ResponseSpec(FileList, status_code=HTTPStatus.OK), *ERRORS, operation_id="listFiles")
    async def get(self, parsed_query: Query[FilesQuery]) -> HttpResponse:
        """One page of the files, newest first unless asked otherwise."""
        check_cursors(ids.FILE, after=parsed_query.after)
        page = await list_files(
            owner=self.owner,
            purpose=parsed_query.purpose,
            limit=min(parsed_query.limit, MAX_A_PAGE),
            order=parsed_query.order,
            after=parsed_query.after,
            ports=self.state.files,
        )
        return json_response(encode_page(page))


class FileController(ApiController):
    """One file."""

    tags = ["Files"]

    @validate(ResponseSpec(File, status_code=HTTPStatus.OK), *ERRORS, operation_id="getFile")
    async def get(self, parsed_path: Path[FilePath]) -> HttpResponse:
        """What is known of the file."""
        return json_response(encode(await get_file(_file_id(parsed_path), owner=self.owner, ports=self.state.files)))

    @validate(ResponseSpec(DeletedFile, status_code=HTTPStatus.OK), *ERRORS, operation_id="deleteFile")
    async def delete(self, parsed_path: Path[FilePath]) -> HttpResponse:
        """Erase the file, also from every vector store that has it."""
        file_id = _file_id(parsed_path)
        await delete_file(file_id, owner=self.owner, ports=self.state.files)
        return json_response(encode(DeletedFile(file_id)))


class FileContentController(ApiController):
    """The bytes of a file."""

    tags = ["Files"]

    @validate(FileContent(bytes, status_code=HTTPStatus.OK), *ERRORS, operation_id="downloadFile")
    async def get(self, parsed_path: Path[FilePath]) -> HttpResponse:
        """The file as it was uploaded, to be saved: no browser shows it."""
        file, pieces = await open_content(_file_id(parsed_path), owner=self.owner, ports=self.state.files)
        media_type, coding = _MEDIA_TYPES.guess_type(file.filename)
        # "x.tar.gz" is a gzip file, not a tar that a client should inflate.
        content_type = "application/octet-stream" if media_type is None or coding else media_type
        response = StreamingHttpResponse(break_off(pieces), content_type=content_type)
        response["Content-Length"] = str(file.bytes)
        response["Content-Disposition"] = content_disposition_header(True, file.filename) or "attachment"
        return cast(HttpResponse, response)


def _file_id(path: FilePath) -> str:
    return check_kind(path.file_id, ids.FILE, param="file_id")


async def _say_limit(pieces: AsyncIterator[bytes], max_file_bytes: int) -> AsyncIterator[bytes]:
    """A body beyond its bound holds a file beyond its own."""
    try:
        async for piece in pieces:
            yield piece
    except BodyTooLarge:
        raise file_too_large(max_file_bytes) from None
