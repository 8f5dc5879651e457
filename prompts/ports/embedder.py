"""Vectors of texts, from a model's server."""

from collections.abc import Sequence
from typing import Protocol


class Embedder(Protocol):
    """One embedding model."""

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """A vector a text, in order, all of one length. Raises what the model's server fails at (`prompts.errors`)."""
