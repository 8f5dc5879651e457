"""The published copy of the API keys, and whose request it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prompts.ports.client_secrets import ALL_SCOPES, Scope


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
    scopes: frozenset[Scope] = ALL_SCOPES
    """What the caller may do."""
    conversation: str | None = None
    """The only conversation that the caller reaches; None for all that the owner has."""
    maker: str | None = field(default=None, compare=False)
    """The hash of the API key that the request carries, for the secrets that it may make; None for a client secret."""
    now_s: int = field(default=0, compare=False)
    """When the request was counted, in seconds since 1970, by the clock that ends client secrets."""


class ApiKeys(Protocol):
    """The published copy of the API keys."""

    async def find_caller(self, key: str) -> Caller | None:
        """Whose key or client secret this is, counting this request; None when it is not valid.

        Raises ClientSecretExpired, Unavailable.
        """

    async def tell_running(self, answers: Mapping[str, int]) -> None:
        """Tell the other replicas how many answers of each owner run here. Raises Unavailable."""

    async def published(self) -> dict[str, str]:
        """All published keys: the hash of each, and its owner."""

    async def publish(self, *, added: Mapping[str, str], removed: Sequence[str]) -> None:
        """Make keys valid (hash → owner) and invalid (hashes), in one step."""
