"""The published copy of the API keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose key a request carries, and what is left of their requests a minute (limit 0: there is no limit)."""

    owner: str
    may_ask: bool
    limit: int
    remaining: int
    reset_s: float
    elsewhere: int = 0
    """How many of the owner's answers other replicas run, a moment ago."""


class ApiKeys(Protocol):
    """The published copy of the API keys."""

    async def find_caller(self, key: str) -> Caller | None:
        """Whose key this is, counting this request; None when it is not valid."""

    async def tell_running(self, answers: Mapping[str, int]) -> None:
        """Tell the other replicas how many answers of each owner run here. Raises Unavailable."""

    async def published(self) -> dict[str, str]:
        """All published keys: the hash of each, and its owner."""

    async def publish(self, *, added: Mapping[str, str], removed: Sequence[str]) -> None:
        """Make keys valid (hash → owner) and invalid (hashes), in one step."""
