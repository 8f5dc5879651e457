"""The words in which servers say that an answer has ended: an end is an end only if it says so.

Whatever is not listed is a failure: an engine that shut down (`abort`), a provider that broke (`error`), a call that
could not be read (`MALFORMED_FUNCTION_CALL`), a server out of resources, a word nobody knows.
"""

from typing import Any, Literal

Reason = Literal["stop", "length", "content_filter"]

_WORDS: dict[Reason, tuple[str, ...]] = {
    # OpenAI; TGI and others (`eos`, `eos_token`); Anthropic through relays.
    "stop": ("stop", "tool_calls", "function_call", "eos", "eos_token", "end_turn", "stop_sequence", "tool_use"),
    # OpenAI; Gemini and Anthropic; Mistral, where the context ended.
    "length": ("length", "max_tokens", "model_length"),
    # OpenAI; Gemini (https://ai.google.dev/api/generate-content#FinishReason).
    "content_filter": ("content_filter", "safety", "recitation", "blocklist", "prohibited_content", "spii"),
}
_REASONS = {word: reason for reason, words in _WORDS.items() for word in words}


def read_reason(told: Any) -> Reason | None:
    """What a server's word for the end means, in whatever case; None when it is no end."""
    return _REASONS.get(told.lower()) if isinstance(told, str) else None
