"""The interface of a protocol's writer."""

from collections.abc import Sequence
from typing import Protocol

from standin.delivery.pieces import Piece
from standin.errors import StandInError


class Writer(Protocol):
    """Writes one reply in one protocol, once, in the order of its pieces. It never waits and decides nothing."""

    def compose_greeting(self) -> bytes:
        """What goes out with the headers, before the model begins; may be empty."""
        ...

    def compose_opening(self) -> bytes:
        """What comes before the first piece; may be empty."""
        ...

    def compose_chunk(self, pieces: Sequence[Piece]) -> bytes:
        """The events of a few pieces of the same part."""
        ...

    def compose_closing(self) -> bytes:
        """What comes after the last piece, up to the end of the stream."""
        ...

    def compose_error(self, error: StandInError) -> bytes:
        """An error in the middle of the stream."""
        ...

    def compose_failure(self, error: StandInError) -> bytes:
        """The end of a stream whose answer failed; in a protocol without failed answers, the error."""
        ...

    def compose_whole(self) -> bytes:
        """The answer as one document."""
        ...

    def compose_failed_whole(self, error: StandInError, after: int) -> bytes:
        """The document of an answer that failed after `after` pieces.

        Raises the error in a protocol without such documents.
        """
        ...
