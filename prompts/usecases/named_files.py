"""Files that a client names by their ids: read once, when the item comes, and kept with it for the model."""

import asyncio
import base64
from collections.abc import Sequence
from mimetypes import MimeTypes
from typing import TypeVar

from msgspec import UNSET

from prompts.domain.files import File
from prompts.domain.items import InputFile, InputImage, Item
from prompts.domain.named_files import Attachment, keep_files, list_named
from prompts.errors import InvalidRequest, NotFound, unknown_file
from prompts.ports.conversations import MAX_NAMED_BYTES
from prompts.usecases.files import FilePorts

Other = TypeVar("Other")
"""What else may stand among new items, and names no file."""

# base64 makes four characters of three bytes: so many are as large as a body may be.
MAX_FILE_BYTES = MAX_NAMED_BYTES * 3 // 4
# Each is two round trips and a thread's turn, and what is kept of it has a name of up to a kilobyte.
MAX_FILES = 500
MB = 1024 * 1024
# How pictures begin that models look at; the name of a file may say anything.
_IMAGES = {b"\x89PNG\r\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}
_RIFF, _WEBP = b"RIFF", b"WEBP"
# Made once: the package's own table.
_MEDIA_TYPES = MimeTypes()


async def read_named_files(
    items: Sequence[Item | Other], *, owner: str, param: str, ports: FilePorts
) -> list[Item | Other]:
    """The items, with what the files hold that they name. `param` is where the items stand in the request.

    Raises NotFound with the place of a file that is not there, InvalidRequest (no image, too large, too many),
    Unavailable.
    """
    count = sum(1 for item in items for _ in list_named(item))
    if not count:
        return [*items]
    if count > MAX_FILES:
        message = f"Invalid '{param}': it names more than {MAX_FILES} files by their ids. Name fewer at once."
        raise InvalidRequest(message, param=param)
    left = MAX_FILE_BYTES
    read: list[Item | Other] = []
    for index, item in enumerate(items):
        told: list[Attachment] = []
        for place, part in list_named(item):
            where = f"{param}[{index}].{place}.file_id"
            file = await _get(part, owner=owner, param=where, ports=ports)
            left -= file.bytes
            if left < 0:
                message = f"The files that are named by their ids hold more than {MAX_FILE_BYTES / MB:.1f} MB."
                raise InvalidRequest(f"Invalid '{where}': {message} Name less at once.", param=where)
            told.append(await _read(part, file, param=where, ports=ports))
        read.append(keep_files(item, told) if told else item)
    return read


async def _get(part: Attachment, *, owner: str, param: str, ports: FilePorts) -> File:
    file_id = part.file_id or ""
    try:
        return await ports.store.get(file_id, owner=owner)
    except NotFound:
        raise unknown_file(file_id, param=param) from None


async def _read(part: Attachment, file: File, *, param: str, ports: FilePorts) -> Attachment:
    """What the model is told in the part's place."""
    try:
        content = b"".join([piece async for piece in ports.storage.read(file.id)])
    except NotFound:
        raise unknown_file(file.id, param=param) from None
    encoded = (await asyncio.to_thread(base64.b64encode, content)).decode()
    if isinstance(part, InputImage):
        media_type = _find_image_type(content)
        if media_type is None:
            message = f"Invalid '{param}': the file is not an image. Upload a PNG, JPEG, GIF or WebP."
            raise InvalidRequest(message, param=param)
        return InputImage(f"data:{media_type};base64,{encoded}", part.detail)
    media_type = _MEDIA_TYPES.guess_type(file.filename)[0] or "application/octet-stream"
    name = file.filename if part.filename is UNSET else part.filename
    return InputFile(filename=name, file_data=f"data:{media_type};base64,{encoded}")


def _find_image_type(content: bytes) -> str | None:
    if content.startswith(_RIFF) and content[8:12] == _WEBP:
        return "image/webp"
    return next((media_type for start, media_type in _IMAGES.items() if content.startswith(start)), None)
