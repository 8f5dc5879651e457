"""The likelihoods of tokens, as Chat Completions has them; what cannot be read is left out."""

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
    """Those of a chunk; a refusal has its own, which have no place in an answer."""

    content: list[WireLogprob] | None = None


# Likelihoods of tokens that have no text yet: half a character takes a few. A server sends no more to fill our memory.
MAX_HELD_LOGPROBS = 1_000
# What may be asked for, and what a token takes.
MAX_TOP_LOGPROBS = 20
MAX_TOKEN_CHARACTERS = 1_000

decode_logprobs = msgspec.json.Decoder(WireLogprobs | None).decode


def read_logprobs(raw: Raw) -> list[Logprob]:
    """Those of a chunk's tokens, as far as they can be read."""
    if not raw:
        return []
    try:
        logprobs = decode_logprobs(raw)
    except (msgspec.DecodeError, RecursionError):
        return []
    entries = (logprobs.content or ()) if logprobs else ()
    return [_as_ours(entry) for entry in entries if _is_sound(entry)]


def _as_ours(entry: WireLogprob) -> Logprob:
    top = [
        TopLogprob(option.token, option.logprob, option.bytes or [])
        for option in (entry.top_logprobs or ())[:MAX_TOP_LOGPROBS]
        if _is_sound(option)
    ]
    return Logprob(entry.token, entry.logprob, entry.bytes or [], top)


def _is_sound(entry: WireTopLogprob) -> bool:
    is_short = max(len(entry.token), len(entry.bytes or ())) <= MAX_TOKEN_CHARACTERS
    return is_short and isfinite(entry.logprob)
