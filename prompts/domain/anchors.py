"""The anchor of a turn: the history that it continues."""

from typing import TypeAlias

from msgspec import Struct


class InConversation(Struct, frozen=True):
    """The turn joins this conversation."""

    id: str


class AfterResponse(Struct, frozen=True):
    """The turn continues this response, in a chain of its own."""

    id: str


Anchor: TypeAlias = InConversation | AfterResponse | None
"""None: the turn begins a history."""
