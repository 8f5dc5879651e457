"""The anchor of a turn: the history that it continues."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class InConversation:
    """The turn joins this conversation."""

    id: str


@dataclass(frozen=True, slots=True)
class AfterResponse:
    """The turn continues this response, in a chain of its own."""

    id: str


Anchor: TypeAlias = InConversation | AfterResponse | None
"""None: the turn begins a history."""
