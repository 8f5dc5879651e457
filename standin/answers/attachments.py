"""Describes the images and files in the messages, so that a test can prove they arrived unchanged.

    I see 1 image and 2 files.
    Image 1: image/png, 68 bytes, sha256 0a1b2c3d, detail auto.
    File 1: report.pdf, application/pdf, 1234 bytes, sha256 4e5f6071.
    File 2: https://example.com/table.csv.

All messages count, in order. A web address is repeated; nothing is fetched.
"""

import hashlib
import re
from collections.abc import Sequence

from standin.chat_completions.content import File, Image, decode_data_url

_ASKS = re.compile(
    r"\bwhat (?:do|can) you see\b|\bwhat(?:['’]s| is) (?:in|on) (?:this|that|the|these|my)\b|\bdescribe\b",
    re.IGNORECASE,
)
_ASKS_WITHOUT_ATTACHMENTS = re.compile(r"\bwhat (?:do|can) you see\b", re.IGNORECASE)
_DIGITS = 8  # of the hash: enough to tell two test files apart

Attachment = Image | File


def find_attachment_report(question: str, attachments: Sequence[Attachment]) -> str | None:
    """The description, when the question asks for it; else None."""
    if not (_ASKS if attachments else _ASKS_WITHOUT_ATTACHMENTS).search(question):
        return None
    images = [one for one in attachments if isinstance(one, Image)]
    files = [one for one in attachments if isinstance(one, File)]
    lines = [f"I see {_count(len(images), 'image')} and {_count(len(files), 'file')}."]
    lines += [f"Image {number}: {_describe_image(image)}." for number, image in enumerate(images, 1)]
    lines += [f"File {number}: {_describe_file(file)}." for number, file in enumerate(files, 1)]
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _describe_image(image: Image) -> str:
    return f"{_describe_url(image.image_url.url)}, detail {image.image_url.detail or 'auto'}"


def _describe_file(file: File) -> str:
    where = _describe_url(file.file.file_data or file.file.file_url or "")
    return f"{file.file.filename}, {where}" if file.file.filename else where


def _describe_url(url: str) -> str:
    data = decode_data_url(url)
    if data is None:
        return url
    return f"{data.media_type}, {len(data.content)} bytes, sha256 {hashlib.sha256(data.content).hexdigest()[:_DIGITS]}"
