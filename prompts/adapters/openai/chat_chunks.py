"""The chunks of a Chat Completions stream, as they are on the wire; a whole completion is read as one chunk.

What every server sends is decoded straight into these structs. What does not fit (another type than the protocol has,
bytes that are no UTF-8, half a surrogate pair, infinities, control characters) is read the slow way, as far as it says
something. JSON that is broken is an error: there may have been words in it.

Protocol: https://platform.openai.com/docs/api-reference/chat-streaming
"""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct

from prompts.adapters.openai.lines import too_large, unreadable
from prompts.adapters.openai.odd_values import read_integer, read_text


class FunctionDelta(Struct, gc=False):
    """A piece of the name, and of the arguments."""

    name: Any = None
    arguments: Any = None


class CallDelta(Struct, gc=False):
    """What a chunk adds to a call; the last three are what Gemini and its relays want back with it."""

    index: Any = None
    id: Any = None
    function: FunctionDelta | None = None
    extra_content: Any = None
    provider_specific_fields: Any = None
    thought_signature: Any = None


class Delta(Struct, gc=False):
    """What a chunk adds; a model's thinking has many names."""

    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_text: Any = None
    thinking: Any = None
    reasoning_details: Any = None
    tool_calls: list[CallDelta] | None = None
    function_call: FunctionDelta | None = None


class Choice(Struct, gc=False):
    """One answer of the chunk; only one is asked for."""

    index: Any = None
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: Any = None
    logprobs: Raw = Raw()  # read only when they were asked for: odd ones must not spoil an answer
    usage: Any = None  # where Moonshot has it


class Chunk(Struct, gc=False):
    """One event of the stream; an error may come in place of choices."""

    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None
    object: Any = None
    type: Any = None
    message: Any = None
    detail: Any = None
    code: Any = None
    x_groq: Any = None


decode_chunk = msgspec.json.Decoder(Chunk).decode
# Of one event: more than any answer has that comes as one list, and less than a second's work.
MAX_CHUNKS = 20_000
_EMPTY_DELTA = Delta()
# `[DONE]`, however it is wrapped.
_LONGEST_END = 40
_loose = json.JSONDecoder(strict=False, parse_constant=lambda _: None)
# Below 300, a code says that nothing went wrong.
_GOOD_CODES = range(300)
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_chunks(data: bytes | bytearray) -> Iterator[Chunk]:
    """The chunks of an event that does not decode; none when it is something else than chunks.

    Relays wrap what is not theirs into an event (`null`, `[]`, a comment), wrap an event once more (`data: data: {…}`,
    a string of JSON), or put several into one. Gemini lists its errors. Raises UpstreamError for JSON that is broken.
    """
    text = _unwrap(data)
    if not text.startswith(("{", "[")):
        return
    entries = (
        entry for document in _load_all(text) for entry in (document if isinstance(document, list) else [document])
    )
    for number, entry in enumerate(entries):
        if number == MAX_CHUNKS:
            raise too_large()
        if isinstance(entry, dict):
            yield _as_chunk(entry)


def _unwrap(data: bytes | bytearray) -> str:
    text = data.decode("utf-8", "replace").strip()
    while text.startswith("data:"):
        text = text[5:].strip()
    if text.startswith('"'):
        try:
            inner = json.loads(text, strict=False)
        except ValueError:
            return text
        return str(inner).strip()
    return text


def _load_all(text: str) -> Iterator[Any]:
    """The documents that follow one another in a text. Raises UpstreamError."""
    place = 0
    while place < len(text):
        try:
            document, end = _loose.raw_decode(text, place)
        except (ValueError, RecursionError) as exc:
            raise unreadable() from exc
        yield document
        while end < len(text) and text[end].isspace():
            end += 1
        place = end


def is_end(data: bytes | bytearray) -> bool:
    """Whether the event says that the stream is over."""
    return data == b"[DONE]" or (len(data) < _LONGEST_END and _unwrap(data).upper() == "[DONE]")


def find_choice(choices: list[Choice]) -> Choice | None:
    """The one answer that was asked for: the one with index 0, or without an index."""
    first = choices[0]
    if not first.index:
        return first
    return next((choice for choice in choices if not read_integer(choice.index)), None)


def find_fuller(delta: Delta | None, message: Delta) -> Delta:
    """The message when the delta is empty: some servers send both."""
    return delta if delta is not None and delta != _EMPTY_DELTA else message


def find_usage(chunk: Chunk, choice: Choice | None) -> Any:
    """What the server reports, wherever it has it."""
    if chunk.usage:
        return chunk.usage
    if choice is not None and choice.usage:
        return choice.usage
    return chunk.x_groq.get("usage") if isinstance(chunk.x_groq, dict) else None


def find_error(chunk: Chunk, *, is_named_error: bool) -> Any:
    """The server's error, beside an answer or in place of one; None when there is none.

    `is_named_error`: whether the event's name is `error`.
    """
    if chunk.error:
        return chunk.error
    is_error = is_named_error or "error" in {read_text(chunk.object), read_text(chunk.type)}
    is_code = chunk.code and read_integer(chunk.code) not in _GOOD_CODES
    if is_error or (chunk.choices is None and (chunk.detail or (is_code and chunk.message))):
        return {"message": chunk.message or chunk.detail, "code": chunk.code, "type": chunk.type}
    return None


def _as_chunk(given: dict[str, Any]) -> Chunk:
    known = {name: given.get(name) for name in Chunk.__struct_fields__}
    return Chunk(**{**known, "choices": [_as_choice(entry) for entry in _list_objects(given.get("choices"))]})


def _as_choice(given: dict[str, Any]) -> Choice:
    delta = given.get("delta")
    return Choice(
        index=given.get("index"),
        delta=_as_delta({"content": delta} if isinstance(delta, (str, list)) else delta),
        message=_as_delta(given.get("message")),
        finish_reason=given.get("finish_reason"),
        logprobs=Raw(json.dumps(given.get("logprobs")).encode()),
        usage=given.get("usage"),
    )


def _as_delta(given: Any) -> Delta | None:
    if not isinstance(given, dict):
        return None
    known: dict[str, Any] = {name: given.get(name) for name in Delta.__struct_fields__}
    known["tool_calls"] = [_as_call(entry) for entry in _list_objects(given.get("tool_calls"))] or None
    known["function_call"] = _as_function(given.get("function_call"))
    return Delta(**known)


def _as_call(given: dict[str, Any]) -> CallDelta:
    known = {name: given.get(name) for name in CallDelta.__struct_fields__}
    return CallDelta(**{**known, "function": _as_function(given.get("function"))})


def _as_function(given: Any) -> FunctionDelta | None:
    return FunctionDelta(given.get("name"), given.get("arguments")) if isinstance(given, dict) else None


def _list_objects(given: Any) -> list[dict[str, Any]]:
    """The objects of a list; one that stands alone is a list of one."""
    return [entry for entry in (given if isinstance(given, list) else [given]) if isinstance(entry, dict)]
