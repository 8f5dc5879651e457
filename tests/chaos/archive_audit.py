"""The audit of the archive after the chaos: it has what Redis has, in order, once, and nothing when all is erased."""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from prompts.adapters.redis import keys
from prompts.domain import ids
from tests.chaos.experiment import Experiment
from tests.chaos.redis_keys import list_keys, read_hash
from tests.support.servers import eventually

# Replicas that were killed in the middle of a batch hold their partitions for a lease.
COPIED_WITHIN_S = 60
TABLES = ("conversation", "timeline", "response", "item")
ITEMS = (
    "SELECT item.role, item.content_json FROM prompts_archivedconversation conversation "
    "JOIN prompts_archiveditem item ON item.timeline = conversation.timeline "
    "WHERE conversation.id = ? ORDER BY item.position"
)


async def audit_archive(experiment: Experiment) -> None:
    """Each difference becomes a violation."""
    await _wait_until_copied(experiment)
    dialogues = {
        answer.dialogue.conversation_id: answer.dialogue.history
        for answer in experiment.results.answers
        if answer.dialogue.conversation_id
    }
    for conversation_id, expected in dialogues.items():
        rows = await _ask(experiment, ITEMS, conversation_id)
        found = [(role, json.loads(content)["content"][0]["text"]) for role, content in rows]
        if found != expected:
            experiment.results.add_violation(
                f"{conversation_id} is archived as {found}, its client was told {expected}"
            )
    archived = dict(await _ask(experiment, "SELECT id, status FROM prompts_archivedresponse"))
    for key in (await list_keys(experiment.redis))["resp"]:
        stored, response_id = await read_hash(experiment.redis, key), key.rpartition(":")[2]
        expected_status = None if b"deleted" in stored else stored[b"status"].decode()
        if archived.get(response_id) != expected_status:
            experiment.results.add_violation(f"{key} is {expected_status}, archived as {archived.get(response_id)}")


async def audit_empty_archive(experiment: Experiment) -> None:
    """What was erased everywhere has left no row."""
    await _wait_until_copied(experiment)
    for table in TABLES:
        [[count]] = await _ask(experiment, f"SELECT count(*) FROM prompts_archived{table}")
        if count:
            experiment.results.add_violation(f"the archive has {count} rows of kind {table} when all is erased")


async def _wait_until_copied(experiment: Experiment) -> None:
    async def count() -> list[bytes]:
        pipeline = experiment.redis.pipeline(transaction=False)
        for partition in ids.all_partitions():
            pipeline.zrange(keys.outbox(partition), 0, -1)
        return [note for notes in await pipeline.execute() for note in notes]

    async def is_copied() -> bool:
        return not await count()

    try:
        await eventually(is_copied, within_s=COPIED_WITHIN_S)
    except AssertionError:
        experiment.results.add_violation(f"not archived within {COPIED_WITHIN_S} s: {await count()}")


async def _ask(experiment: Experiment, query: str, *values: str) -> Sequence[Any]:
    path = experiment.cluster.environment["DATABASE_URL"].removeprefix("sqlite:///")

    def ask() -> Sequence[Any]:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
            return database.execute(query, values).fetchall()

    return await asyncio.to_thread(ask)
