"""How many tokens an owner may use: reserved before a model is asked, and settled when it has answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """How many tokens an owner may use within a minute, and within a month of the calendar (UTC). 0: no limit."""

    per_minute: int = 0
    per_month: int = 0

    @property
    def has_any(self) -> bool:
        """Whether there is a limit at all; without one nothing is counted."""
        return self.per_minute > 0 or self.per_month > 0


NO_TOKEN_LIMITS = TokenLimits()


@dataclass(frozen=True, slots=True)
class TokensLeft:
    """What is left of a minute's tokens, and how long it takes until all of them are back."""

    limit: int
    remaining: int
    reset_s: float


@dataclass(frozen=True, slots=True)
class TokenAccount:
    """How many tokens an owner may use now, and what counts of the last minute and of the month.

    Reserved ones are included. Without a limit nothing is counted.
    """

    limits: TokenLimits = NO_TOKEN_LIMITS
    minute: int = 0
    month: int = 0


class TokenMeter(Protocol):
    """Counts the tokens of owners who have limits, exactly and over all replicas."""

    async def reserve(self, reservation_id: str, *, owner: str, tokens: int, limits: TokenLimits) -> TokensLeft | None:
        """Take so many tokens from what is left of the minute and of the month; both, or nothing.

        Gives what is left of the minute, where it has a limit. A reservation that nobody settles is given back to the
        month after a while; the minute forgets it by itself.
        Raises RateLimited (the minute), QuotaExceeded (the month), Unavailable.
        """

    async def settle(self, reservation_id: str, *, owner: str, used: int) -> None:
        """Count what was used in place of what was reserved; 0 gives it back. Raises Unavailable.

        It may be called again within a minute, and the last number counts. Nothing for a reservation that has ended.
        """

    async def look(self, owners: Sequence[str]) -> Sequence[TokenAccount]:
        """The accounts of these owners, in their order. Not for the way of a turn. Raises Unavailable."""


class Unmetered:
    """`TokenMeter` that counts nothing."""

    async def reserve(self, reservation_id: str, *, owner: str, tokens: int, limits: TokenLimits) -> TokensLeft | None:
        """See `TokenMeter.reserve`."""
        return None

    async def settle(self, reservation_id: str, *, owner: str, used: int) -> None:
        """See `TokenMeter.settle`."""

    async def look(self, owners: Sequence[str]) -> Sequence[TokenAccount]:
        """See `TokenMeter.look`."""
        return [TokenAccount() for _ in owners]


UNMETERED = Unmetered()
