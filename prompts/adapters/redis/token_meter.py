"""The tokens of owners in Redis: two scripts, of which the first decides. Everything of an owner is in one slot."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.project_limits import decode_limits
from prompts.adapters.redis.scripts import Scripts, translated_errors
from prompts.errors import QuotaExceeded, RateLimited
from prompts.ports.token_meter import NO_TOKEN_LIMITS, TokenAccount, TokenLimits, TokensLeft

# How long what is settled may be settled again: a run that is stopped and whoever stopped it may both do so.
KEPT_MS = 60_000
# As in lua/parts/tokens.lua.
SLOT_S = 61


class RedisTokenMeter:
    """`TokenMeter` on Redis."""

    def __init__(self, redis: Redis, *, hold_s: float, limits: TokenLimits = NO_TOKEN_LIMITS, now_ms: int = 0) -> None:
        """A reservation is held for `hold_s`: longer than any answer takes, takeovers included.

        `limits` are those of owners whose project sets none. `now_ms` is the time, where it is not that of Redis (0).
        """
        self._redis = redis
        self._limits = limits
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

    async def look(self, owners: Sequence[str]) -> Sequence[TokenAccount]:
        """See `TokenMeter.look`."""
        if not owners:
            return []
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.time()
            pipeline.hmget(keys.LIMITS, list(owners))
            for owner in owners:
                pipeline.hgetall(f"{keys.TOKENS_PREFIX}{owner}")
            (seconds, _), limits, *tokens = await pipeline.execute()
        now_s = self._now_ms // 1000 or seconds
        return [self._read_account(*found, now_s=now_s) for found in zip(limits, tokens, strict=True)]

    def _read_account(self, limits: bytes | None, tokens: Mapping[bytes, Any], *, now_s: int) -> TokenAccount:
        own = decode_limits(limits or b"{}")
        minute = sum(
            int(count) for name, count in tokens.items() if name.startswith(b"s:") and int(name[2:]) + SLOT_S > now_s
        )
        month = int(tokens.get(f"m:{datetime.fromtimestamp(now_s, UTC):%Y%m}".encode(), 0))
        per_minute = self._limits.per_minute if own.tokens_per_minute is None else own.tokens_per_minute
        per_month = self._limits.per_month if own.tokens_per_month is None else own.tokens_per_month
        return TokenAccount(TokenLimits(per_minute, per_month), minute, month)


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
