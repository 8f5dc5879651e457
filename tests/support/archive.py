"""An archive of a test's own: a database of either kind, the archiver of one replica, and what it has written."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import dj_database_url
from django.core.management import call_command
from django.db import connections
from django.db.models import Model
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.outbox import LEASE_S, RedisOutbox
from prompts.archive.archiver import Archiver
from prompts.domain import ids
from prompts.models import (
    ArchivedChain,
    ArchivedConversation,
    ArchivedItem,
    ArchivedResponse,
    ArchivedTimeline,
    ArchivePartition,
    ErasureReceipt,
)
from prompts.ports.observer import UNOBSERVED

Value = TypeVar("Value")

TABLES: tuple[type[Model], ...] = (
    ArchivedItem,
    ArchivedResponse,
    ArchivedConversation,
    ArchivedChain,
    ArchivedTimeline,
    ArchivePartition,
    ErasureReceipt,
)


@contextmanager
def use_database(url: str) -> Iterator[None]:
    """Let Django use this database in every thread, migrated, and its own again afterwards."""
    former = connections.settings["default"]
    wanted = connections.configure_settings({"default": dj_database_url.parse(url)})["default"]
    if wanted["ENGINE"] == "django.db.backends.sqlite3":
        wanted["OPTIONS"] = former.get("OPTIONS", {})
    _swap(wanted)
    try:
        call_command("migrate", verbosity=0)
        yield
    finally:
        _swap(former)


def _swap(database: dict[str, object]) -> None:
    connections["default"].close()
    connections.settings["default"] = database
    del connections["default"]


def empty_archive() -> None:
    """Delete every row."""
    for table in TABLES:
        table._default_manager.all().delete()
    connections.close_all()


async def read(call: Callable[[], Value]) -> Value:
    """What the ORM says, asked in a thread."""

    def ask() -> Value:
        try:
            return call()
        finally:
            connections.close_all()

    return await asyncio.to_thread(ask)


async def list_texts(conversation_id: str) -> list[str]:
    """What was said in a conversation, on its own timelines, in order."""
    items = ArchivedItem.objects.filter(conversation_id=conversation_id)
    return await read(lambda: list(items.values_list("text", flat=True)))


async def count_rows() -> dict[str, int]:
    """How many there are of each kind."""
    kinds = (ArchivedConversation, ArchivedItem, ArchivedResponse, ArchivedTimeline)
    return await read(lambda: {kind.__name__: kind._default_manager.count() for kind in kinds})


def open_archiver(redis: Redis, *, lease_s: float = LEASE_S) -> Archiver:
    """The archiver of a replica."""
    return Archiver(RedisOutbox(redis, lease_s=lease_s), observer=UNOBSERVED)


async def run_sql(statement: str) -> None:
    """Run a statement in a thread."""
    await read(lambda: connections["default"].cursor().execute(statement))


async def archive_all(redis: Redis) -> None:
    """Copy until nothing waits any more."""
    archiver = open_archiver(redis)
    try:
        while await archiver.copy_some():
            pass
    finally:
        archiver.close()


async def list_noted(redis: Redis) -> list[str]:
    """All that is noted in the outboxes."""
    outboxes = cast(
        "list[list[bytes]]", [await redis.zrange(keys.outbox(each), 0, -1) for each in ids.all_partitions()]
    )
    return [noted.decode() for outbox in outboxes for noted in outbox]


async def end_retention(redis: Redis) -> None:
    """End the retention of everything, however often it was put off."""
    for partition in ids.all_partitions():
        due = cast("list[tuple[bytes, float]]", await redis.zrange(keys.expiry(partition), 0, -1, withscores=True))
        for member, score in due:
            await redis.zadd(keys.expiry(partition), {member: min(score, 1)})
