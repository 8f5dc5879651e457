"""Usage as model servers report it, in whichever protocol; what cannot be believed counts as not reported."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from prompts.adapters.openai.odd_values import read_integer
from prompts.domain.usage import InputTokensDetails, OutputTokensDetails, Usage

# Ten times the longest context there is; a server that reports more is mistaken.
MAX_TOKENS = 100_000_000

# The names of each count, and where it lies; the first that says something counts.
_INPUT = (("prompt_tokens",), ("input_tokens",))
_OUTPUT = (("completion_tokens",), ("output_tokens",))
_CACHED = (
    ("prompt_tokens_details", "cached_tokens"),
    ("input_tokens_details", "cached_tokens"),
    ("prompt_cache_hit_tokens",),  # DeepSeek
    ("cached_tokens",),  # Moonshot
)
_CACHE_WRITE = (
    ("prompt_tokens_details", "cache_write_tokens"),
    ("input_tokens_details", "cache_write_tokens"),
    ("cache_creation_input_tokens",),  # Anthropic's word, as relays hand it on
    ("prompt_tokens_details", "cache_creation_tokens"),  # LiteLLM
)
_REASONING = (
    ("completion_tokens_details", "reasoning_tokens"),
    ("output_tokens_details", "reasoning_tokens"),
    ("reasoning_tokens",),  # Perplexity
)

_decode_from = json.JSONDecoder().raw_decode


def read_usage(reported: Any) -> Usage | None:
    """Ours for theirs, as far as it can be read; None when nothing was reported, or nothing that can be believed."""
    if not isinstance(reported, dict):
        return None
    names = (_INPUT, _OUTPUT, _CACHED, _REASONING, _CACHE_WRITE)
    sent, said, cached, reasoning, cache_write = [_find(reported, paths) for paths in names]
    if sent is None and said is None:
        return None
    counts = [sent or 0, said or 0, cached or 0, reasoning or 0, cache_write or 0]
    if min(counts) < 0 or max(counts) > MAX_TOKENS or not (counts[0] or counts[1]):
        return None
    return Usage(
        input_tokens=counts[0],
        output_tokens=counts[1],
        total_tokens=counts[0] + counts[1],
        input_tokens_details=InputTokensDetails(min(counts[2], counts[0]), min(counts[4], counts[0])),
        output_tokens_details=OutputTokensDetails(counts[3]),
    )


def find_last_usage(tail: bytes) -> Usage | None:
    """The last usage in the end of an answer, whatever stands around it; None when there is none."""
    text = tail.decode(errors="replace")
    end = len(text)
    while (at := text.rfind('"usage"', 0, end)) >= 0:
        end = at
        try:
            reported, _ = _decode_from(text, text.index("{", at))
        except (ValueError, RecursionError):
            continue
        if (usage := read_usage(reported)) is not None:
            return usage
    return None


def _find(reported: Mapping[str, Any], paths: Sequence[Sequence[str]]) -> int | None:
    for place, *inner in paths:
        value = reported.get(place)
        for name in inner:
            value = value.get(name) if isinstance(value, dict) else None
        if type(value) is int:  # nearly all that is there
            return value
        if value is not None and (count := read_integer(value)) is not None:
            return count
    return None
