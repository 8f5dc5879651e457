"""Reads the values that a message gives for arguments: `city=Paris`, `"days": 3`, `tags=["a", "b"]`, and quoted texts.

A text is quoted by "…" (with JSON's escapes), '…', “…” or `…`. A text of several lines stands between two lines of
three backticks, or is a here-document: `<<END`, its lines, and `END` on a line of its own.
"""

import re
from collections.abc import Iterator, Sequence
from json import JSONDecoder
from typing import Any

import msgspec

from standin.json_schema.scalars import Schema, get_type

_NAME = r"""(?:(?P<mark>["']?)\b(?P<name>\w+)(?P=mark)\s*[=:]\s*)"""
_OPENING = re.compile(rf"""{_NAME}|(?=["“`]|<<["']?\w)|(?<!\w)(?=')""")
_QUOTED = (
    re.compile(r"<<(?P<mark>[\"']?)(?P<end>\w+)(?P=mark)[ \t]*\n(?P<text>.*?)\n?^(?P=end)$", re.DOTALL | re.MULTILINE),
    re.compile(r"```[^\n`]*\n(?P<text>.*?)\n?^```", re.DOTALL | re.MULTILINE),
    re.compile(r'"(?P<escaped>(?:[^"\\]|\\.)*)"', re.DOTALL),
    re.compile(r"“(?P<text>[^”]+)”|'(?P<single>[^']*)'(?!\w)|`(?P<ticks>[^`]+)`"),
)
_BARE = re.compile(r"[^\s,;]+")
# Texts of several lines are written as they are, so control characters are allowed.
_JSON = JSONDecoder(strict=False)


class Given(msgspec.Struct, frozen=True):
    """One value of a message, and where it stands. `name` is empty for a quoted text without one."""

    name: str
    value: Any
    start: int
    end: int
    is_bare: bool = False


class MessageValues:
    """The values that a message gives for the properties of one object."""

    def __init__(self, text: str, tools: Sequence[str] = ()) -> None:
        """`tools`: names that are no values, even when they are quoted, and no properties: `search: "tea"`."""
        given = list_given(text)
        self._named = {one.name: one for one in given if one.name and one.name not in tools}
        texts = [one for one in given if not one.name or (one.name in tools and not one.is_bare)]
        self._texts = [one.value for one in texts if isinstance(one.value, str) and one.value not in tools]
        self._taken: dict[str, str] = {}

    def __call__(self, name: str, schema: Schema) -> Any:
        """The message's value for a property, converted to its type; None when it gives none."""
        if name in self._named:
            return _convert(self._named[name], get_type(schema))
        if name not in self._taken and self._texts and get_type(schema) == "string" and "enum" not in schema:
            self._taken[name] = self._texts.pop(0)
        return self._taken.get(name)


def list_given(text: str) -> list[Given]:
    """The values of a message in order. What stands inside one is not read again."""
    return list(_find_given(text))


def strip_given(text: str, keep: Sequence[str]) -> str:
    """The text without the values that it gives, except those in `keep`: what is left is said about them."""
    kept, place = "", 0
    for one in list_given(text):
        if one.value not in keep:
            kept, place = kept + text[place : one.start] + " ", one.end
    return kept + text[place:]


def _find_given(text: str) -> Iterator[Given]:
    place = 0
    while opening := _OPENING.search(text, place):
        given = _read_value(text, opening["name"] or "", opening.end())
        if given is not None and (given.name or given.value):
            yield given
        place = given.end if given is not None else max(opening.end(), opening.start() + 1)


def _read_value(text: str, name: str, start: int) -> Given | None:
    for kind in _QUOTED:
        if found := kind.match(text, start):
            parts = found.groupdict()
            if (escaped := parts.get("escaped")) is not None:
                return Given(name, _unescape(escaped), start, found.end())
            quoted = next(parts[part] for part in ("text", "single", "ticks") if parts.get(part) is not None)
            return Given(name, quoted, start, found.end())
    if not name:
        return None
    if text[start : start + 1] in ("[", "{") and (read := _read_json(text, start)):
        return Given(name, read[0], start, read[1])
    bare = _BARE.match(text, start)
    return Given(name, bare[0], start, bare.end(), is_bare=True) if bare else None


def _read_json(text: str, start: int) -> tuple[Any, int] | None:
    try:
        return _JSON.raw_decode(text, start)
    except ValueError:
        return None


def _unescape(escaped: str) -> str:
    read = _read_json(f'"{escaped}"', 0)
    return read[0] if read else escaped


def _convert(given: Given, kind: str) -> Any:
    """The value as this type; a value without quotes loses the sentence's punctuation."""
    value = given.value
    if not isinstance(value, str):
        return value
    bare = value.rstrip(".!?)")
    if kind in {"integer", "number", "boolean"}:
        return _convert_scalar(bare, kind)
    return bare if given.is_bare and not value.endswith(("...", "…")) else value


def _convert_scalar(text: str, kind: str) -> int | float | bool | None:
    try:
        value: int | float | bool = msgspec.convert(
            text.lower(), {"integer": int, "number": int | float}.get(kind, bool), strict=False
        )
    except msgspec.ValidationError:
        return None
    return value
