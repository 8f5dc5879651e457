"""A text that comes in many pieces, held in few."""

from collections.abc import Iterable, Iterator

# A piece of a token takes 60 bytes beside its letters. Joined, 64 of them take 60: a byte each.
PIECES_AT_ONCE = 64


class Pieces:
    """Pieces of one text in order. `len` is how many came: about the text's tokens."""

    __slots__ = ("_count", "_held", "_loose_from")

    def __init__(self, pieces: Iterable[str] = ()) -> None:
        self._held: list[str] = []
        self._loose_from = 0
        """Where what is not joined yet begins."""
        self._count = 0
        if pieces:
            self.extend(pieces)

    def append(self, piece: str) -> None:
        """One more."""
        held = self._held
        held.append(piece)
        self._count += 1
        if len(held) - self._loose_from >= PIECES_AT_ONCE:
            held[self._loose_from :] = ["".join(held[self._loose_from :])]
            self._loose_from += 1

    def extend(self, pieces: Iterable[str]) -> None:
        """Some more; of other `Pieces`, as many as came."""
        count = self._count + len(pieces) if isinstance(pieces, Pieces) else None
        for piece in pieces:
            self.append(piece)
        self._count = self._count if count is None else count

    def __iter__(self) -> Iterator[str]:
        """The text in some pieces, fewer than came."""
        return iter(self._held)

    def __len__(self) -> int:
        return self._count
