"""Texts that clients carry and cannot read."""

from typing import Literal, Protocol, TypeAlias

SealKind: TypeAlias = Literal["reasoning", "compaction"]
"""What a sealed text is."""


class Sealer(Protocol):
    """Seals texts that clients carry and must neither read nor change; another owner's or another kind's opens not."""

    def seal(self, owner: str, kind: SealKind, text: str) -> str:
        """The text, sealed, in characters that any JSON or URL can hold; the same text gives another seal each time."""

    def open(self, owner: str, kind: SealKind, sealed: str) -> str:
        """The text again, on any replica. Raises BrokenSeal."""
