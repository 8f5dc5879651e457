"""The likelihoods of tokens, as both protocols have them; what cannot be read is left out."""

from collections.abc import Sequence
from math import isfinite

import msgspec
from msgspec import Raw, Struct

from prompts.domain.items import Logprob, TopLogprob


class WireTopLogprob(Struct):
    """One of the likeliest tokens at a place; some servers tell no bytes."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class WireLogprob(WireTopLogprob):
    """A token of the answer."""

    top_logprobs: list[WireTopLogprob] | None = None


class WireLogprobs(Struct):
    """Those of a chunk of Chat Completions; a refusal has its own, which have no place in an answer."""

    content: list[WireLogprob] | None = None


# Likelihoods of tokens that have no text yet: half a character takes a few. A server sends no more to fill our memory.
MAX_HELD_LOGPROBS = 1_000
# What may be asked for, and what a token takes.
MAX_TOP_LOGPROBS = 20
MAX_TOKEN_CHARACTERS = 1_000

_decode_content = msgspec.json.Decoder(WireLogprobs | None).decode
_decode_entries = msgspec.json.Decoder(list[WireLogprob] | None).decode
# What one event may bring: a whole answer's, at most.
MAX_LOGPROBS = 100_000
_BYTES = range(256)


def read_logprobs(raw: Raw) -> list[Logprob]:
    """Those of a chunk's tokens, as far as they can be read."""
    if not raw:
        return []
    try:
        logprobs = _decode_content(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return _read_entries((logprobs.content or ()) if logprobs else ())


def read_logprob_list(raw: Raw) -> list[Logprob]:
    """The same of a Responses event, which has them without a frame."""
    if not raw:
        return []
    try:
        return _read_entries(_decode_entries(raw) or ())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def _read_entries(entries: Sequence[WireLogprob]) -> list[Logprob]:
    return [_as_ours(entry) for entry in entries[:MAX_LOGPROBS] if _is_sound(entry)]


def _as_ours(entry: WireLogprob) -> Logprob:
    top = [
        TopLogprob(option.token, option.logprob, option.bytes or [])
        for option in (entry.top_logprobs or ())[:MAX_TOP_LOGPROBS]
        if _is_sound(option)
    ]
    return Logprob(entry.token, entry.logprob, entry.bytes or [], top)


def _is_sound(entry: WireTopLogprob) -> bool:
    """Whether it can be stored and shown: short, a number, and bytes that are some."""
    given = entry.bytes or ()
    is_short = max(len(entry.token), len(given)) <= MAX_TOKEN_CHARACTERS
    return is_short and isfinite(entry.logprob) and all(byte in _BYTES for byte in given)
