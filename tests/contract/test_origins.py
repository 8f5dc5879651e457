"""`Origins`: an owner's pages are those that the owner allows, and no other's."""

import pytest
from redis.asyncio import Redis

from prompts.adapters.redis.origins import RedisOrigins
from prompts.errors import Unavailable
from prompts.ports.origins import Origins
from tests.contract.port_turns import OWNER, STRANGER
from tests.support.fakes.origins import FakeOrigins
from tests.support.server_fixtures import StartValkey

APP, OTHER = "https://app.example.com", "http://localhost:3000"


@pytest.fixture(params=["redis", "fake"])
async def origins(request: pytest.FixtureRequest, redis: Redis) -> Origins:
    """Alice allows both, Bob one of them."""
    made: Origins = RedisOrigins(redis) if request.param == "redis" else FakeOrigins()
    await made.publish({APP: frozenset({OWNER}), OTHER: frozenset({OWNER, STRANGER})})
    return made


async def test_it_works(origins: Origins) -> None:
    assert await origins.allows(APP, owner=OWNER)
    assert not await origins.allows(APP, owner=STRANGER)
    assert [await origins.allows(OTHER, owner=owner) for owner in (OWNER, STRANGER)] == [True, True]


async def test_without_an_owner_anybodys_counts(origins: Origins) -> None:
    assert await origins.allows(APP, owner=None)
    assert not await origins.allows("https://evil.example", owner=None)


@pytest.mark.parametrize(
    "origin",
    ["", "null", "*", APP.upper(), f"{APP}/", f"{APP}:443", f"{APP}.evil.example", "http://app.example.com", "x" * 999],
)
async def test_an_origin_is_compared_as_a_whole(origins: Origins, origin: str) -> None:
    assert not await origins.allows(origin, owner=OWNER)
    assert not await origins.allows(origin, owner=None)


async def test_what_is_forbidden_is_gone_at_once(origins: Origins) -> None:
    await origins.publish({APP: frozenset(), OTHER: frozenset({STRANGER})})
    assert await origins.published() == {OTHER: frozenset({STRANGER})}
    assert not await origins.allows(APP, owner=None)
    assert not await origins.allows(OTHER, owner=OWNER)


async def test_publishing_again_changes_nothing(origins: Origins) -> None:
    before = await origins.published()
    await origins.publish({})
    await origins.publish(before)
    await origins.publish({"https://gone.example": frozenset()})
    assert await origins.published() == before


async def test_while_redis_is_away_it_is_as_it_was(start_valkey: StartValkey) -> None:
    valkey = start_valkey()
    async with Redis.from_url(valkey.url) as redis:
        origins = RedisOrigins(redis)
        await origins.publish({APP: frozenset({OWNER})})
        assert await origins.allows(APP, owner=OWNER)
        assert not await origins.allows(OTHER, owner=OWNER)
        valkey.stop()
        assert await origins.allows(APP, owner=OWNER)
        with pytest.raises(Unavailable):
            await origins.allows(OTHER, owner=OWNER)
