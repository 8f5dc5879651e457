"""Ids of calls: what can be stored and come back, and what some servers want them to be."""

import secrets
from hashlib import sha256
from typing import Any

# What our own API takes as a call's id; a longer one could not come back to us with the call's output.
MAX_CALL_ID_CHARACTERS = 64
# Mistral's form: nine letters and digits (https://github.com/mistralai/mistral-common, `TOOL_CALL_ID`).
SHORT_ID_CHARACTERS = 9


def is_fit_call_id(wire_id: str) -> bool:
    """Whether a server's id can be stored and come back: short, and without control characters."""
    return 0 < len(wire_id) <= MAX_CALL_ID_CHARACTERS and wire_id.isprintable()


def make_call_id() -> str:
    """An id of ours for a call."""
    return f"call_{secrets.token_hex(12)}"


def with_short_ids(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with ids in Mistral's form. An id becomes the same one in every request."""
    return [_shorten_in(message) for message in messages]


def _shorten_in(message: dict[str, Any]) -> dict[str, Any]:
    if "tool_call_id" in message:
        return {**message, "tool_call_id": shorten(message["tool_call_id"])}
    if "tool_calls" in message:
        return {**message, "tool_calls": [{**call, "id": shorten(call["id"])} for call in message["tool_calls"]]}
    return message


def shorten(call_id: str) -> str:
    """The id itself when it has the form; else nine hexadecimal digits of its hash."""
    is_short = len(call_id) == SHORT_ID_CHARACTERS and call_id.isascii() and call_id.isalnum()
    return call_id if is_short else sha256(call_id.encode()).hexdigest()[:SHORT_ID_CHARACTERS]
