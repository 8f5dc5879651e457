"""Content parts as a client writes them: text, images, files, and what a model said earlier."""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

from msgspec import UNSET, Meta, Struct

from prompts.api.wire.addresses import refuse_host
from prompts.api.wire.ids import FileId
from prompts.domain import ids
from prompts.domain.items import (
    GivenPart,
    ImageDetail,
    InputFile,
    InputImage,
    InputText,
    Logprob,
    OutputText,
    Part,
    Refusal,
    Role,
    TopLogprob,
)
from prompts.domain.media_hosts import MediaHosts
from prompts.errors import InvalidImage, InvalidRequest
from prompts.usecases.public_ids import check_file_id, check_kind

DATA_URI = re.compile(r"data:(?P<media>[\w.+-]+/[\w.+-]+)(?:;[\w.+-]+=[^;,]*)*;base64,(?P<data>.*)", re.DOTALL)


class InputTextPart(Struct, tag_field="type", tag="input_text", forbid_unknown_fields=True):
    """Text from a person or a program."""

    text: str


class InputImagePart(Struct, tag_field="type", tag="input_image", forbid_unknown_fields=True):
    """An image: its address, a `data:` URI, or the id of an uploaded file."""

    image_url: str | None = None
    detail: Annotated[ImageDetail, Meta(min_length=1, max_length=64)] | None = None
    file_id: FileId | None = None


class InputFilePart(Struct, tag_field="type", tag="input_file", forbid_unknown_fields=True):
    """A file: its address, its content as base64 or a `data:` URI, or the id of an uploaded one."""

    filename: Annotated[str, Meta(max_length=255)] | None = None
    file_data: str | None = None
    file_url: str | None = None
    file_id: FileId | None = None


class TopLogprobParam(TopLogprob, frozen=True, forbid_unknown_fields=True):
    """One of the likeliest tokens at a place, as in an answer; what is not known of it is named."""


class LogprobParam(Logprob, frozen=True, forbid_unknown_fields=True):
    """A token of an answer, as in an answer."""

    top_logprobs: list[TopLogprobParam] = []  # type: ignore[assignment]  # a list of the same, read strictly


class OutputTextPart(Struct, tag_field="type", tag="output_text", forbid_unknown_fields=True):
    """Text a model wrote earlier, as it was received; what was noted beside it is kept, and not told to a model."""

    text: str
    annotations: list[Any] | None = None
    logprobs: list[LogprobParam] | None = None


class RefusalPart(Struct, tag_field="type", tag="refusal", forbid_unknown_fields=True):
    """A model's earlier refusal."""

    refusal: str


class ReasoningTextPart(Struct, tag_field="type", tag="reasoning_text", forbid_unknown_fields=True):
    """What a model thought earlier; in a `reasoning` item only."""

    text: str


class SummaryTextPart(Struct, tag_field="type", tag="summary_text", forbid_unknown_fields=True):
    """A summary of what a model thought; in a `reasoning` item only."""

    text: str


GivenInputPart: TypeAlias = InputTextPart | InputImagePart | InputFilePart
InputPart: TypeAlias = GivenInputPart | OutputTextPart | RefusalPart | ReasoningTextPart


def read_content(role: Role, content: str | Sequence[InputPart], param: str, hosts: MediaHosts) -> list[Part]:
    """A message's parts; `hosts` may be named in addresses. Raises InvalidRequest for what its role cannot hold."""
    if isinstance(content, str):
        return [_text(role, content)]
    return [_read_part(role, part, f"{param}[{index}]", hosts) for index, part in enumerate(content)]


def read_given(parts: Sequence[GivenInputPart], param: str, hosts: MediaHosts) -> list[GivenPart]:
    """Parts that a person or a program gives. Raises InvalidRequest."""
    return [_read_given(part, f"{param}[{index}]", hosts) for index, part in enumerate(parts)]


def missing(param: str) -> InvalidRequest:
    """The refusal of what lacks something."""
    return InvalidRequest(f"Missing required parameter: '{param}'.", param=param)


def _read_part(role: Role, part: InputPart, param: str, hosts: MediaHosts) -> Part:
    match part:
        case InputTextPart(text):
            return _text(role, text)  # clients write an assistant's earlier words either way
        case InputImagePart() | InputFilePart() if role == "user":
            return _read_given(part, param, hosts)
        case OutputTextPart(text, annotations, logprobs) if role == "assistant":
            return OutputText(text, annotations or [], [*(logprobs or ())])
        case RefusalPart(refusal) if role == "assistant":
            return Refusal(refusal)
    kind = part.__struct_config__.tag
    message = f"Invalid '{param}.type': a message of the role '{role}' cannot hold '{kind}'. Use 'input_text'."
    raise InvalidRequest(message, param=f"{param}.type")


def _read_given(part: GivenInputPart, param: str, hosts: MediaHosts) -> GivenPart:
    match part:
        case InputTextPart(text):
            return InputText(text)
        case InputImagePart():
            return _read_image(part, param, hosts)
        case InputFilePart():
            return _read_file(part, param, hosts)


def _read_image(part: InputImagePart, param: str, hosts: MediaHosts) -> InputImage:
    if part.file_id is not None:
        _check_file_id(part.file_id, param, image_url=part.image_url)
        return InputImage(None, part.detail or "auto", part.file_id)
    if part.image_url is None:
        raise missing(f"{param}.image_url")
    place = f"{param}.image_url"
    if data := DATA_URI.fullmatch(part.image_url):
        if not data["media"].startswith("image/"):
            raise InvalidRequest(f"Invalid '{place}': '{data['media']}' is not an image.", param=place)
        if not _is_base64(data["data"]):
            raise InvalidImage(f"Invalid '{place}': the image is not valid base64. Encode it again.", param=place)
    elif not hosts.may_name(part.image_url):
        raise refuse_host(place)
    return InputImage(part.image_url, part.detail or "auto")


def _read_file(part: InputFilePart, param: str, hosts: MediaHosts) -> InputFile:
    if part.file_id is not None:
        _check_file_id(part.file_id, param, file_data=part.file_data, file_url=part.file_url)
        return InputFile(UNSET if part.filename is None else part.filename, file_id=part.file_id)
    if part.file_data is None and part.file_url is None:
        message = f"Invalid '{param}': an input_file needs 'file_data', 'file_url' or 'file_id'."
        raise InvalidRequest(message, param=param)
    if part.file_url is not None and not hosts.may_name(part.file_url):
        raise refuse_host(f"{param}.file_url")
    if part.file_data is not None:
        data = DATA_URI.fullmatch(part.file_data)
        if not _is_base64(data["data"] if data else part.file_data):
            message = f"Invalid '{param}.file_data': the file is not valid base64. Encode it again."
            raise InvalidRequest(message, param=f"{param}.file_data")
    given = {"filename": part.filename, "file_data": part.file_data, "file_url": part.file_url}
    return InputFile(**{name: value for name, value in given.items() if value is not None})


def _check_file_id(file_id: str, param: str, **others: str | None) -> None:
    """Raises InvalidRequest for an id of another kind, or with the content beside it; NotFound for one that is none."""
    place = f"{param}.file_id"
    check_kind(file_id, ids.FILE, param=place)
    check_file_id(file_id, param=place)
    for name, value in others.items():
        if value is not None:
            message = f"Invalid '{param}': 'file_id' and '{name}' are mutually exclusive. Send one of the two."
            raise InvalidRequest(message, param=place)


def _is_base64(text: str) -> bool:
    """Whether this is base64 of at least one byte."""
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False


def _text(role: Role, text: str) -> Part:
    return OutputText(text) if role == "assistant" else InputText(text)
