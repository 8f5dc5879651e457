"""The store of compacted histories."""

from collections.abc import Sequence
from typing import Protocol

from prompts.domain.anchors import Anchor
from prompts.domain.items import Item
from prompts.domain.responses import CompactedHistory
from prompts.ports.responses import Attached, Claim


class Compactions(Protocol):
    """Compactions that a turn can continue from."""

    async def find(self, claim: Claim, partition: str, *, owner: str, anchor: Anchor) -> Attached | None:
        """The compaction that the same request was given before. Raises KeyReused, Unavailable."""

    async def keep(
        self, compacted: CompactedHistory, given: Sequence[Item], claim: Claim, *, owner: str, anchor: Anchor
    ) -> Attached | None:
        """Make it a response that has ended, whose history is its output and whose input was `given`.

        Gives the one that the same request was given meanwhile, and keeps nothing then. Raises KeyReused, Unavailable.
        """
