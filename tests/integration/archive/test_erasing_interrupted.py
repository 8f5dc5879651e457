"""An erasure that something comes in the way of: it says so, and the same erasure again goes on with what is left."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from django.db import DatabaseError
from redis.asyncio import Redis
from typing_extensions import override

from prompts.adapters.redis import keys
from prompts.adapters.redis.families import RedisFamilies
from prompts.archive.knowledge_erasing import ErasurePorts
from prompts.domain import ids
from prompts.errors import NotFound, Unavailable
from prompts.models import ArchivedConversation
from prompts.ports.families import LivingFamily
from tests.contract.port_turns import fork
from tests.support.archive import archive_all, read, run_sql
from tests.support.erasing import World

WORD = "xylophonesecret"
OTHER = "harpsichord"


class Disturbed(RedisFamilies):
    """Something happens just before the deletion of the conversation."""

    def __init__(self, redis: Redis, happen: Any) -> None:
        super().__init__(redis)
        self._happen = happen

    @override
    async def delete(self, family: LivingFamily, *, only_unused: bool) -> Sequence[str] | None:
        if family.member.startswith("conv:"):
            await self._happen()
        return await super().delete(family, only_unused=only_unused)


def disturb(world: World, happen: Any) -> ErasurePorts:
    return replace(world.ports, families=Disturbed(world.redis, happen))


async def test_a_fork_that_is_made_meanwhile_goes_too(world: World) -> None:
    made = await world.make_everything(WORD)
    late: list[str] = []

    async def fork_it() -> None:
        late.append(await fork(world.stores, made.conversation))
        await world.turn(f"{WORD} again", conversation_id=late[0])
        await archive_all(world.redis)

    await world.erase(made.conversation, ports=disturb(world, fork_it))
    await archive_all(world.redis)
    with pytest.raises(NotFound):
        await world.stores.conversations.get(late[0], owner=world.owner)
    assert await world.find(WORD) == []


async def test_redis_away_in_the_middle(world: World) -> None:
    made = await world.make_everything(WORD)

    async def be_away() -> None:
        raise Unavailable("away")

    receipt = await world.erase(made.conversation, ports=disturb(world, be_away))
    assert not receipt.is_complete
    assert receipt.counts["Not erased, try again: conversation"] == 1
    assert await read(ArchivedConversation.objects.filter(pk=made.conversation).exists)
    assert (await world.erase(made.conversation)).is_complete
    await archive_all(world.redis)
    assert await world.find(WORD) == []


async def test_sql_away_in_the_middle(world: World) -> None:
    made = await world.make_everything(WORD)
    away = "ALTER TABLE prompts_archiveditem RENAME TO away"

    async def be_away() -> None:
        await run_sql(away)

    with pytest.raises(DatabaseError):
        await world.erase(made.conversation, ports=disturb(world, be_away))
    await run_sql("ALTER TABLE away RENAME TO prompts_archiveditem")
    await archive_all(world.redis)
    await world.erase(made.conversation)  # SQLite keeps deleted words in its index until then
    assert await world.find(WORD) == []


async def test_while_the_storage_or_the_archive_is_behind_nothing_is_erased(world: World) -> None:
    made = await world.make_everything(WORD)
    [path] = [each for each in world.folder.rglob(made.files[0]) if each.is_file()]
    path.unlink()
    (path / "in the way").mkdir(parents=True)  # what is no file cannot be removed
    receipt = await world.erase(made.conversation)
    assert (receipt.is_complete, receipt.counts["Not erased, try again: files"]) == (False, 1)
    (path / "in the way").rmdir()
    path.rmdir()
    await world.make_conversation(OTHER)  # not copied yet
    receipt = await world.erase(made.conversation, copied_s=0)
    assert (receipt.is_complete, receipt.counts) == (False, {"Not erased, try again: files": 1})
    await world.stores.conversations.get(made.conversation, owner=world.owner)
    await archive_all(world.redis)
    later_us = 2 * time.time_ns() // 1000  # put off, because it cannot be copied
    for owner, is_complete in (("somebody else", True), (world.owner, False)):
        others = ids.new_id(ids.CONVERSATION, "00")
        await world.redis.hset(keys.conversation(others), "owner", owner)
        await world.redis.zadd(keys.outbox("00"), {f"conv:{others}": later_us})
        copied = await world.ports.outbox.find_copied(world.owner)
        assert (copied.copied_us is not None) is is_complete
    assert not (await world.erase(made.conversation)).is_complete
    await world.ports.outbox.close()
    assert not (await world.erase(made.conversation)).is_complete
    assert (await world.erase(made.conversation, with_files=False)).is_complete


async def test_of_two_erasures_at_once_both_end(world: World) -> None:
    made = await world.make_everything(WORD)
    receipts = await asyncio.gather(*(world.erase(made.conversation) for _ in range(2)))
    await archive_all(world.redis)
    assert [receipt.is_complete for receipt in receipts] == [True, True]
    assert max(receipt.counts.get("Redis: conversations, forks included", 0) for receipt in receipts) == 2
    assert await world.find(WORD) == []
