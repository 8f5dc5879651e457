"""Reads what a tester asks for: `[[standin key=value …]]` in a message, or the same in the environment.

README.md explains the keys. An unknown key or an impossible value is refused with a 400: a misspelt test must fail, not
pass for the wrong reason.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from standin.errors import StandInError

Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]
Count = Annotated[int, msgspec.Meta(ge=0)]

_WRITTEN = re.compile(r"[ \t]*\[\[standin\b(.*?)\]\][ \t]*", re.DOTALL)
_PAIR = re.compile(r'(\w+)(?:=(?:"([^"]*)"|(\S+)))?')


class Directives(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one request is answered; by default, without any fault."""

    headers_s: Seconds = 0.0
    first_token_s: Seconds = 0.0
    token_s: Seconds = 0.0
    tokens_at_once: Annotated[int, msgspec.Meta(ge=1)] = 1
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] | None = None
    retry_after: Seconds = 0.0
    fail: Count | None = None
    key: str | None = None
    cut_after: Count | None = None
    end_after: Count | None = None
    silence_after: Count | None = None
    garbage_after: Count | None = None
    error_after: Count | None = None
    failed_after: Count | None = None
    code: str | None = None
    finish: str | None = None
    reason: str = ""
    summary: str = ""
    interleave: Count = 0
    bad_json: bool = False
    refuse: bool = False
    echo_prefix: bool = False
    no_prefix: bool = False
    no_usage: bool = False


def strip_directives(text: str) -> str:
    """The text without its directives."""
    if "[[standin" not in text:
        return text
    return _WRITTEN.sub(lambda found: " " if found.start() > 0 and found.end() < len(text) else "", text)


def find_directives(text: str) -> dict[str, str]:
    """The keys and values in a text. A key alone means true."""
    return parse_pairs(" ".join(_WRITTEN.findall(text))) if "[[standin" in text else {}


def parse_pairs(words: str) -> dict[str, str]:
    """`key=value key="two words" flag` as a dictionary."""
    found = (pair.groups() for pair in _PAIR.finditer(words))
    return {key: quoted if quoted is not None else bare or "true" for key, quoted, bare in found}


def compose_directives(*layers: Mapping[str, Any]) -> Directives:
    """One set of directives from several; later layers win. Raises a 400 for an unknown key."""
    merged = {key: value for layer in layers for key, value in layer.items()}
    try:
        return msgspec.convert(merged, Directives, strict=False)
    except msgspec.ValidationError as exc:
        raise StandInError(400, f"Not a directive of the stand-in: {exc}.", code="bad_directive") from exc
