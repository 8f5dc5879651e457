"""`VectorStores`: what they hold, how their files are counted, and the work that replicas share. On Redis alone."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.vector_stores import FILES_A_SLICE, MAX_WAITING_BATCHES, RedisVectorStores
from prompts.domain import ids
from prompts.domain.passages import Attributes
from prompts.domain.vector_stores import (
    AutoChunking,
    Chunking,
    ExpiresAfter,
    FileCounts,
    IndexingError,
    IndexingStatus,
    StaticChunking,
    StaticSizes,
    VectorStore,
)
from prompts.errors import InvalidRequest, NotFound, StaleRun
from prompts.ports.vector_stores import Due, Indexing, NewFile
from tests.support.builders import RetryingRedis

OWNER, STRANGER = "alice", "bob"
PARTITION = "05"
LEASE_S = 600.0
STATIC = StaticChunking(StaticSizes(400, 100))
BROKEN = IndexingError("invalid_file", "The file is broken.")


@pytest.fixture(params=["once", "twice"])
def stores(request: pytest.FixtureRequest, redis: Redis) -> RedisVectorStores:
    """Vector stores; each script runs once, or twice as after a lost answer."""
    return RedisVectorStores(redis if request.param == "once" else RetryingRedis.of(redis))


def new_file_id() -> str:
    """A file of another partition."""
    return ids.new_id(ids.FILE, "07")


def build_file(
    file_id: str | None = None, attributes: Attributes | None = None, chunking: Chunking | None = None
) -> NewFile:
    """A file as it is put in."""
    return NewFile(
        file_id=file_id or new_file_id(),
        filename="notes.txt",
        attributes=attributes or {},
        chunking=chunking or AutoChunking(),
    )


async def make(stores: RedisVectorStores, *, owner: str = OWNER, **fields: Any) -> str:
    """Create a vector store."""
    store_id = ids.new_id(ids.VECTOR_STORE, PARTITION)
    store = VectorStore(id=store_id, created_at=0, name="Handbook", status="completed")
    await stores.create(structs.replace(store, **fields), owner=owner)
    return store_id


async def put(stores: RedisVectorStores, store_id: str, *files: NewFile, batch_id: str | None = None) -> list[str]:
    """Attach files. Returns their ids."""
    await stores.attach(store_id, files or [build_file()], owner=OWNER, batch_id=batch_id)
    return [file.file_id for file in files]


async def seize(stores: RedisVectorStores) -> Indexing:
    """Seize work that must be there."""
    indexing = await stores.seize_indexing(PARTITION, lease_s=LEASE_S)
    assert indexing is not None
    return indexing


async def index(stores: RedisVectorStores, count: int = 1) -> None:
    """Index so many files."""
    for _ in range(count):
        await stores.end_indexing(await seize(stores), usage_bytes=100)


async def make_filled(stores: RedisVectorStores, *files: NewFile) -> tuple[str, list[str]]:
    """A vector store with these files, indexed."""
    store_id = await make(stores)
    file_ids = await put(stores, store_id, *files)
    await index(stores, len(files))
    return store_id, file_ids


async def test_a_file_that_another_index_has_is_put_into_this_one_by_the_same_call(redis: Redis) -> None:
    former, now = RedisVectorStores(redis, index_name="sqlite"), RedisVectorStores(redis, index_name="weaviate")
    file = build_file(attributes={"year": 2026.0})
    store_id, _ = await make_filled(former, file)
    await former.attach(store_id, [file], owner=OWNER)
    assert await now.seize_indexing(PARTITION, lease_s=LEASE_S) is None
    await now.attach(store_id, [file], owner=OWNER)
    assert (await counts_of(now, store_id)).in_progress == 1
    await index(now)
    await now.attach(store_id, [file], owner=OWNER)
    assert await counts_of(now, store_id) == FileCounts(completed=1, total=1)


async def counts_of(stores: RedisVectorStores, store_id: str) -> FileCounts:
    """How many files stand where."""
    return (await stores.get(store_id, owner=OWNER)).file_counts


async def lose_holder(redis: Redis, store_id: str, file_id: str) -> None:
    """Let the lease of a file expire."""
    await redis.zadd(keys.vector_store_files(store_id, "work"), {file_id: 1})
    await redis.zadd(keys.indexing(PARTITION), {store_id: 1})


async def age(redis: Redis, store_id: str, days: int) -> None:
    """Let the last use of a vector store be so long ago."""
    used = await redis.hget(keys.vector_store(store_id), "used_ms")
    assert used is not None
    aged_ms = int(used) - days * 24 * 3600 * 1000
    await redis.hset(keys.vector_store(store_id), "used_ms", str(aged_ms))
    if await redis.zscore(keys.unindexing(PARTITION), store_id) is not None:
        await redis.zadd(keys.unindexing(PARTITION), {store_id: aged_ms})


async def be_due_now(redis: Redis, *members: str) -> None:
    """Let what is to be erased be due, whoever may hold it."""
    await redis.zadd(keys.unindexing(PARTITION), dict.fromkeys(members, 1))


async def test_a_vector_store_is_shown_as_it_was_made(stores: RedisVectorStores) -> None:
    store_id = await make(stores, description="For all", metadata={"team": "a"}, expires_after=ExpiresAfter(7))
    found = await stores.get(store_id, owner=OWNER)
    assert (found.name, found.description, found.metadata) == ("Handbook", "For all", {"team": "a"})
    assert (found.status, found.file_counts, found.usage_bytes) == ("completed", FileCounts(), 0)
    assert found.created_at > 0
    assert found.last_active_at is not None
    assert found.expires_at == found.last_active_at + 7 * 24 * 3600


async def test_what_is_given_changes_and_the_rest_stays(stores: RedisVectorStores) -> None:
    store_id = await make(stores, metadata={"team": "a"}, expires_after=ExpiresAfter(7))
    renamed = await stores.update(store_id, owner=OWNER, name="Rules")
    assert (renamed.name, renamed.metadata, renamed.expires_after) == ("Rules", {"team": "a"}, ExpiresAfter(7))
    plain = await stores.update(store_id, owner=OWNER, name=None, metadata={}, expires_after=None)
    assert (plain.name, plain.metadata, plain.expires_after, plain.expires_at) == (None, {}, None, None)


async def test_strangers_find_nothing(stores: RedisVectorStores) -> None:
    store_id = await make(stores)
    [file_id] = await put(stores, store_id, build_file())
    batch_id = ids.new_id(ids.FILE_BATCH, PARTITION)
    await put(stores, store_id, build_file(), batch_id=batch_id)
    page: dict[str, Any] = {"limit": 10, "order": "asc", "after": None, "before": None}
    for refused in (
        stores.get(store_id, owner=STRANGER),
        stores.update(store_id, owner=STRANGER, name="Mine"),
        stores.delete(store_id, owner=STRANGER),
        stores.attach(store_id, [build_file()], owner=STRANGER),
        stores.get_file(store_id, file_id, owner=STRANGER),
        stores.list_files(store_id, owner=STRANGER, status=None, **page),
        stores.set_attributes(store_id, file_id, {"a": 1}, owner=STRANGER, lease_s=LEASE_S),
        stores.detach(store_id, file_id, owner=STRANGER),
        stores.get_batch(store_id, batch_id, owner=STRANGER),
        stores.cancel_batch(store_id, batch_id, owner=STRANGER),
        stores.use([store_id], owner=STRANGER),
    ):
        with pytest.raises(NotFound) as caught:
            await refused
        assert caught.value.code == "vector_store_not_found"
    assert (await stores.list_stores(owner=STRANGER, **page)).data == []
    assert await counts_of(stores, store_id) == FileCounts(in_progress=2, total=2)


async def test_lists_are_read_page_by_page_in_both_directions(stores: RedisVectorStores) -> None:
    store_id = await make(stores)
    files = await put(stores, store_id, *[build_file() for _ in range(7)])

    async def read(order: Any, after: str | None = None, before: str | None = None) -> tuple[Sequence[str], bool]:
        page = await stores.list_files(
            store_id, owner=OWNER, status=None, limit=3, order=order, after=after, before=before
        )
        listed = [file_id for file_id in files if any(file_id.encode() in each for each in page.data)]
        assert {page.first_id, page.last_id} <= {*listed, None}
        return listed, page.has_more

    assert await read("asc") == (files[:3], True)
    assert await read("asc", after=files[3]) == (files[4:], False)
    assert await read("desc") == (files[4:], True)
    assert await read("desc", after=files[3]) == (files[:3], False)
    assert await read("asc", before=files[5]) == (files[2:5], True)
    assert await read("asc", before=files[2]) == (files[:2], False)
    assert await read("asc", after=files[1], before=files[3]) == ([files[2]], False)
    assert await read("asc", before=files[0]) == ([], False)
    with pytest.raises(NotFound) as caught:
        await read("asc", after=new_file_id())
    assert (caught.value.code, caught.value.param) == ("file_not_found", "after")


async def test_an_owner_lists_their_vector_stores(stores: RedisVectorStores, redis: Redis) -> None:
    made = [await make(stores) for _ in range(3)]
    for place, store_id in enumerate(made):  # they may be of the same millisecond
        await redis.zadd(keys.vector_store_listing(OWNER), {store_id: place})
    await redis.zadd(keys.vector_store_listing(OWNER), {ids.new_id(ids.VECTOR_STORE, PARTITION): 9})
    page = await stores.list_stores(owner=OWNER, limit=10, order="desc", after=None, before=None)
    assert (page.first_id, page.last_id, len(page.data), page.has_more) == (made[2], made[0], 3, False)
    assert await redis.zcard(keys.vector_store_listing(OWNER)) == 3


async def test_a_file_is_indexed_once_and_counted(stores: RedisVectorStores) -> None:
    store_id = await make(stores)
    file = build_file(attributes={"team": "a", "year": 2024})
    await put(stores, store_id, file)
    assert (await stores.get(store_id, owner=OWNER)).status == "in_progress"
    indexing = await seize(stores)
    assert (indexing.file, indexing.owner, indexing.task) == (file, OWNER, "index")
    assert await stores.seize_indexing(PARTITION, lease_s=LEASE_S) is None
    assert await stores.find_live(store_id, [file.file_id]) == {}
    await stores.end_indexing(indexing, usage_bytes=321)
    shown = await stores.get_file(store_id, file.file_id, owner=OWNER)
    assert (shown.status, shown.usage_bytes, shown.last_error) == ("completed", 321, None)
    found = await stores.get(store_id, owner=OWNER)
    assert (found.status, found.usage_bytes, found.file_counts) == ("completed", 321, FileCounts(completed=1, total=1))
    assert await stores.find_live(store_id, [file.file_id, new_file_id()]) == {file.file_id: file.attributes}
    assert await stores.list_waiting() == []


async def test_the_same_file_again_is_not_indexed_again(stores: RedisVectorStores) -> None:
    file = build_file(attributes={"a": 1, "b": "x"})
    store_id, _ = await make_filled(stores, file)
    await put(stores, store_id, build_file(file.file_id, {"b": "x", "a": 1}))
    assert await counts_of(stores, store_id) == FileCounts(completed=1, total=1)
    await put(stores, store_id, build_file(file.file_id, file.attributes, STATIC))
    assert await counts_of(stores, store_id) == FileCounts(in_progress=1, total=1)
    assert (await seize(stores)).file.chunking == STATIC


async def test_a_failed_file_says_why_and_may_be_put_in_again(stores: RedisVectorStores) -> None:
    store_id = await make(stores)
    file = build_file()
    await put(stores, store_id, file)
    await stores.end_indexing(await seize(stores), error=BROKEN)
    shown = await stores.get_file(store_id, file.file_id, owner=OWNER)
    assert (shown.status, shown.last_error) == ("failed", BROKEN)
    assert await counts_of(stores, store_id) == FileCounts(failed=1, total=1)
    await put(stores, store_id, file)
    await stores.forget(Due(store_id, file.file_id))  # half of it might be in the index
    await index(stores)
    assert (await stores.get_file(store_id, file.file_id, owner=OWNER)).last_error is None
    assert await counts_of(stores, store_id) == FileCounts(completed=1, total=1)


async def test_files_are_listed_by_their_status(stores: RedisVectorStores) -> None:
    store_id = await make(stores)
    await put(stores, store_id, *[build_file() for _ in range(3)])
    done, broken, held = [await seize(stores) for _ in range(3)]
    await stores.end_indexing(done, usage_bytes=1)
    await stores.end_indexing(broken, error=BROKEN)
    expected: dict[IndexingStatus, Indexing] = {"completed": done, "failed": broken, "in_progress": held}
    for status, indexing in expected.items():
        file_id = indexing.file.file_id
        page = await stores.list_files(
            store_id, owner=OWNER, status=status, limit=10, order="asc", after=None, before=None
        )
        assert (page.first_id, page.last_id) == (file_id, file_id)


async def test_vector_stores_take_turns(stores: RedisVectorStores) -> None:
    crowded, other = await make(stores), await make(stores)
    await put(stores, crowded, *[build_file() for _ in range(5)])
    await put(stores, other, *[build_file() for _ in range(2)])
    order = []
    for _ in range(4):
        await asyncio.sleep(0.002)  # turns go by the millisecond
        order.append((await seize(stores)).vector_store_id)
    assert sorted(order) == sorted([crowded, other] * 2)


async def test_who_lost_the_lease_can_write_nothing(stores: RedisVectorStores, redis: Redis) -> None:
    store_id = await make(stores)
    [file_id] = await put(stores, store_id, build_file())
    stale = await seize(stores)
    await stores.renew_indexing(stale, lease_s=LEASE_S)
    await lose_holder(redis, store_id, file_id)
    fresh = await seize(stores)
    for refused in (
        stores.renew_indexing(stale, lease_s=LEASE_S),
        stores.end_indexing(stale, usage_bytes=1),
        stores.put_off_indexing(stale, delay_s=0, is_try=True),
    ):
        with pytest.raises(StaleRun):
            await refused
    await stores.end_indexing(fresh, usage_bytes=7)
    assert (await stores.get(store_id, owner=OWNER)).usage_bytes == 7


async def test_a_file_that_loses_three_holders_is_failed(stores: RedisVectorStores, redis: Redis) -> None:
    store_id = await make(stores)
    [file_id] = await put(stores, store_id, build_file())
    for _ in range(3):
        await seize(stores)
        await lose_holder(redis, store_id, file_id)
    assert await stores.seize_indexing(PARTITION, lease_s=LEASE_S) is None
    shown = await stores.get_file(store_id, file_id, owner=OWNER)
    assert shown.status == "failed"
    assert shown.last_error is not None
    assert shown.last_error.code == "server_error"
    assert await stores.list_due() == [Due(store_id, file_id)]  # half of it may be in the index


async def test_who_lets_go_is_not_lost(stores: RedisVectorStores) -> None:
    store_id = await make(stores)
    await put(stores, store_id, build_file())
    for tries in range(5):
        indexing = await seize(stores)
        assert indexing.tries == tries
        await stores.put_off_indexing(indexing, delay_s=0, is_try=True)
    indexing = await seize(stores)
    await stores.put_off_indexing(indexing, delay_s=0, is_try=False)
    indexing = await seize(stores)
    assert indexing.tries == 5
    await stores.put_off_indexing(indexing, delay_s=60, is_try=True)
    assert await stores.seize_indexing(PARTITION, lease_s=LEASE_S) is None
    assert (await counts_of(stores, store_id)).in_progress == 1


async def test_two_replicas_never_hold_the_same_file(redis: Redis) -> None:
    first, second = RedisVectorStores(redis), RedisVectorStores(redis)
    store_id = await make(first)
    files = await put(first, store_id, *[build_file() for _ in range(40)])
    seized = await asyncio.gather(*(replica.seize_indexing(PARTITION, lease_s=60) for replica in (first, second) * 25))
    held = [indexing.file.file_id for indexing in seized if indexing]
    assert sorted(held) == sorted(files)


async def test_a_detached_file_is_gone_and_its_passages_are_due(stores: RedisVectorStores) -> None:
    store_id, [file_id, other] = await make_filled(stores, build_file(), build_file())
    await stores.detach(store_id, file_id, owner=OWNER)
    with pytest.raises(NotFound) as caught:
        await stores.get_file(store_id, file_id, owner=OWNER)
    assert caught.value.code == "file_not_found"
    assert list(await stores.find_live(store_id, [file_id, other])) == [other]
    found = await stores.get(store_id, owner=OWNER)
    assert (found.usage_bytes, found.file_counts) == (100, FileCounts(completed=1, total=1))
    with pytest.raises(NotFound):
        await stores.detach(store_id, file_id, owner=OWNER)
    await stores.detach(store_id, file_id, owner=None)


async def test_passages_are_due_until_they_are_forgotten(redis: Redis) -> None:
    stores = RedisVectorStores(redis)
    store_id, [file_id] = await make_filled(stores, build_file())
    await stores.detach(store_id, file_id, owner=None)
    assert await stores.list_due() == [Due(store_id, file_id)]
    assert await stores.list_due() == []  # for a minute nobody else is given it
    await be_due_now(redis, f"{store_id} {file_id}")
    assert await stores.list_due() == [Due(store_id, file_id)]
    assert not await stores.forget(Due(store_id, file_id))
    assert await redis.zcard(keys.unindexing(PARTITION)) == 0


async def test_a_file_that_comes_back_waits_until_its_former_passages_are_erased(stores: RedisVectorStores) -> None:
    store_id, [file_id] = await make_filled(stores, build_file())
    await stores.detach(store_id, file_id, owner=OWNER)
    await put(stores, store_id, build_file(file_id))
    assert await stores.seize_indexing(PARTITION, lease_s=LEASE_S) is None
    assert await stores.forget(Due(store_id, file_id))  # it is in it again
    async with asyncio.timeout(10):
        while await stores.seize_indexing(PARTITION, lease_s=LEASE_S) is None:  # noqa: ASYNC110 -- Redis's time passes
            await asyncio.sleep(0.05)


async def test_what_is_being_indexed_is_erased_when_its_holder_has_stopped(stores: RedisVectorStores) -> None:
    store_id = await make(stores)
    [file_id] = await put(stores, store_id, build_file())
    indexing = await seize(stores)
    await stores.detach(store_id, file_id, owner=OWNER)
    with pytest.raises(StaleRun):
        await stores.renew_indexing(indexing, lease_s=LEASE_S)
    assert await stores.list_due() == []
    await stores.abandon_indexing(indexing)  # it has stopped
    assert await stores.list_due() == [Due(store_id, file_id)]


async def test_a_deleted_vector_store_leaves_nothing(stores: RedisVectorStores, redis: Redis) -> None:
    store_id, file_ids = await make_filled(stores, *[build_file() for _ in range(70)])
    await put(stores, store_id, *map(build_file, file_ids), batch_id=ids.new_id(ids.FILE_BATCH, PARTITION))
    await stores.delete(store_id, owner=OWNER)
    with pytest.raises(NotFound):
        await stores.get(store_id, owner=OWNER)
    with pytest.raises(NotFound):
        await stores.delete(store_id, owner=OWNER)
    assert await stores.find_live(store_id, file_ids) == {}
    assert Due(store_id) in await stores.list_due()
    seen: list[str] = []
    while left := await stores.list_left(store_id):
        seen += left
        await stores.forget(Due(store_id))
    while await stores.forget(Due(store_id)):
        pass
    assert set(seen) <= set(file_ids)
    await redis.delete(*[key async for key in redis.scan_iter("*:seized:*")] or ["none"])
    assert [key async for key in redis.scan_iter("*")] == [keys.vector_store(store_id).encode()]
    assert set(await redis.hgetall(keys.vector_store(store_id))) == {b"deleted"}
    await stores.create(VectorStore(id=store_id, created_at=0, name="Late", status="completed"), owner=OWNER)
    with pytest.raises(NotFound):
        await stores.get(store_id, owner=OWNER)


async def test_what_an_owner_keeps_is_counted_and_given_back(stores: RedisVectorStores, redis: Redis) -> None:
    async def read_bytes() -> int:
        return int(await redis.hget(keys.stored_bytes(PARTITION), OWNER) or 0)

    store_id = await make(stores)
    empty = await read_bytes()
    [file_id] = await put(stores, store_id, build_file(attributes={"a": "x" * 500}))
    assert await read_bytes() >= empty + 1500
    await stores.set_attributes(store_id, file_id, {}, owner=OWNER, lease_s=LEASE_S)
    await stores.detach(store_id, file_id, owner=OWNER)
    assert await read_bytes() == empty > 0
    await stores.delete(store_id, owner=OWNER)
    while await stores.forget(Due(store_id)):
        pass
    assert await read_bytes() == 0


async def test_a_vector_store_expires_after_its_last_use(stores: RedisVectorStores, redis: Redis) -> None:
    store_id = await make(stores, expires_after=ExpiresAfter(2))
    [file_id] = await put(stores, store_id, build_file())
    await index(stores)
    await age(redis, store_id, 1)
    await stores.use([store_id], owner=OWNER)
    await age(redis, store_id, 1)
    assert await stores.list_due() == []
    await age(redis, store_id, 1)
    assert (await stores.get(store_id, owner=OWNER)).status == "expired"
    assert await stores.find_live(store_id, [file_id]) == {}
    for refused in (
        stores.use([store_id], owner=OWNER),
        stores.update(store_id, owner=OWNER, name="Late"),
        stores.attach(store_id, [build_file()], owner=OWNER),
        stores.set_attributes(store_id, file_id, {}, owner=OWNER, lease_s=LEASE_S),
    ):
        with pytest.raises(NotFound) as caught:
            await refused
        assert caught.value.code == "vector_store_expired"
    await be_due_now(redis, store_id)
    assert Due(store_id) in await stores.list_due()
    assert await stores.list_left(store_id) == []
    assert not await stores.forget(Due(store_id))
    assert (await stores.get_file(store_id, file_id, owner=OWNER)).status == "completed"
    await stores.delete(store_id, owner=OWNER)


async def test_what_is_alive_is_never_erased(stores: RedisVectorStores, redis: Redis) -> None:
    store_id, _ = await make_filled(stores, build_file())
    await be_due_now(redis, store_id)
    assert await stores.list_due() == []
    expiring = await make(stores, expires_after=ExpiresAfter(2))
    await be_due_now(redis, expiring)
    assert await stores.list_due() == []
    assert await redis.zcard(keys.unindexing(PARTITION)) == 1


async def test_files_of_an_expired_store_are_not_indexed(stores: RedisVectorStores, redis: Redis) -> None:
    store_id = await make(stores, expires_after=ExpiresAfter(1))
    await put(stores, store_id, build_file(), build_file())
    indexing = await seize(stores)
    await age(redis, store_id, 2)
    assert await stores.seize_indexing(PARTITION, lease_s=LEASE_S) is None
    with pytest.raises(StaleRun):
        await stores.end_indexing(indexing, usage_bytes=1)
    await stores.abandon_indexing(indexing)
    assert await counts_of(stores, store_id) == FileCounts(in_progress=1, cancelled=1, total=2)


async def test_a_batch_is_counted_by_itself(stores: RedisVectorStores) -> None:
    store_id, [there] = await make_filled(stores, build_file())
    batch_id = ids.new_id(ids.FILE_BATCH, PARTITION)
    files = await put(stores, store_id, build_file(there), build_file(), build_file(), batch_id=batch_id)
    batch = await stores.get_batch(store_id, batch_id, owner=OWNER)
    assert (batch.status, batch.file_counts) == ("in_progress", FileCounts(in_progress=2, completed=1, total=3))
    await stores.end_indexing(await seize(stores), error=BROKEN)
    await index(stores)
    batch = await stores.get_batch(store_id, batch_id, owner=OWNER)
    assert (batch.status, batch.file_counts) == ("completed", FileCounts(completed=2, failed=1, total=3))
    page = await stores.list_files(
        store_id, owner=OWNER, status=None, batch_id=batch_id, limit=10, order="asc", after=None, before=None
    )
    assert (page.first_id, page.last_id, len(page.data)) == (files[0], files[2], 3)


async def test_a_large_batch_is_put_in_and_cancelled_in_slices(stores: RedisVectorStores) -> None:
    store_id = await make(stores)
    batch_id = ids.new_id(ids.FILE_BATCH, PARTITION)
    count = 3 * FILES_A_SLICE + 1
    await put(stores, store_id, *[build_file() for _ in range(count)], batch_id=batch_id)
    await index(stores)
    held = await seize(stores)
    batch = await stores.cancel_batch(store_id, batch_id, owner=OWNER)
    counts = FileCounts(completed=1, cancelled=count - 1, total=count)
    assert (batch.status, batch.file_counts) == ("cancelled", counts)
    assert await counts_of(stores, store_id) == counts
    assert await stores.seize_indexing(PARTITION, lease_s=LEASE_S) is None
    with pytest.raises(StaleRun):
        await stores.end_indexing(held, usage_bytes=1)


async def test_a_file_may_wait_in_several_batches(stores: RedisVectorStores) -> None:
    store_id = await make(stores)
    file = build_file()
    batches = [ids.new_id(ids.FILE_BATCH, PARTITION) for _ in range(MAX_WAITING_BATCHES)]
    for batch_id in batches:
        await put(stores, store_id, file, batch_id=batch_id)
    with pytest.raises(InvalidRequest):
        await put(stores, store_id, file, batch_id=ids.new_id(ids.FILE_BATCH, PARTITION))
    await index(stores)
    for batch_id in batches:
        batch = await stores.get_batch(store_id, batch_id, owner=OWNER)
        assert (batch.status, batch.file_counts) == ("completed", FileCounts(completed=1, total=1))


async def test_a_batch_ends_when_its_files_are_detached(stores: RedisVectorStores) -> None:
    store_id = await make(stores)
    batch_id = ids.new_id(ids.FILE_BATCH, PARTITION)
    [file_id] = await put(stores, store_id, build_file(), batch_id=batch_id)
    await stores.detach(store_id, file_id, owner=OWNER)
    batch = await stores.get_batch(store_id, batch_id, owner=OWNER)
    assert (batch.status, batch.file_counts) == ("completed", FileCounts(cancelled=1, total=1))
    page = await stores.list_files(
        store_id, owner=OWNER, status=None, batch_id=batch_id, limit=10, order="asc", after=None, before=None
    )
    assert page.data == []


async def test_a_batch_is_of_its_vector_store(stores: RedisVectorStores) -> None:
    first, second = await make(stores), await make(stores)
    batch_id = ids.new_id(ids.FILE_BATCH, PARTITION)
    await put(stores, first, build_file(), batch_id=batch_id)
    for unknown in (batch_id, ids.new_id(ids.FILE_BATCH, PARTITION), ids.new_id(ids.FILE_BATCH, "09")):
        for refused in (
            stores.get_batch(second, unknown, owner=OWNER),
            stores.cancel_batch(second, unknown, owner=OWNER),
        ):
            with pytest.raises(NotFound) as caught:
                await refused
            assert caught.value.code == "file_batch_not_found"


async def test_attributes_change_at_once_and_the_index_is_told(stores: RedisVectorStores, redis: Redis) -> None:
    store_id, [file_id] = await make_filled(stores, build_file(attributes={"a": 1}))
    work = await stores.set_attributes(store_id, file_id, {"a": 2}, owner=OWNER, lease_s=LEASE_S)
    assert await stores.find_live(store_id, [file_id]) == {file_id: {"a": 2}}
    assert work is not None
    assert (work.task, work.file.attributes) == ("attributes", {"a": 2})
    assert await stores.set_attributes(store_id, file_id, {"a": 3}, owner=OWNER, lease_s=LEASE_S) is None
    await stores.end_indexing(work)
    later = await seize(stores)  # what has changed meanwhile
    assert (later.task, later.file.attributes) == ("attributes", {"a": 3})
    await lose_holder(redis, store_id, file_id)
    last = await seize(stores)
    await stores.end_indexing(last)
    shown = await stores.get_file(store_id, file_id, owner=OWNER)
    assert (shown.status, shown.attributes, shown.usage_bytes) == ("completed", {"a": 3}, 100)
    assert await stores.seize_indexing(PARTITION, lease_s=LEASE_S) is None


async def test_a_file_stays_when_its_attributes_cannot_be_told(stores: RedisVectorStores) -> None:
    store_id, [file_id] = await make_filled(stores, build_file())
    work = await stores.set_attributes(store_id, file_id, {"a": 2}, owner=OWNER, lease_s=LEASE_S)
    assert work is not None
    await stores.end_indexing(work, error=BROKEN)
    assert await stores.find_live(store_id, [file_id]) == {file_id: {"a": 2}}
    assert await stores.list_due() == []


async def test_attributes_that_change_while_a_file_is_indexed_are_told_afterwards(stores: RedisVectorStores) -> None:
    store_id = await make(stores)
    [file_id] = await put(stores, store_id, build_file())
    indexing = await seize(stores)
    assert await stores.set_attributes(store_id, file_id, {"a": 2}, owner=OWNER, lease_s=LEASE_S) is None
    await stores.end_indexing(indexing, usage_bytes=5)
    later = await seize(stores)
    assert (later.task, later.file.attributes) == ("attributes", {"a": 2})


async def test_changed_anew_while_it_is_indexed_it_begins_when_the_first_has_stopped(
    stores: RedisVectorStores, redis: Redis
) -> None:
    store_id = await make(stores)
    file = build_file()
    await put(stores, store_id, file)
    stale = await seize(stores)
    await put(stores, store_id, build_file(file.file_id, {"a": 2}))
    await put(stores, store_id, build_file(file.file_id, {"a": 1}))
    with pytest.raises(StaleRun):
        await stores.end_indexing(stale, usage_bytes=1)
    assert await stores.seize_indexing(PARTITION, lease_s=LEASE_S) is None
    await lose_holder(redis, store_id, file.file_id)
    assert (await seize(stores)).file.attributes == {"a": 1}
