"""Reads JSON bodies: `decode_body` returns the value or raises a 400 that names the field."""

from typing import TypeVar

import msgspec

from embedded.standin.errors import StandInError

T = TypeVar("T")

# What msgspec raises for bytes that are not the JSON it was told to expect: also not UTF-8, and nested too deeply.
MALFORMED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def decode_body(body: bytes, kind: type[T]) -> T:
    """The body as a value of that type; the error's param names a bad place as `messages[0].role`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except MALFORMED as exc:
        what, _, where = str(exc).partition(" - at `")
        raise StandInError(400, what + ".", param=where.rstrip("`").removeprefix("$.") or None) from exc
