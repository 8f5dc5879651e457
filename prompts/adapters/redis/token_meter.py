"""The tokens of owners in Redis: two scripts, of which the first decides. Everything of an owner is in one slot."""

from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.scripts import Scripts
from prompts.errors import QuotaExceeded, RateLimited
from prompts.ports.token_meter import TokenLimits, TokensLeft

# How long what is settled may be settled again: a run that is stopped and whoever stopped it may both do so.
KEPT_MS = 60_000


class RedisTokenMeter:
    """`TokenMeter` on Redis."""

    def __init__(self, redis: Redis, *, hold_s: float, now_ms: int = 0) -> None:
        """A reservation is held for `hold_s`: longer than any answer takes, takeovers included.

        `now_ms` is the time, where it is not that of Redis (0).
        """
        self._scripts = Scripts(redis)
        self._hold_ms = int(hold_s * 1000)
        self._now_ms = now_ms

    async def reserve(self, reservation_id: str, *, owner: str, tokens: int, limits: TokenLimits) -> TokensLeft | None:
        """See `TokenMeter.reserve`."""
        verdict, used, reset_ms, wait_ms, month_used, now_ms = await self._scripts.call(
            "reserve_tokens",
            **_name_keys(owner),
            reservation_id=reservation_id,
            tokens=tokens,
            minute_limit=limits.per_minute,
            month_limit=limits.per_month,
            hold_ms=self._hold_ms,
            told_ms=self._now_ms,
        )
        match verdict:
            case b"minute":
                raise _minute_is_full(tokens, limits.per_minute, used, wait_ms)
            case b"month":
                raise _month_is_full(tokens, limits.per_month, month_used, now_ms)
        limit = limits.per_minute
        return TokensLeft(limit, max(0, limit - used), reset_ms / 1000) if limit else None

    async def settle(self, reservation_id: str, *, owner: str, used: int) -> None:
        """See `TokenMeter.settle`."""
        await self._scripts.call(
            "settle_tokens",
            **_name_keys(owner),
            reservation_id=reservation_id,
            used=used,
            kept_ms=KEPT_MS,
            told_ms=self._now_ms,
        )


def _name_keys(owner: str) -> dict[str, str]:
    return {
        "tokens_key": f"{keys.TOKENS_PREFIX}{owner}",
        "reserved_key": f"{keys.RESERVED_PREFIX}{owner}",
        "ends_key": f"{keys.RESERVED_ENDS_PREFIX}{owner}",
    }


def _minute_is_full(tokens: int, limit: int, used: int, wait_ms: int) -> RateLimited:
    left = max(0, limit - used)
    message = (
        f"This may need {tokens:,} tokens, and of the {limit:,} that you may use within a minute {left:,} are left."
    )
    return RateLimited(message, retry_after_s=wait_ms / 1000)


def _month_is_full(tokens: int, limit: int, used: int, now_ms: int) -> QuotaExceeded:
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    ends = (now.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=32)).replace(day=1)
    left = max(0, limit - used)
    message = (
        f"This may need {tokens:,} tokens, and of the {limit:,} that you may use within a month {left:,} are left. "
        f"Ask for less, ask the operator for more, or wait until {ends:%Y-%m-%d} 00:00 UTC."
    )
    return QuotaExceeded(message, retry_after_s=(ends - now).total_seconds())
