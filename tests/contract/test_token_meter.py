"""`TokenMeter`: tokens of a minute and of a month, over all replicas. On Redis alone: there is no fake."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.api_keys import RedisApiKeys
from prompts.adapters.redis.project_limits import RedisProjectLimits
from prompts.adapters.redis.token_meter import RedisTokenMeter
from prompts.domain.ids import hash_key
from prompts.errors import QuotaExceeded, RateLimited, ServiceError
from prompts.ports.api_keys import Caller
from prompts.ports.project_limits import Limits
from prompts.ports.token_meter import TokenAccount, TokenLimits
from tests.contract.port_turns import OWNER, STRANGER

KEY = "a key of Alice's"
HOLD_S = 600
MINUTE, MONTH = TokenLimits(per_minute=1_000), TokenLimits(per_month=1_000)

At: TypeAlias = Callable[[str], RedisTokenMeter]


@pytest.fixture
def at(redis: Redis) -> At:
    """The meter of some replica at a time, as `2026-11-30 12:00:00`."""

    def open_meter(time: str) -> RedisTokenMeter:
        now_ms = int(datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp() * 1000)
        return RedisTokenMeter(redis, hold_s=HOLD_S, now_ms=now_ms)

    return open_meter


async def reserve(
    meter: RedisTokenMeter, tokens: int, limits: TokenLimits, name: str = "one", owner: str = OWNER
) -> int | None:
    """Reserve, and what is left of the minute."""
    left = await meter.reserve(name, owner=owner, tokens=tokens, limits=limits)
    return left.remaining if left else None


async def find_month(redis: Redis, month: str = "202611", owner: str = OWNER) -> int:
    """What counts of a month."""
    return int(await redis.hget(f"{keys.TOKENS_PREFIX}{owner}", f"m:{month}") or 0)


async def get_refusal(asking: Awaitable[object]) -> ServiceError:
    """What a reservation is refused with."""
    with pytest.raises((RateLimited, QuotaExceeded)) as raised:
        await asking
    return raised.value


async def test_a_minute_has_room_until_it_is_full(at: At) -> None:
    meter = at("2026-11-30 12:00:00")
    left = await meter.reserve("one", owner=OWNER, tokens=600, limits=MINUTE)
    assert left is not None
    assert (left.limit, left.remaining, left.reset_s) == (1_000, 400, 61)
    refusal = await get_refusal(reserve(meter, 401, MINUTE, "two"))
    assert isinstance(refusal, RateLimited)
    assert "401 tokens" in refusal.message
    assert "400 are left" in refusal.message
    assert refusal.retry_after_s == 61
    assert await reserve(meter, 400, MINUTE, "three") == 0
    assert await reserve(meter, 1_000, MINUTE, owner=STRANGER) == 0


async def test_a_minute_slides(at: At) -> None:
    await reserve(at("2026-11-30 12:00:00"), 300, MINUTE, "one")
    await reserve(at("2026-11-30 12:00:40"), 600, MINUTE, "two")
    refusal = await get_refusal(reserve(at("2026-11-30 12:00:50"), 700, MINUTE, "three"))
    assert refusal.retry_after_s == 51  # until both are gone
    assert (await get_refusal(reserve(at("2026-11-30 12:00:50"), 400, MINUTE, "three"))).retry_after_s == 11
    await get_refusal(reserve(at("2026-11-30 12:01:00"), 400, MINUTE, "three"))
    assert await reserve(at("2026-11-30 12:01:01"), 400, MINUTE, "three") == 0


async def test_what_was_not_used_is_given_back(redis: Redis, at: At) -> None:
    meter = at("2026-11-30 12:00:00")
    await reserve(meter, 900, MINUTE)
    for _ in range(2):
        await at("2026-11-30 12:00:05").settle("one", owner=OWNER, used=100)
        assert await find_month(redis) == 100
    assert await reserve(at("2026-11-30 12:00:05"), 900, MINUTE, "two") == 0


async def test_what_was_used_besides_counts_from_its_settlement_on(redis: Redis, at: At) -> None:
    await reserve(at("2026-11-30 12:00:00"), 100, MINUTE)
    await at("2026-11-30 12:05:00").settle("one", owner=OWNER, used=900)
    assert await find_month(redis) == 900
    assert (await get_refusal(reserve(at("2026-11-30 12:05:30"), 300, MINUTE, "two"))).retry_after_s == 31
    assert await reserve(at("2026-11-30 12:06:01"), 300, MINUTE, "two") == 700


async def test_it_is_settled_by_the_last_who_knows_better(redis: Redis, at: At) -> None:
    await reserve(at("2026-11-30 12:00:00"), 500, MONTH)
    for used in (20, 700, 0, 130):
        await at("2026-11-30 12:00:01").settle("one", owner=OWNER, used=used)
        assert await find_month(redis) == used
    await reserve(at("2026-11-30 12:02:00"), 1, MONTH, "two")
    await at("2026-11-30 12:02:00").settle("one", owner=OWNER, used=900)  # too late
    assert await find_month(redis) == 131


async def test_the_same_reservation_again_takes_nothing_more(redis: Redis, at: At) -> None:
    meter = at("2026-11-30 12:00:00")
    assert [await reserve(meter, 700, MINUTE) for _ in range(3)] == [300, 300, 300]
    assert await find_month(redis) == 700


async def test_a_month_has_room_until_it_is_full_and_begins_anew(redis: Redis, at: At) -> None:
    await reserve(at("2026-11-02 12:00:00"), 800, MONTH, "one")
    await at("2026-11-02 12:00:00").settle("one", owner=OWNER, used=900)
    refusal = await get_refusal(reserve(at("2026-11-30 23:59:00"), 101, MONTH, "two"))
    assert isinstance(refusal, QuotaExceeded)
    assert "100 are left" in refusal.message
    assert "wait until 2026-12-01 00:00 UTC" in refusal.message
    assert refusal.retry_after_s == 60
    assert await reserve(at("2026-11-30 23:59:59"), 100, MONTH, "two") is None
    assert await reserve(at("2026-12-01 00:00:00"), 1_000, MONTH, "three") is None
    await at("2026-12-01 00:00:10").settle("two", owner=OWNER, used=1_000)  # it was the last month's
    await at("2026-12-01 00:00:10").settle("three", owner=OWNER, used=1_000)
    assert await find_month(redis, "202612") == 1_000
    await get_refusal(reserve(at("2026-12-31 23:59:59"), 1, MONTH, "four"))
    assert await reserve(at("2027-01-01 00:00:00"), 1_000, MONTH, "four") is None


@pytest.mark.parametrize(
    ("time", "month"),
    [
        ("2024-02-29 23:59:59", "202402"),
        ("2024-03-01 00:00:00", "202403"),
        ("2027-02-28 23:59:59", "202702"),
        ("2027-12-31 23:59:59", "202712"),
        ("2028-01-01 00:00:00", "202801"),
        ("2100-02-28 23:59:59", "210002"),
        ("2100-03-01 00:00:00", "210003"),
    ],
)
async def test_months_are_those_of_the_calendar(redis: Redis, at: At, time: str, month: str) -> None:
    await reserve(at(time), 5, MONTH)
    assert await find_month(redis, month) == 5


async def test_either_limit_refuses_and_then_nothing_is_taken(redis: Redis, at: At) -> None:
    meter, both = at("2026-11-30 12:00:00"), TokenLimits(per_minute=500, per_month=800)
    await reserve(meter, 500, both)
    assert isinstance(await get_refusal(reserve(meter, 300, both, "two")), RateLimited)
    assert isinstance(await get_refusal(reserve(at("2026-11-30 12:02:00"), 301, both, "two")), QuotaExceeded)
    assert await find_month(redis) == 500
    assert await reserve(at("2026-11-30 12:02:00"), 300, both, "two") == 200


async def test_a_reservation_that_nobody_settles_ends_by_itself(redis: Redis, at: At) -> None:
    await reserve(at("2026-11-30 12:00:00"), 600, MONTH, "dead")
    await reserve(at("2026-11-30 12:00:00"), 300, MONTH, "alive")
    await at("2026-11-30 12:00:00").settle("alive", owner=OWNER, used=250)
    await get_refusal(reserve(at("2026-11-30 12:09:59"), 800, MONTH, "three"))
    assert await reserve(at("2026-11-30 12:10:00"), 700, MONTH, "three") is None
    assert await find_month(redis) == 950
    await at("2026-11-30 12:10:00").settle("dead", owner=OWNER, used=600)  # it was given up
    assert await find_month(redis) == 950
    assert set(await redis.hkeys(f"{keys.RESERVED_PREFIX}{OWNER}")) == {b"three"}


async def test_many_that_died_end_in_slices(at: At) -> None:
    for number in range(250):
        await reserve(at("2026-11-30 12:00:00"), 4, MONTH, f"dead {number}")
    await get_refusal(reserve(at("2026-11-30 13:00:00"), 1_000, MONTH, "next"))
    await get_refusal(reserve(at("2026-11-30 13:00:00"), 1_000, MONTH, "next"))
    assert await reserve(at("2026-11-30 13:00:00"), 1_000, MONTH, "next") is None


async def test_of_many_at_four_replicas_never_more_is_reserved_than_the_limits(redis: Redis) -> None:
    limits = TokenLimits(per_minute=1_000, per_month=1_500)
    async with open_replicas(redis, 4) as replicas:

        async def turn(number: int) -> int:
            meter, tokens = replicas[number % 4], 70 + number
            try:
                await meter.reserve(f"turn {number}", owner=OWNER, tokens=tokens, limits=limits)
            except RateLimited:
                return 0
            assert await find_month(redis, f"{datetime.now(UTC):%Y%m}") <= 1_000
            return tokens

        reserved = await asyncio.gather(*map(turn, range(60)))
    assert 1_000 - 130 < sum(reserved) <= 1_000


@asynccontextmanager
async def open_replicas(redis: Redis, count: int) -> AsyncIterator[list[RedisTokenMeter]]:
    """Adapters on connections of their own, as replicas have them."""
    there = {name: redis.connection_pool.connection_kwargs[name] for name in ("host", "port", "db")}
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Redis(**there)) for _ in range(count)]
        yield [RedisTokenMeter(client, hold_s=HOLD_S) for client in clients]


Step: TypeAlias = tuple[str, int, int, int]
STEPS = st.tuples(st.sampled_from(["reserve", "settle"]), st.integers(0, 5), st.integers(0, 600), st.integers(0, 1))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, max_size=30))
async def test_in_no_order_of_calls_a_token_is_lost_or_one_too_many_reserved(redis: Redis, steps: list[Step]) -> None:
    """Within half a minute, beside a model of a plain dictionary: what is held, or used."""
    await redis.flushdb()
    now_s, limits = int(datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()), TokenLimits(1_000, 2_000)
    tokens: dict[str, int] = {}
    for kind, number, amount, pause_s in steps:
        now_s += pause_s
        meter, name = RedisTokenMeter(redis, hold_s=HOLD_S, now_ms=now_s * 1000), f"{number}"
        if kind == "settle":
            await meter.settle(name, owner=OWNER, used=amount)
            tokens |= {name: amount} if name in tokens else {}
        else:
            with suppress(RateLimited, QuotaExceeded):
                await meter.reserve(name, owner=OWNER, tokens=amount, limits=limits)
                if name not in tokens:
                    tokens[name] = amount
                    assert sum(tokens.values()) <= limits.per_minute
        assert await find_month(redis) == sum(tokens.values())


# --- what a request is told ---


@pytest.fixture
async def api_keys(redis: Redis) -> RedisApiKeys:
    opened = RedisApiKeys(redis, requests_per_minute=100, token_limits=TokenLimits(5_000, 0))
    await opened.publish(added={hash_key(KEY): OWNER}, removed=[])
    return opened


async def find_caller(api_keys: RedisApiKeys) -> Caller:
    caller = await api_keys.find_caller(KEY)
    assert caller is not None
    return caller


async def test_a_project_has_its_own_limits_or_those_of_the_server(redis: Redis, api_keys: RedisApiKeys) -> None:
    limits = RedisProjectLimits(redis)
    for own, requests, tokens in (
        (Limits(), 100, TokenLimits(5_000, 0)),
        (Limits(requests_per_minute=7), 7, TokenLimits(5_000, 0)),
        (Limits(tokens_per_month=9), 100, TokenLimits(5_000, 9)),
        (Limits(0, 0, 0), 0, TokenLimits(0, 0)),
        (Limits(tokens_per_minute=10**15), 100, TokenLimits(10**15, 0)),
    ):
        await limits.publish({OWNER: own, STRANGER: Limits(1, 1, 1)})
        caller = await find_caller(api_keys)
        assert (caller.limit, caller.token_limits) == (requests, tokens)
        assert await limits.published() == {STRANGER: Limits(1, 1, 1)} | ({} if own == Limits() else {OWNER: own})


async def test_a_projects_requests_are_counted_exactly(redis: Redis, api_keys: RedisApiKeys) -> None:
    await RedisProjectLimits(redis).publish({OWNER: Limits(requests_per_minute=3)})
    asked = await asyncio.gather(*(find_caller(api_keys) for _ in range(9)))
    assert sum(caller.may_ask for caller in asked) == 3
    assert sorted(caller.remaining for caller in asked) == [0, 0, 0, 0, 0, 0, 0, 1, 2]


async def test_a_request_is_told_what_is_left_of_the_minute(redis: Redis, api_keys: RedisApiKeys) -> None:
    left = (await find_caller(api_keys)).tokens_left
    assert left is not None
    assert (left.limit, left.remaining, left.reset_s) == (5_000, 5_000, 0)
    await RedisTokenMeter(redis, hold_s=1).reserve("one", owner=OWNER, tokens=1_200, limits=TokenLimits(5_000))
    left = (await find_caller(api_keys)).tokens_left
    assert left is not None
    assert left.remaining == 3_800
    assert 50 < left.reset_s <= 61


async def test_an_account_says_what_counts_now_and_what_may(redis: Redis, at: At) -> None:
    await RedisProjectLimits(redis).publish({OWNER: Limits(tokens_per_minute=500), "carol": Limits(tokens_per_month=0)})
    await reserve(at("2026-10-31 23:59:00"), 100, MONTH, "old")
    await reserve(at("2026-11-30 11:59:00"), 200, MONTH, "earlier")
    await reserve(at("2026-11-30 11:59:30"), 300, MONTH, "just now")
    meter = at("2026-11-30 12:00:05")
    await meter.settle("just now", owner=OWNER, used=50)
    assert await meter.look([]) == []
    assert await meter.look([OWNER, STRANGER]) == [TokenAccount(TokenLimits(500), 50, 250), TokenAccount()]
    [gone] = await at("2026-12-01 00:00:00").look([OWNER])
    assert (gone.minute, gone.month) == (0, 0)
    limited = RedisTokenMeter(redis, hold_s=HOLD_S, limits=TokenLimits(10, 20))
    assert [account.limits for account in await limited.look([OWNER, STRANGER, "carol"])] == [
        TokenLimits(500, 20),
        TokenLimits(10, 20),
        TokenLimits(10, 0),
    ]
