"""What a project does not keep any longer goes: from Redis, the archive and its index; what is used stays."""

import asyncio
import io
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from django.core.management import call_command
from redis.asyncio import Redis
from typing_extensions import override

from prompts.adapters.redis import keys
from prompts.adapters.redis.eraser import RedisEraser
from prompts.adapters.redis.families import RedisFamilies
from prompts.adapters.redis.restoring import RedisRestoring
from prompts.archive.restorer import ArchiveRestorer
from prompts.archive.retention import Retention
from prompts.archive.search import find_said_ids
from prompts.domain import ids
from prompts.errors import NotFound, Unavailable
from prompts.models import ErasureReceipt, Project
from prompts.ports.families import LivingFamily
from prompts.run.sweeping import erase_due
from tests.contract.port_turns import fork
from tests.integration.archive.conftest import DATABASE
from tests.support.archive import archive_all, count_rows, end_retention, read
from tests.support.builders import (
    RETENTION_S,
    RetryingRedis,
    Stores,
    admit,
    build_draft,
    build_item,
    make_conversation,
    take_turn,
)
from tests.support.servers import ValkeyServer, eventually

DAY_S = 24 * 3600
NOTHING = {"ArchivedConversation": 0, "ArchivedItem": 0, "ArchivedResponse": 0, "ArchivedTimeline": 0}


def in_three_days() -> float:
    return time.time() + 3 * DAY_S


@pytest.fixture(autouse=True)
async def keep_days(redis: Redis) -> None:  # noqa: ARG001 -- the database is that of these tests by then
    """Alice's things are kept for two days, and Bob's for ever."""
    await read(Project.objects.all().delete)
    await read(lambda: Project.objects.create(owner="alice", keep_days=2))


def open_retention(redis: Redis, families: RedisFamilies | None = None) -> Retention:
    """It is three days later."""
    return Retention(families or RedisFamilies(redis), RedisEraser(redis), read_clock=in_three_days)


async def list_receipts() -> Sequence[ErasureReceipt]:
    return await read(lambda: list(ErasureReceipt.objects.all()))


async def is_there(stores: Stores, conversation_id: str, owner: str = "alice") -> bool:
    try:
        await stores.conversations.get(conversation_id, owner=owner)
    except NotFound:
        return False
    return True


async def test_what_was_not_used_goes_everywhere_and_others_keep_theirs(redis: Redis, stores: Stores) -> None:
    conversation = await make_conversation(stores, "The xylophone of Alice")
    response = await take_turn(stores, conversation_id=conversation)
    forked = await fork(stores, conversation)
    chained = await take_turn(stores, previous_response_id=await take_turn(stores, text="A chain of Alice's"))
    bobs = await make_conversation(stores, "The xylophone of Bob", owner="bob")
    await archive_all(redis)
    erased = await open_retention(redis, RedisFamilies(RetryingRedis.of(redis))).apply()
    for gone in (conversation, forked):
        assert not await is_there(stores, gone)
    for gone in (response, chained):
        with pytest.raises(NotFound):
            await stores.responses.get(gone, owner="alice")
    assert await is_there(stores, bobs, "bob")
    await archive_all(redis)
    assert await read(lambda: find_said_ids("xylophone")) == {bobs}
    assert await count_rows() == {**NOTHING, "ArchivedConversation": 1, "ArchivedItem": 1, "ArchivedTimeline": 1}
    [receipt] = await list_receipts()
    assert (receipt.owner, receipt.by, receipt.is_complete) == ("alice", "policy", True)
    assert receipt.counts == dict(erased["alice"])
    assert receipt.counts["Redis: conversations, forks included"] == 2
    assert receipt.counts["Archive: conversations"] == 2
    assert receipt.counts["Archive: responses"] == 3
    assert receipt.counts["Search index: items"] == receipt.counts["Archive: items"] == 7


async def test_what_is_used_between_the_look_and_the_deletion_stays(redis: Redis, stores: Stores) -> None:
    tried: list[str] = []

    class UsedMeanwhile(RedisFamilies):
        @override
        async def delete(self, family: LivingFamily, *, only_unused: bool) -> Sequence[str] | None:
            kind, _, name = family.member.partition(":")
            tried.append(kind)
            if kind == "conv":
                item = build_item("Again", ids.get_partition(name))
                await stores.conversations.add_items(name, owner="alice", items=[item])
            else:
                await take_turn(stores, previous_response_id=chained)
            return await super().delete(family, only_unused=only_unused)

    conversation = await make_conversation(stores, "Hello")
    chained = await take_turn(stores, text="A chain")
    assert await open_retention(redis, UsedMeanwhile(redis)).apply() == {"alice": {}}
    assert sorted(tried) == ["chain", "conv"]
    assert await is_there(stores, conversation)
    assert (await stores.responses.get(chained, owner="alice")).status == "completed"
    assert await list_receipts() == []


