"""Copying that meets trouble: a thing that cannot be written, an SQL that does not answer, a lease that ends."""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Sequence

import pytest
from django.db import transaction
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.outbox import RedisOutbox
from prompts.archive.archiver import Archiver
from prompts.domain import ids
from prompts.errors import NotFound
from prompts.models import ArchivedResponse, ArchivePartition
from prompts.ports.observer import UNOBSERVED, ArchiveLooked, Happening, Unobserved
from prompts.ports.outbox import Record, Settlement
from prompts.run.sweeping import erase_due
from tests.contract.port_turns import OWNER, take_turn
from tests.support.archive import archive_all, end_retention, list_noted, list_texts, open_archiver, read
from tests.support.builders import Stores, build_draft, make_conversation
from tests.support.servers import eventually


async def test_more_words_than_an_index_takes_hold_nothing_up(redis: Redis, stores: Stores) -> None:
    # Letters of four bytes, words within words, and each in another form, too: of what can be said, the most to index.
    letters = [chr(code) for code in range(0x11083, 0x110B0)]
    words = ["".join(some) + "\U0001109a" * 3 for some in itertools.product(letters, letters, letters[:8])]
    said = " ".join(f"{one}-{other}" for one, other in zip(words[::2], words[1::2], strict=True))
    conversation_id = await make_conversation(stores, said[:100_000])
    await archive_all(redis)
    assert await list_noted(redis) == []
    assert len(await list_texts(conversation_id)) == 1


async def test_what_sql_refuses_holds_nothing_else_up(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    await redis.hset(keys.conversation(conversation_id), "used_ms", str(10**30))
    strange = await take_turn(stores, build_draft("Two"))
    await redis.hset(keys.response(strange), "result", json.dumps({"usage": {"input_tokens": 10**30}, "error": "x"}))
    other_id = await make_conversation(stores, "Three")
    await archive_all(redis)
    assert await list_texts(other_id) == ["Three"]
    assert set(await list_noted(redis)) == {f"conv:{conversation_id}", f"resp:{strange}"}


async def test_what_changes_behind_its_copy_is_not_let_go(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    response_id = await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    await archive_all(redis)
    await end_retention(redis)
    await erase_due(stores.eraser)
    partition, outbox = ids.get_partition(conversation_id), RedisOutbox(redis)
    [taken] = await outbox.take([partition], token="slow", count=10)  # it copies the state of this moment
    await stores.notes.put_feedback(response_id, owner=OWNER, score=-1, comment="Late")
    member = f"conv:{conversation_id}"
    await outbox.settle([Settlement(partition, taken.notes, let_go=[member])], token="slow")
    await erase_due(stores.eraser)
    await archive_all(redis)
    assert await read(lambda: ArchivedResponse.objects.get().feedback_comment) == "Late"


async def test_an_archiver_that_is_late_waits_before_it_looks_again(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    await archive_all(redis)
    await read(lambda: ArchivePartition.objects.update(epoch=2**62))
    await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    archiver = open_archiver(redis)
    assert await archiver.copy_some() is False
    archiver.close()


async def keep_copy(redis: Redis) -> dict[bytes, bytes | None]:
    """All that Redis holds, as it stands now."""
    return {key: await redis.dump(key) async for key in redis.scan_iter(count=1000)}


async def go_back(redis: Redis, copy: dict[bytes, bytes | None]) -> None:
    """As after a fail-over that loses the end, or when an older copy is restored."""
    await redis.flushdb()
    for key, value in copy.items():
        await redis.restore(key, 0, value or b"")


@pytest.mark.parametrize("turns", [1, 2, 3])
async def test_what_redis_has_lost_is_not_mixed_with_what_was_said_instead(
    redis: Redis, stores: Stores, turns: int
) -> None:
    conversation_id = await make_conversation(stores, "One")
    await archive_all(redis)
    copy = await keep_copy(redis)
    for text in ("lost 1", "lost 2"):
        await take_turn(stores, build_draft(text, conversation_id=conversation_id))
    await archive_all(redis)
    await go_back(redis, copy)
    said = [f"said {number}" for number in range(turns)]
    for text in said:
        await take_turn(stores, build_draft(text, conversation_id=conversation_id))
    await archive_all(redis)
    assert await list_texts(conversation_id) == ["One", *(each for text in said for each in (text, "Hi."))]
    assert await read(ArchivedResponse.objects.count) == turns


class SlowOutbox(RedisOutbox):
    """One whose reading takes its time."""

    async def read_responses(self, response_ids: Sequence[str]) -> Sequence[Record]:
        """As the outbox does it."""
        await asyncio.sleep(0.8)
        return await super().read_responses(response_ids)


@pytest.mark.timed
async def test_who_goes_on_keeps_the_lease_however_long_it_takes(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    for _ in range(3):
        await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    await archive_all(redis)
    await end_retention(redis)
    await erase_due(stores.eraser)
    partition = ids.get_partition(conversation_id)
    lease_s = 1.8  # a busy machine may stand still for a second
    outbox = SlowOutbox(redis, lease_s=lease_s)
    archiver = Archiver(outbox, observer=UNOBSERVED, renew_s=0.05)
    copying = asyncio.create_task(archiver.copy_some())
    holders = []
    while not copying.done():
        holders.append((time.monotonic(), await redis.get(keys.archiver(partition))))
        await asyncio.sleep(0.02)
    archiver.close()
    held = [place for place, (_, holder) in enumerate(holders) if holder is not None]
    assert len(held) == held[-1] - held[0] + 1
    assert len({holders[place][1] for place in held}) == 1
    assert holders[held[-1]][0] - holders[held[0]][0] > lease_s
    await erase_due(stores.eraser)
    with pytest.raises(NotFound):
        await stores.conversations.get(conversation_id, owner=OWNER)


class Lags(Unobserved):
    """What was told of the lag."""

    def __init__(self) -> None:
        self.told: list[float] = []

    def notice(self, happening: Happening) -> None:
        """Keep it."""
        if isinstance(happening, ArchiveLooked):
            self.told.append(happening.lag_s)


async def test_the_lag_is_told_while_sql_does_not_answer(redis: Redis, stores: Stores) -> None:
    conversation_id = await make_conversation(stores, "One")
    await archive_all(redis)
    await take_turn(stores, build_draft("Two", conversation_id=conversation_id))
    locked, done = threading.Event(), threading.Event()

    def lock() -> None:
        with transaction.atomic():
            list(ArchivePartition.objects.select_for_update())
            locked.set()
            done.wait(20)

    locking = asyncio.create_task(read(lock))
    await asyncio.to_thread(locked.wait, 20)
    lags = Lags()
    archiver = Archiver(RedisOutbox(redis), observer=lags, patience_s=0.1)
    copying = asyncio.create_task(archiver.copy_some())
    await eventually(lambda: len(lags.told) > 3)
    done.set()
    await asyncio.gather(locking, copying)
    archiver.close()
    assert lags.told == sorted(lags.told)
    assert lags.told[-1] > 0.1
    assert await list_noted(redis) == []
