"""Which signed-in users may hold client secrets."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class UserProof:
    """What a user's secrets must say to be valid, and what time it is by the clock that ends them."""

    proof: str
    now_s: int


class UserProofs(Protocol):
    """A random proof a user, published while they are signed in: their secrets carry it, and end with it."""

    async def get_proof(self, owner: str) -> UserProof:
        """The user's proof, made when there is none. Raises Unavailable."""

    async def list_owners(self) -> set[str]:
        """Who has a proof. Raises Unavailable."""

    async def withdraw(self, owners: Iterable[str]) -> None:
        """End all secrets of these users. Their next ones carry another proof. Raises Unavailable."""
