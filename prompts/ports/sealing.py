"""Texts that clients carry and cannot read."""

from typing import Literal, Protocol, TypeAlias

SealKind: TypeAlias = Literal["reasoning", "compaction", "client_secret"]
"""What a sealed text is."""


class Sealer(Protocol):
    """Seals texts that clients carry and cannot read or change. A seal opens only for its owner and kind."""

    def seal(self, owner: str, kind: SealKind, text: str) -> str:
        """The sealed text, safe in JSON and URLs. Sealing the same text again gives another seal."""

    def open(self, owner: str, kind: SealKind, sealed: str) -> str:
        """The text, on any replica. Raises BrokenSeal."""
