"""Reading bodies: JSON into structs, what this server does not know of it, and what a store must not hold."""

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import msgspec
from django.http import HttpRequest
from dmr.exceptions import DataParsingError
from dmr.parsers import DeserializeFunc, Raw
from dmr.plugins.msgspec import MsgspecJsonParser
from typing_extensions import override

from prompts.api.state import get_unknown
from prompts.api.wire.items import Metadata
from prompts.api.wire.shapes import get_fields, get_shape
from prompts.api.wire.unknown import Unknown
from prompts.api.wire.wording import invalid
from prompts.domain.nesting import MAX_DEPTH, drop_escapes, drop_strings, is_too_deep
from prompts.errors import BodyTooLarge, InvalidRequest

encode = msgspec.json.Encoder().encode
Value = TypeVar("Value")

_decode_level = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[msgspec.Raw]).decode

# What is handed on is skipped here, not read: half of what Python can go down.
MAX_RELAYED_DEPTH = 500
# Of the path to what is nested too deeply: `tools[0].parameters`.
NAMED_LEVELS = 3

# Many times what a long history has. Ten megabytes of `{}` would be 3 million items, and seconds in which nobody else
# is answered.
MAX_VALUES = 500_000  # docs/api.md, "Limits"

# Of all objects of a body that is handed on: where its model has another name at the model's server, its fields are
# read one by one. A long history has some thousands.
MAX_RELAYED_FIELDS = 100_000

# Of a body with a NUL in it: in a larger one its place is not looked for.
MAX_SEARCHED_BYTES = 100_000


class _WithoutCollections:
    """Without garbage collections: each looks at all that was read so far, and a large body would cause hundreds."""

    def __enter__(self) -> None:
        gc.disable()

    def __exit__(self, *_: object) -> None:
        gc.enable()


_WITHOUT_COLLECTIONS = _WithoutCollections()


class BodyParser(MsgspecJsonParser):
    """JSON into structs; what they do not know is left out and named (`prompts.api.state.get_unknown`).

    NUL characters are refused (PostgreSQL cannot hold them), as is nesting beyond all reason.
    """

    __slots__ = ()
    strict = True
    max_depth = MAX_DEPTH

    def parse(
        self,
        to_deserialize: Raw,
        deserializer_hook: DeserializeFunc | None = None,
        *,
        request: HttpRequest,
        model: Any,
    ) -> Any:
        """The body as `model`. Raises InvalidRequest."""
        if not to_deserialize.strip():
            return _without_body(model)
        self.check_size(to_deserialize)
        if is_too_deep(to_deserialize, self.max_depth):
            raise _nested_too_deeply(self.max_depth, _find_deepest(to_deserialize, self.max_depth))
        try:
            with _WITHOUT_COLLECTIONS:
                parsed = self._parse(to_deserialize, deserializer_hook, request=request, model=model)
            self.check_text(to_deserialize)
        except RecursionError:
            raise _nested_too_deeply(self.max_depth) from None
        except msgspec.ValidationError as exc:
            raise invalid(str(exc), key=_find_key(str(exc), to_deserialize)) from None
        except DataParsingError as exc:
            reason = _reason(exc)
            raise InvalidRequest(f"The body is not valid JSON ({reason}). Send one JSON object in UTF-8.") from None
        return parsed

    def _parse(self, body: Raw, hook: DeserializeFunc | None, *, request: HttpRequest, model: Any) -> Any:
        """The body as `model`; only one that does not fit as it is pays for a second look."""
        try:
            return super().parse(body, hook, request=request, model=model)
        except msgspec.ValidationError as exc:
            if not _may_be_unknown(str(exc)):
                raise
        known = _leave_out(_decode_any(body), model, get_unknown(request))
        return super().parse(encode(known), hook, request=request, model=model)

    def check_size(self, body: Raw) -> None:
        """Refuse what takes too long to read."""
        _refuse_many_values(body)

    def check_text(self, body: Raw) -> None:
        """Refuse what a store must not hold."""
        # JSON can hold a NUL only as this escape, after an even number of other backslashes.
        if b"\\u0000" in body and b"\\u0000" in bytes(body).replace(b"\\\\", b""):
            _refuse_nul(body)


class OpaqueJsonParser(BodyParser):
    """JSON that is handed on as it is: of what the struct does not name, only that it is JSON."""

    __slots__ = ()
    max_depth = MAX_RELAYED_DEPTH

    @override
    def _parse(self, body: Raw, hook: DeserializeFunc | None, *, request: HttpRequest, model: Any) -> Any:
        """What the struct names of the body; nothing is left out."""
        return MsgspecJsonParser.parse(self, body, hook, request=request, model=model)

    @override
    def check_size(self, body: Raw) -> None:
        """A list of tokens to embed may be as long as it is; fields are counted."""
        if _has_more(body, MAX_RELAYED_FIELDS, _count_fields):
            raise BodyTooLarge(f"The body holds more than {MAX_RELAYED_FIELDS:,} fields. Send less at once.")

    @override
    def check_text(self, body: Raw) -> None:
        """Refuse what is not UTF-8: msgspec does not look into what it skips."""
        try:
            bytes(body).decode()
        except UnicodeDecodeError:
            raise InvalidRequest(
                "The body is not valid JSON (it is not UTF-8). Send one JSON object in UTF-8."
            ) from None


@dataclass(frozen=True, slots=True)
class _Received:
    """What stands for the request where there is none."""

    unknown: Unknown