async def test_a_conversation_with_an_answer_that_is_written_stays(redis: Redis, stores: Stores) -> None:
    conversation = await make_conversation(stores, "Hello")
    await admit(stores, build_draft(conversation_id=conversation))
    chained = await admit(stores, build_draft("A chain"))
    assert await open_retention(redis).apply() == {"alice": {}}
    assert await is_there(stores, conversation)
    assert (await stores.responses.get(chained.response.id, owner="alice")).status == "in_progress"


async def make_old(redis: Redis, stores: Stores, text: str) -> str:
    """A conversation that was made, and used last, ten days ago."""
    then_ms = int((time.time() - 10 * DAY_S) * 1000)
    partition = ids.new_partition()
    conversation = f"conv_{partition}{then_ms:012x}{secrets.token_hex(9)}"
    await stores.conversations.create(conversation, owner="alice", metadata={}, items=[build_item(text, partition)])
    await redis.hset(keys.conversation(conversation), "used_ms", str(then_ms))
    return conversation


async def test_a_fork_that_is_used_keeps_its_origin(redis: Redis, stores: Stores) -> None:
    origin, alone = await make_old(redis, stores, "An origin"), await make_old(redis, stores, "Alone")
    forked = await fork(stores, origin)
    await archive_all(redis)
    await Retention(RedisFamilies(redis), RedisEraser(redis)).apply()
    assert await is_there(stores, origin)
    assert await is_there(stores, forked)
    assert not await is_there(stores, alone)
    await end_retention(redis)
    for _ in range(2):
        await erase_due(stores.eraser)
        await archive_all(redis)
    assert not await is_there(stores, origin)
    await Retention(RedisFamilies(redis), RedisEraser(redis)).apply()
    assert (await count_rows())["ArchivedConversation"] == 2


async def test_what_redis_let_go_goes_from_the_archive_and_does_not_come_back(redis: Redis, stores: Stores) -> None:
    conversation = await make_conversation(stores, "Hello")
    chained = await take_turn(stores, text="A chain")
    await archive_all(redis)
    await end_retention(redis)
    for _ in range(2):
        await erase_due(stores.eraser)
        await archive_all(redis)
    assert (await count_rows())["ArchivedTimeline"] == 2
    await open_retention(redis, RedisFamilies(RetryingRedis.of(redis))).apply()
    assert await count_rows() == NOTHING
    [receipt] = await list_receipts()
    assert receipt.counts == {
        "Archive: chains": 1,
        "Archive: conversations": 1,
        "Archive: items": 3,
        "Archive: responses": 1,
        "Search index: items": 3,
    }
    restorer = ArchiveRestorer(RedisRestoring(redis, retention_s=RETENTION_S), retention_s=0)
    for gone in (conversation, chained):
        assert not await restorer.restore(gone, owner="alice")
    restorer.close()


async def test_the_command_says_what_it_would_erase_and_erases_it(
    redis: Redis, stores: Stores, valkey: ValkeyServer, settings: Any
) -> None:
    conversation = await make_old(redis, stores, "Hello")
    await archive_all(redis)
    settings.REDIS_URL = f"redis://127.0.0.1:{valkey.port}/{DATABASE}"

    async def run(*arguments: str) -> str:
        told = io.StringIO()
        await asyncio.to_thread(call_command, "apply_retention", *arguments, stdout=told)
        return told.getvalue()

    told = await run("--dry-run")
    assert told.startswith("alice: would erase Archive: conversations: 1, Archive: items: 1, Redis: conversations")
    assert await is_there(stores, conversation)
    assert await list_receipts() == []
    assert (await run()).startswith("alice: Archive: conversations: 1,")
    assert not await is_there(stores, conversation)
    assert await run() == "alice: nothing\n"


async def test_one_replica_at_a_time_applies_it_and_what_is_away_comes_back(redis: Redis, stores: Stores) -> None:
    conversation = await make_old(redis, stores, "Hello")
    await redis.set(keys.RETENTION, 1, px=200)  # another replica's
    chore = asyncio.create_task(Retention(RedisFamilies(redis), RedisEraser(redis), look_s=0.05).keep_applied())
    async with Redis(port=1) as away:
        with pytest.raises(Unavailable):
            await Retention(RedisFamilies(away), RedisEraser(away)).apply()

        async def is_gone() -> bool:
            return not await is_there(stores, conversation)

        await eventually(is_gone)
    assert await redis.ttl(keys.RETENTION) > 3000
    chore.cancel()
    with suppress(asyncio.CancelledError):
        await chore
