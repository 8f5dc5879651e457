"""The parts of a message's content: text, refusals, images and files. Audio is refused.

Images and files as data must be valid: `check_image` and `check_file` raise OpenAI's 400 for a bad data URL, a wrong
media type or bad base64. What the bytes are is not checked.
"""

import base64
import binascii
import re
from typing import Literal

import msgspec

from standin.errors import StandInError

_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^,]*?)?;base64,(.*)", re.DOTALL | re.IGNORECASE)
_IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")  # what OpenAI's models read
_EXPECTED_IMAGE = "an image MIME type (e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU=')"
_EXPECTED_FILE = "a valid file MIME type (e.g. 'data:text/plain;base64,SGVsbG8sIFdvcmxkIQ==')"

Detail = Literal["auto", "low", "high", "original"]


class Text(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    text: str


class Refusal(msgspec.Struct, frozen=True, tag_field="type", tag="refusal"):
    """The assistant's refusal."""

    refusal: str


class ImageSource(msgspec.Struct, frozen=True):
    """A web address or a data URL."""

    url: str
    detail: Detail | None = None


class Image(msgspec.Struct, frozen=True, tag_field="type", tag="image_url"):
    image_url: ImageSource


class FileSource(msgspec.Struct, frozen=True):
    """A data URL; in the Responses protocol also a web address."""

    file_data: str | None = None
    filename: str | None = None
    file_id: str | None = None
    file_url: str | None = None


class File(msgspec.Struct, frozen=True, tag_field="type", tag="file"):
    file: FileSource


Part = Text | Refusal | Image | File


class Data(msgspec.Struct, frozen=True):
    """The content of a data URL."""

    media_type: str
    content: bytes


def decode_data_url(url: str) -> Data | None:
    """The data in a URL; None when it is no data URL or its base64 is broken."""
    found = _DATA_URL.fullmatch(url)
    try:
        return Data(found[1].lower(), base64.b64decode(found[2], validate=True)) if found else None
    except binascii.Error:
        return None


def check_image(url: str, param: str, *, broken_code: str) -> None:
    """Raise a 400 for an image that is not valid. `broken_code` is the protocol's code for broken base64."""
    if url.startswith(("http://", "https://")):
        return
    found = _DATA_URL.fullmatch(url)
    if found is None:
        raise _refuse(param, _EXPECTED_IMAGE, "a value without the 'data:' prefix")
    if found[1].lower() not in _IMAGE_TYPES:
        raise _refuse(param, _EXPECTED_IMAGE, f"unsupported MIME type '{found[1]}'")
    if not found[2]:
        raise _refuse(param, _EXPECTED_IMAGE, "empty base64-encoded bytes")
    if decode_data_url(url) is None:
        raise StandInError(400, "Invalid base64 image_url.", code=broken_code, param=param)


def check_file(source: FileSource, param: str) -> None:
    """Raise a 400 for a file that is missing or not valid. `param` is the path of its source."""
    if source.file_id is not None:
        message = f"Files [{source.file_id}] were not found: the stand-in keeps none."
        raise StandInError(400, message, code="file_not_found", param=f"{param}.file_id")
    if source.file_data is None and source.file_url is None:
        message = f"Missing required parameter: '{param}.file_data'."
        raise StandInError(400, message, code="missing_required_parameter", param=f"{param}.file_data")
    if source.file_data is not None and decode_data_url(source.file_data) is None:
        raise _refuse(f"{param}.file_data", _EXPECTED_FILE, "an invalid base64-encoded value")


def _refuse(param: str, expected: str, got: str) -> StandInError:
    message = f"Invalid '{param}'. Expected a base64-encoded data URL with {expected}, but got {got}."
    return StandInError(400, message, code="invalid_value", param=param)
