"""What the store holds of an owner beside their things: indexes, counters, records of retries."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FoundTraces:
    """What a look through all keys has found of an owner."""

    idempotency_records: Sequence[str]
    vector_stores: Sequence[str]
    """Also those that their list does not have."""


class OwnerTraces(Protocol):
    """Every method raises Unavailable. None of this is for the way of a request: `find` looks at every key."""

    async def find(self, owner: str) -> FoundTraces:
        """Look for them; records of retries are found as long as their responses are there."""

    async def erase_records(self, records: Collection[str]) -> int:
        """Erase records of retries; how many there were."""

    async def erase_counters(self, owner: str, *, key_hashes: Collection[str]) -> int:
        """Erase indexes and counters of the owner, and when their keys were used last; how many there were."""

    async def forget_vectors(self) -> int:
        """Forget the vectors that are kept of all texts: whose each is, nobody can tell. How many there were."""

    async def list_erasing(self, vector_stores: Collection[str]) -> Sequence[str]:
        """Those of these deleted vector stores of which something is left."""
