"""Errors of a model's server in its own words: for our decisions and for the log.

Clients never see these words: they name addresses, organisations and keys.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prompts.adapters.openai.odd_values import read_integer, read_text

# Enough for a log line; some servers repeat the whole request.
MAX_TOLD_CHARACTERS = 500
# How much of an error is searched.
MAX_WORDS_CHARACTERS = 64 * 1024
_HTTP_ERRORS = range(400, 600)
# An error in an error, as gateways wrap them.
_MAX_DEPTH = 3
# Where FastAPI and pydantic repeat the request; and how far an error is looked into.
_ECHOES = {"input", "body", "ctx", "url"}
_MAX_ECHO_DEPTH = 8
_MAX_ENTRIES = 100
# OpenAI's and DeepSeek's keys, Google's, Groq's, xAI's, Hugging Face's; and what errors say of a key that is wrong.
_BEGINNINGS = r"\bsk-|secret|AIza|gsk_|xai-|hf_"
_KEYS = re.compile(rf"\S*(?:{_BEGINNINGS})\S*|bearer\s+\S+|(?<=provided: )\S+", re.IGNORECASE)
# The same without the rest of the word: this one is quick in a text of any length.
_ANY_KEY = re.compile(rf"{_BEGINNINGS}|bearer\s|provided: ", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ServerWords:
    """An error as a server tells it: `codes` are its code, type and status, as strings."""

    words: str
    whole: str = ""
    """The whole error as JSON, without what repeats our request."""
    codes: frozenset[str] = frozenset()
    param: str = ""
    status: int | None = None
    """The HTTP status; for an error that came with status 200, the code in its body."""
    retry_after_s: float | None = field(default=None, kw_only=True)


class ForeignError(Exception):
    """A server's own words, as the cause of an error of ours."""

    def __init__(self, told: ServerWords) -> None:
        super().__init__(mask_keys(told.words))
        self.told = told


def read_server_words(error: Any, *, status: int | None = None, retry_after_s: float | None = None) -> ServerWords:
    """Read an error in any form: a string, an object, an object in a list."""
    told = _find_innermost(error)
    if told is None:
        words = _as_words(error)
        return ServerWords(words, words, status=status, retry_after_s=retry_after_s)
    named = [told.get(name) for name in ("code", "type", "status")]
    in_body = next((number for value in named if (number := read_integer(value)) in _HTTP_ERRORS), None)
    return ServerWords(
        words=_as_words(told.get("message") or told.get("detail") or told),
        whole=_as_words(_without_echo(told)),
        codes=frozenset(read_text(value) for value in named if value),
        param=read_text(told.get("param")),
        status=in_body if status is None else status,
        retry_after_s=retry_after_s,
    )


def mask_keys(words: str) -> str:
    """The words for a log: short, on one line, without anything that looks like a key, or that a terminal obeys."""
    line = " ".join(_KEYS.sub("***", words[:MAX_TOLD_CHARACTERS]).split())
    return "".join(each if each.isprintable() else "\ufffd" for each in line)


def has_key(words: str) -> bool:
    """Whether something in them looks like a key."""
    return _ANY_KEY.search(words) is not None


def _find_innermost(error: Any) -> Mapping[str, Any] | None:
    """The innermost error object. Gemini sends a list; gateways wrap the error of the server behind them."""
    for _ in range(_MAX_DEPTH):
        if isinstance(error, list) and error:
            error = error[0]
        if not isinstance(error, Mapping):
            return None
        if not isinstance(error.get("error"), Mapping):
            break
        error = error["error"]
    return error if isinstance(error, Mapping) else None


def _without_echo(value: Any, depth: int = 0) -> Any:
    """The same without our own request: validators repeat the input that they refuse."""
    if depth > _MAX_ECHO_DEPTH:
        return None
    if isinstance(value, Mapping):
        return {name: _without_echo(entry, depth + 1) for name, entry in value.items() if name not in _ECHOES}
    if isinstance(value, list):
        return [_without_echo(entry, depth + 1) for entry in value[:_MAX_ENTRIES]]
    return value


def _as_words(value: Any) -> str:
    if isinstance(value, str):
        return value[:MAX_WORDS_CHARACTERS]
    try:
        return json.dumps(value, default=str)[:MAX_WORDS_CHARACTERS]
    except (ValueError, RecursionError):
        return ""
