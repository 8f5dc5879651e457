"""The parts of a message's content: text, refusals, images and files; audio is not one of them, and refused.

Where images and files come in as data they must come in whole: `check_image` and `check_file` raise a 400 as OpenAI
does for what is no data URL, has the wrong media type, or is no base64. The bytes themselves are not looked into.
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
    """A stretch of text."""

    text: str


class Refusal(msgspec.Struct, frozen=True, tag_field="type", tag="refusal"):
    """What the assistant said instead of an answer."""

    refusal: str


class ImageSource(msgspec.Struct, frozen=True):
    """Where an image is: a web address or a data URL."""

    url: str
    detail: Detail | None = None


class Image(msgspec.Struct, frozen=True, tag_field="type", tag="image_url"):
    """An image to look at."""

    image_url: ImageSource


class FileSource(msgspec.Struct, frozen=True):
    """Where a file is: in a data URL, or (in the Responses protocol only) at a web address."""

    file_data: str | None = None
    filename: str | None = None
    file_id: str | None = None
    file_url: str | None = None


class File(msgspec.Struct, frozen=True, tag_field="type", tag="file"):
    """A file to read."""

    file: FileSource


Part = Text | Refusal | Image | File


class Data(msgspec.Struct, frozen=True):
    """What a data URL holds."""

    media_type: str
    content: bytes


def decode_data_url(url: str) -> Data | None:
    """The data in a URL; None where it is no data URL or its base64 is broken."""
    found = _DATA_URL.fullmatch(url)
    try:
        return Data(found[1].lower(), base64.b64decode(found[2], validate=True)) if found else None
    except binascii.Error:
        return None


def check_image(url: str, param: str, *, broken_code: str) -> None:
    """Raise a 400 for an image that cannot be there; `broken_code` is the protocol's code for broken base64."""
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
    """Raise a 400 for a file that is not there; `param` is the place of its source."""
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
