"""Erasing what is due."""

from collections.abc import Sequence
from typing import Protocol


class Eraser(Protocol):
    """Erases what is due, in slices that hold nobody up."""

    async def list_due(self, near: str | None = None) -> Sequence[str]:
        """Some of what is to be erased now, each a handle for `erase_slice`; `near` an id: what could hang below it.

        Empty when nothing is due any more. Raises Unavailable.
        """

    async def erase_slice(self, due: str) -> bool:
        """Erase some of it; whether more is left. Raises Unavailable."""