def read_message(message: bytes, model: type[Value], unknown: Unknown) -> Value:
    """What came without an HTTP request, as `model`; what it does not know is left out. Raises InvalidRequest."""
    received = cast(HttpRequest, _Received(unknown))  # `get_unknown` asks for nothing else of it
    return cast(Value, BodyParser().parse(message, request=received, model=model))


def read_objects(raw: Raw) -> Any:
    """A value that was handed on unread, when there are objects in it, else None.

    It has been looked at for its depth. Raises BodyTooLarge.
    """
    if b"{" not in bytes(raw):  # a long list of tokens, among others
        return None
    _refuse_many_values(raw)
    with _WITHOUT_COLLECTIONS:
        return msgspec.json.decode(raw)


def _refuse_many_values(body: Raw) -> None:
    if _has_more(body, MAX_VALUES, _count_marks):
        raise BodyTooLarge(f"The body holds more than {MAX_VALUES:,} values. Send less at once.")


def _has_more(body: Raw, limit: int, count: Callable[[bytes], int]) -> bool:
    """Whether `count` gives more outside of strings; found without a look at each value."""
    whole = bytes(body)
    if count(whole) <= limit:
        return False
    plain = drop_escapes(whole)
    if plain.count(b'"') > 4 * limit:  # each string is a value, or the key of one
        return True
    return count(drop_strings(plain)) > limit


def _count_marks(body: bytes) -> int:
    """About as many as there are values: every value but the first stands after one of these."""
    return body.count(b",") + body.count(b"{") + body.count(b"[")


def _count_fields(body: bytes) -> int:
    return body.count(b":")


def _nested_too_deeply(max_depth: int, param: str | None = None) -> InvalidRequest:
    message = f"The body is nested too deeply: more than {max_depth} levels. Send it flatter."
    return InvalidRequest(message, param=param)


def _find_deepest(body: Raw, max_depth: int) -> str | None:
    """The path to what is nested too deeply, as far as it helps to find it."""
    path, value = "", bytes(body)
    for level in range(1, NAMED_LEVELS + 1):
        try:
            inner = _decode_level(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            break
        named = inner.items() if isinstance(inner, dict) else enumerate(inner)
        deep = next(((name, raw) for name, raw in named if is_too_deep(raw, max_depth - level)), None)
        if deep is None:
            break
        path += f"[{deep[0]}]" if isinstance(deep[0], int) else f".{deep[0]}"
        value = bytes(deep[1])
    return path.removeprefix(".") or None


def _decode_any(body: Raw) -> Any:
    """The body whatever it holds: what stopped the first look may stand before what is no JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise DataParsingError(str(exc)) from exc


def _may_be_unknown(reason: str) -> bool:
    """Whether msgspec refused what this server may leave out: an unknown field, or a null where there is none."""
    return "contains unknown field" in reason or "got `null`" in reason


def _leave_out(body: Any, model: Any, unknown: Unknown) -> Any:
    """The body without what `model` does not know. Raises InvalidRequest."""
    if isinstance(body, dict) and getattr(model, "hands_options_on", False):
        body = unknown.take_options(body, known=get_fields(model))
    return get_shape(model).clean(body, "", unknown)


def _without_body(model: Any) -> Any:
    """None, where a body may be left out."""
    try:
        return msgspec.convert(None, model)
    except msgspec.ValidationError:
        raise InvalidRequest("The body is empty. Send one JSON object, as application/json.") from None


def _reason(exc: DataParsingError) -> str:
    text = str(exc)
    if isinstance(exc.__cause__, UnicodeDecodeError):
        return "it is not UTF-8"
    # What msgspec says looks like this: JSON is malformed: invalid character (byte 5)
    place = text.removeprefix("JSON is malformed: ").replace(" (byte ", " at byte ").removesuffix(")")
    return "it ends too early" if "truncated" in text else place


def _find_key(reason: str, body: Raw) -> str | None:
    """The key of the metadata that is wrong; msgspec does not tell it."""
    if not reason.endswith(("`$.metadata[...]`", "`key` in `$.metadata`")):
        return None
    try:
        match msgspec.json.decode(body):
            case {"metadata": dict() as metadata}:
                return next((key for key, value in metadata.items() if not _is_metadata({key: value})), None)
    except (ValueError, RecursionError):
        pass  # what follows the metadata is no JSON, or nested without end
    return None


def _is_metadata(value: Any) -> bool:
    try:
        msgspec.convert(value, Metadata)
    except msgspec.ValidationError:
        return False
    return True


def _refuse_nul(body: Raw) -> None:
    if len(body) > MAX_SEARCHED_BYTES:
        raise InvalidRequest("The body holds a NUL character (\\u0000). Leave it out.")
    for path in _nul_paths(msgspec.json.decode(body), ""):
        raise InvalidRequest(f"Invalid '{path}': NUL characters are not allowed. Leave them out.", param=path)


def _nul_paths(value: Any, path: str) -> Iterator[str]:
    """The paths of all strings with a NUL in them."""
    match value:
        case str():
            if "\x00" in value:
                yield path.removeprefix(".")
        case list():
            for index, element in enumerate(value):
                yield from _nul_paths(element, f"{path}[{index}]")
        case dict():
            for key, element in value.items():
                if "\x00" in key:
                    yield path.removeprefix(".")
                yield from _nul_paths(element, f"{path}.{key}")
