"""The events of a Responses stream as they are on the wire; a whole response is read as one event.

What does not decode (bytes that are no UTF-8, half a surrogate pair, another type than the protocol has) is read the
slow way; JSON that is broken is an error. Protocol: https://platform.openai.com/docs/api-reference/responses-streaming
"""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from prompts.adapters.openai.lines import unreadable
from prompts.adapters.openai.odd_values import read_integer, read_text

Read = TypeVar("Read")


class StreamEvent(Struct, gc=False):
    """One event; what is read of few kinds of them, or not of all of them in one form, is left for later."""

    type: str = ""
    delta: Any = None
    output_index: int | None = None
    summary_index: int | None = None
    logprobs: Raw = Raw()
    item: Raw = Raw()
    response: Raw = Raw()
    error: Any = None
    code: Any = None
    message: Any = None
    detail: Any = None
    object: Any = None
    """`response`: no event, but a whole response, though a stream was asked for."""


class OutputItem(Struct):
    """What is read of an item, of any type."""

    type: str = ""
    call_id: str | None = None
    name: str | None = None
    namespace: Any = None
    arguments: Any = None
    input: Any = None
    action: Any = None
    execution: Any = None
    encrypted_content: str | None = None
    phase: Any = None
    content: Any = None
    summary: Any = None


class EndedResponse(Struct):
    """What is read of a response when it has ended."""

    status: Any = None
    error: Any = None
    incomplete_details: Any = None
    usage: Any = None  # an odd one must not spoil an answer
    output: Any = None


_decode_event = msgspec.json.Decoder(StreamEvent).decode
decode_item = msgspec.json.Decoder(OutputItem).decode
decode_response = msgspec.json.Decoder(EndedResponse).decode
_UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_event(said: bytes | bytearray) -> StreamEvent | None:
    """The event; None for what is no object: a relay's comment. Raises UpstreamError for broken JSON."""
    try:
        return _decode_event(said)
    except _UNDECODABLE:
        return _read_odd_event(said.decode("utf-8", "replace").strip())


def decode_part(decode: Callable[[Raw], Read], data: Raw) -> Read:
    """An item or a response inside of an event. Raises UpstreamError."""
    try:
        return decode(data)
    except _UNDECODABLE as exc:
        raise unreadable() from exc


def _read_odd_event(text: str) -> StreamEvent | None:
    if not text.startswith("{"):
        return None
    try:
        given = json.loads(text, strict=False, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as exc:
        raise unreadable() from exc
    known = {name: given.get(name) for name in StreamEvent.__struct_fields__}
    return StreamEvent(
        **{
            **known,
            "type": read_text(given.get("type")),
            "output_index": read_integer(given.get("output_index")),
            "summary_index": read_integer(given.get("summary_index")),
            "logprobs": _as_raw(given.get("logprobs")),
            "item": _as_raw(given.get("item")),
            "response": _as_raw(given.get("response")),
        }
    )


def _as_raw(value: Any) -> Raw:
    """Half a character in it is left to whoever decodes it to refuse."""
    return Raw(json.dumps(value).encode()) if value is not None else Raw()
