"""Erasing what is due."""

from collections.abc import Sequence
from typing import Protocol


class Eraser(Protocol):
    """Erases expired and deleted histories, in small slices."""

    async def list_due(self, near: str | None = None) -> Sequence[str]:
        """Handles for `erase_slice` of some of what is due; `near` an id: only what its deletion made due.

        Empty when nothing is due any more. Raises Unavailable.
        """

    async def erase_slice(self, due: str) -> bool:
        """Erase some of it; whether more is left. Raises Unavailable."""
