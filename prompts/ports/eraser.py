"""Erasing what is due."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Slice:
    """What was erased: whether more of it is left, and handles of what went with it and is to be erased by itself."""

    is_more: bool
    due: Sequence[str] = ()


class Eraser(Protocol):
    """Erases expired and deleted histories, in small slices."""

    async def list_due(self, near: str | None = None) -> Sequence[str]:
        """Handles for `erase_slice` of some of what is due; of a deleted conversation `near`, only what it left.

        What was looked after least comes first. Empty when nothing is due any more. Raises Unavailable.
        """

    async def erase_slice(self, due: str) -> Slice:
        """Erase some of it. Raises Unavailable."""
