"""A file that is uploaded as `multipart/form-data`, read as it comes: nothing but its fields is held."""

import re
from collections.abc import AsyncIterator, Mapping
from typing import NoReturn, cast, get_args
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from prompts.api.wire.unknown import Unknown
from prompts.domain.file_names import clean_name
from prompts.domain.files import Purpose
from prompts.errors import BodyTooLarge, InvalidRequest
from prompts.usecases.files import FileToKeep

MB = 1024 * 1024
# A form has four fields beside the file.
MAX_PARTS = 20
MAX_FIELD_BYTES = 1_000
MAX_FIELD_NAME = 100
# Besides the file: fields, boundaries, headers, and what stands before and behind all parts.
FORM_BYTES = MB

PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
MIN_EXPIRY_S, MAX_EXPIRY_S = 3_600, 2_592_000  # OpenAI's: an hour, 30 days

_EXTENDED = re.compile(rb";\s*filename\*\s*=\s*([\w-]*)'[\w-]*'([^;\s]*)", re.IGNORECASE)
_FIELDS = ("purpose", "expires_after[anchor]", "expires_after[seconds]")


class Upload:
    """One upload. `start`, then `content` to its end, then `describe`."""

    def __init__(
        self, pieces: AsyncIterator[bytes], content_type: str, *, max_file_bytes: int, unknown: Unknown
    ) -> None:
        """`pieces` is the body. Raises InvalidRequest for what is no form."""
        self._pieces = pieces
        self._max_file_bytes = max_file_bytes
        self._unknown = unknown
        self._fields: dict[str, bytes] = {}
        self._filename: str | None = None
        self._size = 0
        self._parts = 0
        self._headers: dict[bytes, bytes] = {}
        self._header_name, self._header_value = b"", b""
        self._field = ""
        self._is_whole = False
        self._waiting: list[bytes] = []
        self._parser = MultipartParser(
            _find_boundary(content_type),
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._read_header_name,
                "on_header_value": self._read_header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_content,
                "on_part_data": self._read_content,
                "on_end": self._end,
            },
        )

    async def start(self) -> None:
        """Read until the file's first byte. Raises InvalidRequest, BodyTooLarge, and as the body itself."""
        async for piece in self._pieces:
            self._parse(piece)
            if self._waiting:
                return
        self._finish()

    async def content(self) -> AsyncIterator[bytes]:
        """The file's bytes; behind the last one the whole form is read and checked. Raises as `start`."""
        for part in self._take():
            yield part
        async for piece in self._pieces:
            self._parse(piece)
            for part in self._take():
                yield part
        self._finish()

    def describe(self) -> FileToKeep:
        """What the form says of the file."""
        seconds = self._fields.get("expires_after[seconds]")
        return FileToKeep(
            filename=self._filename or "",
            purpose=cast(Purpose, self._fields["purpose"].decode()),
            expires_after_s=None if seconds is None else int(seconds),
        )

    def _take(self) -> list[bytes]:
        taken, self._waiting = self._waiting, []
        return taken

    def _parse(self, piece: bytes) -> None:
        try:
            self._parser.write(piece)
        except FormParserError:
            _refuse_form()

    def _finish(self) -> None:
        """The body is over. Raises InvalidRequest for what is missing or wrong."""
        if not self._is_whole:
            _refuse_form()
        if self._filename is None:
            raise InvalidRequest(
                "Missing required parameter: 'file'. Send the file as a part with a name.", param="file"
            )
        if self._size == 0:
            raise InvalidRequest("Invalid 'file': it is empty. Send a file with at least one byte.", param="file")
        _check_purpose(self._fields.get("purpose"))
        _check_expiry(self._fields.get("expires_after[anchor]"), self._fields.get("expires_after[seconds]"))

    # --- what the parser finds ---

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise InvalidRequest(f"The form has more than {MAX_PARTS} parts. Send one file and its fields.")
        self._headers = {}

    def _read_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _read_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name, self._header_value = b"", b""

    def _begin_content(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        kind, options = parse_options_header(disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or not name or len(name) > MAX_FIELD_NAME:
            _refuse_form()
        sent = _find_filename(disposition, options)
        self._field = name
        if name == "file":
            if self._filename is not None:
                raise InvalidRequest("The form has two files. Upload each by itself.", param="file")
            if sent is None:
                raise InvalidRequest("Invalid 'file': it is no file. Send it as a part with a filename.", param="file")
            self._filename = clean_name(sent)
        elif name in _FIELDS:
            if name in self._fields:
                raise InvalidRequest(f"Invalid '{name}': it is there twice. Send it once.", param=name)
            self._fields[name] = b""
        else:
            self._unknown.leave_out(name, "field")

    def _read_content(self, data: bytes, start: int, end: int) -> None:
        if self._field == "file":
            self._size += end - start
            if self._size > self._max_file_bytes:
                raise file_too_large(self._max_file_bytes)
            self._waiting.append(data[start:end])
        elif self._field in _FIELDS:
            self._fields[self._field] += data[start:end]
            if len(self._fields[self._field]) > MAX_FIELD_BYTES:
                raise InvalidRequest(f"Invalid '{self._field}': it is too long.", param=self._field)

    def _end(self) -> None:
        self._is_whole = True


def file_too_large(max_bytes: int) -> BodyTooLarge:
    """The refusal of a file that is too large."""
    return BodyTooLarge(
        f"The file is larger than {max_bytes / MB:.2g} MB, the limit. Send a smaller one.", param="file"
    )


def _find_boundary(content_type: str) -> bytes:
    kind, options = parse_options_header(content_type.encode("latin-1", "replace"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= 70:  # noqa: PLR2004 -- RFC 2046
        raise InvalidRequest(
            "Send a form, as multipart/form-data with a boundary; the file is its field 'file'.", param="file"
        )
    return boundary


def _find_filename(disposition: bytes, options: Mapping[bytes, bytes]) -> str | None:
    """The name as it was sent; RFC 5987's form of it says its encoding, and comes first."""
    if extended := _EXTENDED.search(disposition):
        encoding = "latin-1" if extended[1].lower() == b"iso-8859-1" else "utf-8"
        return unquote_to_bytes(extended[2]).decode(encoding, "replace")
    sent = options.get(b"filename")
    if sent is None:
        return None
    try:
        return sent.decode()
    except UnicodeDecodeError:
        return sent.decode("latin-1")


def _refuse_form() -> NoReturn:
    raise InvalidRequest(
        "The form cannot be read: it is broken, or ends too early. Send it as multipart/form-data.", param="file"
    )


def _check_purpose(sent: bytes | None) -> None:
    if sent is None:
        raise InvalidRequest("Missing required parameter: 'purpose'.", param="purpose")
    if sent.decode("utf-8", "replace") not in PURPOSES:
        known = ", ".join(map(repr, PURPOSES))
        raise InvalidRequest(f"Invalid 'purpose': must be one of {known}.", param="purpose")


def _check_expiry(anchor: bytes | None, seconds: bytes | None) -> None:
    if anchor is None and seconds is None:
        return
    if anchor != b"created_at":
        raise InvalidRequest("Invalid 'expires_after[anchor]': must be 'created_at'.", param="expires_after[anchor]")
    is_number = seconds is not None and seconds.isdigit() and len(seconds) <= len(str(MAX_EXPIRY_S))
    if seconds is None or not is_number or not MIN_EXPIRY_S <= int(seconds) <= MAX_EXPIRY_S:
        message = f"Invalid 'expires_after[seconds]': must be an integer from {MIN_EXPIRY_S:,} to {MAX_EXPIRY_S:,}."
        raise InvalidRequest(message, param="expires_after[seconds]")
