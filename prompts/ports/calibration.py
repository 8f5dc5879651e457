"""What models report of tokens, beside what was estimated."""

from typing import Protocol


class Calibration(Protocol):
    """What models report of tokens, as a multiple of what we estimate; all replicas learn it together.

    Each owner's is their own: what one sends, and how it is counted, moves nobody else's.
    """

    def get_factor(self, model: str, *, owner: str) -> float:
        """The multiple for this model, at most some seconds old; 1.0 while unknown."""

    def learn(self, model: str, *, owner: str, estimated: int, reported: int) -> None:
        """Note what an answer has shown; it is told to the other replicas later, and lost with this process.

        Nothing is learned from a number that no model can mean.
        """
