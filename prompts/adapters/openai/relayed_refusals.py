"""What of a refusal by the model's server may be told: OpenAI's envelope, and nothing that is the operator's."""

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import msgspec
import openai

from prompts.adapters.openai.server_words import has_key
from prompts.errors import NotFound, RateLimited, ServiceError, UpstreamError, UpstreamTimeout

# A key of fewer characters is a word: "none", "unused".
MIN_KEY_CHARACTERS = 8
# Addresses and names inside a cluster or a machine; organisations and projects of the operator's.
_PRIVATE = re.compile(
    r"\b(?:10|127|169\.254|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2,3}\b|\blocalhost\b|::1\b"
    r"|(?<=\w)\.(?:svc|local|internal|lan|cluster)\b|\b(?:org|proj)[-_]\w{6}",
    re.IGNORECASE,
)
# What a code, a type or a param may look like, so that it can be told beside words of ours.
_WORD = re.compile(r"[\w.\[\]-]{1,100}")
_OPERATORS = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED}


@dataclass(frozen=True, slots=True)
class Secrets:
    """What must not be told of the way to the model's server."""

    api_key: str = field(repr=False)
    base_url: str

    def are_in(self, text: str) -> bool:
        """Whether the text holds a key, or an address that only the operator knows."""
        host = urlsplit(self.base_url).hostname or self.base_url
        is_ours = (len(self.api_key) >= MIN_KEY_CHARACTERS and self.api_key in text) or host in text
        return is_ours or has_key(text) or _PRIVATE.search(text) is not None


class _Error(msgspec.Struct):
    message: str
    type: Any = None
    param: Any = None
    code: Any = None


class _Envelope(msgspec.Struct):
    error: _Error


_decode = msgspec.json.Decoder(_Envelope).decode
_encode = msgspec.json.Encoder().encode


def compose_refusal(refused: openai.APIStatusError, ours: ServiceError, secrets: Secrets) -> bytes:
    """The body to answer with: the server's own, or its code with our words.

    Raises `ours`, or something like it, for what is no refusal of the client's request in OpenAI's envelope.
    """
    status, body = refused.status_code, refused.response.content
    if status in _OPERATORS or status < HTTPStatus.BAD_REQUEST:
        raise ours
    try:
        error = _decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _read_foreign(status, body, ours) from refused
    if not secrets.are_in(body.decode()) and not secrets.are_in(error.message):  # the body may hold escapes
        return body
    told = {name: _find_word(getattr(error, name), secrets) for name in ("type", "param", "code")}
    return _encode({"error": {"message": ours.message, **told}})


def _read_foreign(status: int, body: bytes, ours: ServiceError) -> ServiceError:
    """What an error is that is no envelope. JSON says its kind; of a page only the status is believed."""
    if body.lstrip().startswith((b"{", b"[")):
        if status == HTTPStatus.NOT_FOUND and not isinstance(ours, NotFound):
            message = "The model's server does not know this path. Use POST /v1/responses, or ask its operator."
            return NotFound(message, code="unknown_url")
        return ours
    if isinstance(ours, (RateLimited, UpstreamError, UpstreamTimeout)):
        return ours
    return UpstreamError(f"The model's server failed with HTTP {status}. Try again in a moment.", is_final=True)


def _find_word(value: object, secrets: Secrets) -> str | int | None:
    """A code, when it is one."""
    if isinstance(value, str):
        return value if _WORD.fullmatch(value) and not secrets.are_in(value) else None
    return value if isinstance(value, int) else None
