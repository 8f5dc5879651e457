"""Conversations: named, owned, ordered histories."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

Metadata: TypeAlias = dict[str, str]


class Conversation(Struct, frozen=True, kw_only=True):
    """A named, owned, ordered history; what the API shows of it."""

    id: str
    object: Literal["conversation"] = "conversation"
    created_at: int
    metadata: Metadata = {}
    title: str | None = None
    active_response_id: str | None = None
    forked_from: str | None = None
    last_used_ms: int | None = None
    """Known where an owner's conversations are listed, and only there."""


def has_words(title: str | None, words: Sequence[str]) -> bool:
    """Whether each of the words, or the beginning of one, is somewhere in the title, whatever their case."""
    told = (title or "").casefold()
    return all(word.casefold() in told for word in words)
