"""Reads JSON bodies: returns the value, or raises a 400 that names the field and has OpenAI's code."""

import re
from typing import Any, TypeVar

import msgspec

from standin.errors import StandInError

T = TypeVar("T")

# What msgspec raises for a bad body: wrong JSON, not UTF-8, nested too deeply.
MALFORMED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

# msgspec's messages that name a field, and OpenAI's code and message for them.
_NAMED = (
    (re.compile(r"Object contains unknown field `(.*)`"), "unknown_parameter", "Unknown parameter: '{}'."),
    (
        re.compile(r"Object missing required field `(.*)`"),
        "missing_required_parameter",
        "Missing required parameter: '{}'.",
    ),
)
_CODES = (
    (re.compile(r"Invalid "), "invalid_value"),
    (re.compile(r"Expected `\w+` >="), "integer_below_min_value"),
    (re.compile(r"Expected `\w+` <="), "integer_above_max_value"),
    (re.compile(r"Expected .*, got "), "invalid_type"),
)


def decode_body(body: bytes, kind: type[T]) -> T:
    """The body as a value of that type. An error's `param` is a path such as `messages[0].role`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except MALFORMED as exc:
        raise _refuse(exc) from exc


def convert_body(value: Any, kind: type[T]) -> T:
    """The same for JSON that is decoded but not checked."""
    try:
        return msgspec.convert(value, kind)
    except MALFORMED as exc:
        raise _refuse(exc) from exc


def _refuse(exc: Exception) -> StandInError:
    what, _, where = str(exc).partition(" - at `")
    path = where.rstrip("`").removeprefix("$").removeprefix(".")
    for pattern, code, message in _NAMED:
        if found := pattern.fullmatch(what):
            param = f"{path}.{found[1]}".removeprefix(".")
            return StandInError(400, message.format(param), code=code, param=param)
    fitting = next((code for pattern, code in _CODES if pattern.match(what)), None)
    return StandInError(400, what + ".", code=fitting, param=path or None)
