"""Conversations: named, owned, ordered histories."""

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
