"""What a protocol has to write so that a reply can be delivered in it."""

from collections.abc import Sequence
from typing import Protocol

from standin.delivery.pieces import Piece
from standin.errors import StandInError


class Writer(Protocol):
    """Writes one reply in one protocol, in the order of its pieces, once; nothing of it waits or decides."""

    def compose_greeting(self) -> bytes:
        """What goes out with the headers, before the model has thought of anything; may be empty."""
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
        """The end of a stream whose answer failed, where the protocol has one; else the error."""
        ...

    def compose_whole(self) -> bytes:
        """The answer in one document."""
        ...

    def compose_failed_whole(self, error: StandInError, after: int) -> bytes:
        """The document of an answer that failed after so many pieces; raises the error where there is no such thing."""
        ...
