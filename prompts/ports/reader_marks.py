"""Marks of readers: who reads a response, for all replicas to see."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class Reader(Struct, frozen=True):
    """Somebody who reads a response; the id is new for each."""

    response_id: str
    id: str


class ReaderMarks(Protocol):
    """The marks. One holds for the time of a lease, so that it ends with its replica."""

    async def mark(self, readers: Sequence[Reader]) -> None:
        """Mark them, or renew their marks. Raises Unavailable."""

    async def unmark(self, reader: Reader) -> None:
        """Remove a mark, if it is there, and tell those who watch the log. Raises Unavailable."""

    async def has_any(self, response_id: str) -> bool:
        """Whether there are marks, of which some may be over. Raises Unavailable."""


class Unmarked:
    """`ReaderMarks` that nobody looks at."""

    async def mark(self, readers: Sequence[Reader]) -> None:
        """See `ReaderMarks.mark`."""

    async def unmark(self, reader: Reader) -> None:
        """See `ReaderMarks.unmark`."""

    async def has_any(self, response_id: str) -> bool:
        """See `ReaderMarks.has_any`."""
        return False


UNMARKED = Unmarked()
