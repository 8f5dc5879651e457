"""Archivers that are killed at any point: no row is missing, and none is there twice."""

import asyncio
import multiprocessing
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from prompts.models import ArchivedItem, ArchivedResponse
from tests.support.archive import list_noted, open_archiver, read
from tests.support.builders import Stores, make_conversation, take_turn

# Of an archiver; so long a killed one keeps the others from its partitions.
LEASE_S = 0.2
# It copies a batch in some ten milliseconds.
MAX_LIFE_S = 0.15
CONVERSATIONS = 8


def archive_for_ever(url: str) -> None:
    """An archiver in a process of its own."""
    asyncio.run(_archive_for_ever(url))


async def _archive_for_ever(url: str) -> None:
    async with Redis.from_url(url) as redis:
        archiver = open_archiver(redis, lease_s=LEASE_S)
        while True:
            await archiver.copy_some()


@asynccontextmanager
async def killed_archivers(redis: Redis, *, kills: int) -> AsyncIterator[None]:
    """While this is open, two archivers at once are killed and replaced; it closes when that was done so often."""
    address = redis.connection_pool.connection_kwargs
    url = f"redis://{address['host']}:{address['port']}/{address['db']}"

    async def kill_some(times: int) -> None:
        for _ in range(times):
            # Forked: a process that imports Django takes longer to start than it is to live.
            archiver = multiprocessing.get_context("fork").Process(target=archive_for_ever, args=[url])
            archiver.start()
            await asyncio.sleep(random.uniform(0, MAX_LIFE_S))  # the point in time is what the test is about
            archiver.kill()
            await asyncio.to_thread(archiver.join)

    killing = asyncio.gather(kill_some(kills // 2), kill_some(kills - kills // 2))
    yield
    await killing


async def say_much(stores: Stores, turns: int) -> Mapping[str, Sequence[str]]:
    """Turns in some conversations at once. Returns what was said in each."""
    said: dict[str, list[str]] = {}

    async def talk(name: int) -> None:
        conversation_id = await make_conversation(stores, f"{name} begins")
        said[conversation_id] = [f"{name} begins"]
        for turn in range(turns):
            await take_turn(stores, text=f"{name} says {turn}", conversation_id=conversation_id)
            said[conversation_id] += [f"{name} says {turn}", "Hi."]
            await asyncio.sleep(0.02)  # so that archivers meet changes, not one heap of them

    await asyncio.gather(*(talk(name) for name in range(CONVERSATIONS)))
    return said


async def check_killed(redis: Redis, stores: Stores, *, kills: int) -> None:
    async with killed_archivers(redis, kills=kills):
        said = await say_much(stores, turns=kills)
    archiver = open_archiver(redis, lease_s=LEASE_S)
    async with asyncio.timeout(60):
        while await list_noted(redis):
            await archiver.copy_some()
    archiver.close()
    rows = await read(
        lambda: list(
            ArchivedItem.objects.order_by("timeline", "position").values_list("conversation_id", "text", "position")
        )
    )
    found: dict[str, list[str]] = {}
    for conversation_id, text, _ in rows:
        found.setdefault(conversation_id or "", []).append(text)
    assert found == said
    assert await read(ArchivedResponse.objects.count) == kills * CONVERSATIONS
    assert await read(ArchivedResponse.objects.filter(status="completed").count) == kills * CONVERSATIONS


async def test_no_row_is_missing_and_none_is_there_twice_after_ten_kills(redis: Redis, stores: Stores) -> None:
    await check_killed(redis, stores, kills=10)


@pytest.mark.long
async def test_nor_after_a_hundred_kills(redis: Redis, stores: Stores) -> None:
    await check_killed(redis, stores, kills=100)
