"""The published copy of the API keys, and whose request it is."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from prompts.ports.client_secrets import ALL_SCOPES, Scope
from prompts.ports.token_meter import NO_TOKEN_LIMITS, TokenLimits, TokensLeft


class NarrowedKey(Struct, frozen=True, omit_defaults=True):
    """What is published of a key that opens less than everything, or for a time only."""

    owner: str
    scopes: tuple[Scope, ...] = ()
    """In the order of the alphabet; none: all of them."""
    expires_at: int = 0
    """In seconds since 1970, by the clock of Redis; 0: never."""


class Caller(Struct, frozen=True):
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
    token_limits: TokenLimits = NO_TOKEN_LIMITS
    """How many tokens the owner may use."""
    tokens_left: TokensLeft | None = None
    """What is left of a minute's tokens; None where they have no limit."""
    conversation: str | None = None
    """The only conversation that the caller reaches; None for all that the owner has."""
    maker: str | None = None
    """What the API key is published under, for the secrets that it may make; None for a client secret."""
    expires_at: int = 0
    """When the API key expires, in seconds since 1970; 0: never."""
    now_s: int = 0
    """When the request was counted, in seconds since 1970, by the clock that ends client secrets."""
    counted_ahead: int = 0
    """How many more requests of the owner were counted with this one; they are in `remaining`."""


class ApiKeys(Protocol):
    """The published copy of the API keys."""

    async def find_caller(self, key: str, *, ahead: int = 0) -> Caller | None:
        """Whose key or client secret this is, counting this request; None when it is not valid.

        Where requests are limited, at most `ahead` that come within the next second are counted with it: fewer near the
        limit.
        Raises ClientSecretExpired, InvalidApiKey (the key has expired), Unavailable.
        """

    async def tell_running(self, answers: Mapping[str, int]) -> None:
        """Tell the other replicas how many answers of each owner run here. Raises Unavailable."""

    async def published(self) -> dict[str, str]:
        """All published keys that open everything: the hash of each, and its owner."""

    async def publish(self, *, added: Mapping[str, str], removed: Sequence[str]) -> None:
        """Make keys valid (hash → owner) and invalid (hashes), in one step."""

    async def published_narrowed(self) -> dict[str, NarrowedKey]:
        """All other published keys, by their hashes, which are made in another way (`hash_narrowed_key`)."""

    async def publish_narrowed(self, *, added: Mapping[str, NarrowedKey], removed: Sequence[str]) -> None:
        """Likewise of these."""

    async def list_used(self) -> dict[str, int]:
        """When keys were used last, in seconds since 1970, by their hashes; of those that `forget_used` has left."""

    async def forget_used(self, used: Mapping[str, int]) -> None:
        """Forget these times, but for those of keys that were used again since."""
