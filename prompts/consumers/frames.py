"""What clients send on a WebSocket, and the frames that they are sent. Each frame is one JSON text."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from prompts.api.errors import compose_headers, describe_error
from prompts.api.wire.create_response import CreateResponse
from prompts.api.wire.items import MAX_INPUT_ITEMS, InputItem
from prompts.api.wire.parser import read_message
from prompts.api.wire.unknown import Unknown
from prompts.errors import InvalidRequest, InvalidStreamId, ServiceError, UnsupportedParameter

CREATE = "response.create"
# OpenAI's rule: https://developers.openai.com/api/docs/guides/websocket-mode
STREAM_ID = re.compile(r"[A-Za-z0-9_.-]{1,256}")
# A sign of life, which has no place in the sequence.
KEEPALIVE = b'{"type":"keepalive"}'

# Among the extensions of a connection's scope: how the server below sends frames of text at once, see `Push`.
PUSH = "eps.push"
# All of the frames or none; no when the client must be waited for, or has left. Raises nothing.
Push: TypeAlias = Callable[[Sequence[bytes]], bool]

encode = msgspec.json.Encoder().encode


class _Head(Struct):
    """What is read of a frame before its turn comes: what it is, and which turns it waits for."""

    type: Any = UNSET
    stream_id: Any = UNSET
    generate: Any = UNSET
    previous_response_id: Any = UNSET


class SocketCreate(CreateResponse, forbid_unknown_fields=True, kw_only=True):
    """A `response.create`: the body of `POST /v1/responses`, and what only a WebSocket has."""

    type: Literal["response.create"]
    stream_id: str | None = None
    generate: bool | None = None
    background: Any = None
    stream_options: Any = None
    stream: Any = None


class WarmUp(SocketCreate, forbid_unknown_fields=True, kw_only=True):
    """One with `generate: false`; the turns that continue it may bring all of the input."""

    # Wider than that of a turn: mypy would have every subclass take less.
    input: str | Annotated[list[InputItem], Meta(max_length=MAX_INPUT_ITEMS)] | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Frame:
    """A `response.create` that is still to be read as a whole."""

    data: bytes
    stream_id: str | None
    """The name of its lane."""
    is_warm_up: bool
    previous_id: str | None
    """The response that it continues, if it names one."""


def read_frame(text: str | None) -> Frame:
    """What a client has sent; None stands for bytes. Raises InvalidRequest, InvalidStreamId, BodyTooLarge."""
    if text is None:
        raise InvalidRequest("A frame of bytes is not read. Send each event as JSON, in a frame of text.")
    data = text.encode()
    head = read_message(data, _Head, Unknown())
    if head.type != CREATE:
        told = "is missing" if head.type is UNSET else "is none that this server takes"
        raise InvalidRequest(f"The 'type' of the event {told}. Send '{CREATE}'.", param="type")
    previous_id = head.previous_response_id if isinstance(head.previous_response_id, str) else None
    return Frame(data, _read_stream_id(head.stream_id), is_warm_up=head.generate is False, previous_id=previous_id)


def _read_stream_id(given: Any) -> str | None:
    if given is UNSET or given is None:
        return None
    if not isinstance(given, str) or not STREAM_ID.fullmatch(given):
        message = (
            "A 'stream_id' has 1 to 256 letters, digits, '_', '-' or '.'. Leave it out for the lane without a name."
        )
        raise InvalidStreamId(message, param="stream_id")
    return given


def read_create(frame: Frame, unknown: Unknown, *, may_stream: bool) -> SocketCreate:
    """The whole of it. Raises InvalidRequest, BodyTooLarge; UnsupportedParameter for what only HTTP has.

    `may_stream` is for clients that cannot leave `stream: true` out (`prompts.consumers.upgrade`).
    """
    model: type[SocketCreate] = WarmUp if frame.is_warm_up else SocketCreate
    body = read_message(frame.data, model, unknown)
    for name in ("stream", "stream_options", "background"):
        value = getattr(body, name)
        if value is not None and not (name == "stream" and value is True and may_stream):
            message = f"'{name}' is for HTTP: a WebSocket always streams, and to its own client. Leave it out."
            raise UnsupportedParameter(message, param=name)
    return body


def get_http_body(body: SocketCreate) -> CreateResponse:
    """The same as it would come over HTTP: the same turn, sent again over either, is known by it."""
    http_only = {"stream": None, "stream_options": None, "background": None, "if_busy": UNSET}
    given = {name: getattr(body, name) for name in CreateResponse.__struct_fields__}
    return CreateResponse(**{**given, **http_only})


def render_refusal(error: ServiceError) -> bytes:
    """An error as a frame, with what stands in the headers over HTTP."""
    frame: dict[str, object] = {"type": "error", "status": error.status, "error": describe_error(error)}
    if headers := {name.lower(): value for name, value in compose_headers(error).items()}:
        frame["headers"] = headers
    return encode(frame)


def name_lane(data: bytes, stream_id: str | None) -> bytes:
    """A frame as its lane is sent it: the bytes of an event's `data:` line over HTTP, and the lane's name."""
    return data if stream_id is None else b'%b,"stream_id":"%b"}' % (data[:-1], stream_id.encode())
