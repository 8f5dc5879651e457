"""What `FileStore` promises, on a real Valkey; each call is also made twice, as after a lost answer."""

import asyncio

import pytest
from msgspec import UNSET, UnsetType
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.file_store import RedisFileStore
from prompts.domain import ids
from prompts.domain.files import File, Purpose
from prompts.errors import NotFound, QuotaExceeded, Unavailable
from tests.support.builders import RetryingRedis

STORE = "vs_00" + "0" * 30


def new_id(owner: str = "alice") -> str:
    return ids.new_id(ids.FILE, ids.find_partition(owner))


def make_file(
    file_id: str, *, size: int = 10, purpose: Purpose = "assistants", expires_at: int | UnsetType = UNSET
) -> File:
    return File(
        id=file_id, bytes=size, created_at=1_700_000_000, filename="a.txt", purpose=purpose, expires_at=expires_at
    )


def open_store(redis: Redis, *, max_owner_bytes: int = 0, erasing_s: float = 30) -> RedisFileStore:
    return RedisFileStore(redis, max_owner_bytes=max_owner_bytes, erasing_s=erasing_s)


@pytest.fixture(params=["once", "twice"])
def files(request: pytest.FixtureRequest, redis: Redis) -> RedisFileStore:
    return open_store(redis if request.param == "once" else RetryingRedis.of(redis))


async def add(
    files: RedisFileStore,
    *,
    owner: str = "alice",
    size: int = 10,
    purpose: Purpose = "assistants",
    expires_at: int | UnsetType = UNSET,
) -> str:
    file_id = new_id(owner)
    await files.expect(file_id, owner=owner)
    await files.add(make_file(file_id, size=size, purpose=purpose, expires_at=expires_at), owner=owner)
    return file_id


async def count_listed(files: RedisFileStore, owner: str) -> int:
    page = await files.list_files(owner=owner, purpose=None, limit=100, order="desc", after=None)
    return len(page.data)


async def end(redis: Redis, file_id: str) -> None:
    """Its time is over."""
    await redis.hset(keys.file(file_id), "expires_ms", "1")
    await redis.zadd(keys.files_due(ids.get_partition(file_id)), {file_id: 1})


async def test_a_file_is_shown_as_it_was_added(files: RedisFileStore) -> None:
    file_id = await add(files, expires_at=4_000_000_000)
    assert await files.get(file_id, owner="alice") == make_file(file_id, expires_at=4_000_000_000)
    assert await files.list_due() == []


async def test_owners_are_walls(files: RedisFileStore) -> None:
    file_id = await add(files)
    for call in (
        files.get(file_id, owner="bob"),
        files.attach(file_id, STORE, owner="bob"),
        files.delete(file_id, owner="bob"),
        files.list_files(owner="bob", purpose=None, limit=1, order="asc", after=file_id),
    ):
        with pytest.raises(NotFound, match=file_id):
            await call
    assert await count_listed(files, "bob") == 0
    assert await files.delete(file_id, owner="alice") == []


async def test_a_file_that_was_never_added_does_not_exist_and_is_due_in_time(
    files: RedisFileStore, redis: Redis
) -> None:
    file_id = new_id()
    await files.expect(file_id, owner="alice")
    with pytest.raises(NotFound):
        await files.get(file_id, owner="alice")
    assert await files.list_due() == []
    await redis.zadd(keys.files_due(ids.get_partition(file_id)), {file_id: 1})
    with pytest.raises(Unavailable):  # somebody may be erasing it already
        await files.add(make_file(file_id), owner="alice")
    await files.forget(file_id)
    assert await files.list_due() == []


async def test_what_is_being_erased_is_not_added_any_more(redis: Redis) -> None:
    files = open_store(redis)
    file_id = new_id()
    await files.expect(file_id, owner="alice")
    await redis.zadd(keys.files_due(ids.get_partition(file_id)), {file_id: 1})
    assert await files.list_due() == [(file_id, [])]
    with pytest.raises(Unavailable):
        await files.add(make_file(file_id), owner="alice")
    await files.forget(file_id)
    assert [key async for key in redis.scan_iter("eps:*")] == []


async def test_lists_go_by_age_and_by_purpose_page_by_page(files: RedisFileStore) -> None:
    made = []
    for number in range(7):
        made.append(await add(files, purpose="vision" if number % 3 == 0 else "batch"))
        await asyncio.sleep(0.002)  # ids of one millisecond are in no order
    page = await files.list_files(owner="alice", purpose=None, limit=3, order="asc", after=None)
    assert (page.first_id, page.last_id, page.has_more, len(page.data)) == (made[0], made[2], True, 3)
    page = await files.list_files(owner="alice", purpose=None, limit=3, order="asc", after=made[3])
    assert (page.first_id, page.last_id, page.has_more) == (made[4], made[6], False)
    page = await files.list_files(owner="alice", purpose=None, limit=2, order="desc", after=made[6])
    assert (page.first_id, page.last_id, page.has_more) == (made[5], made[4], True)
    page = await files.list_files(owner="alice", purpose="vision", limit=2, order="desc", after=None)
    assert (page.first_id, page.last_id, page.has_more) == (made[6], made[3], True)


async def test_a_page_is_full_although_files_have_expired(redis: Redis) -> None:
    files = open_store(redis)
    made = sorted([await add(files) for _ in range(250)])
    for file_id in made[:200]:
        await redis.hset(keys.file(file_id), "expires_ms", "1")
    page = await files.list_files(owner="alice", purpose=None, limit=30, order="asc", after=None)
    assert (page.first_id, page.last_id, page.has_more, len(page.data)) == (made[200], made[229], True, 30)


async def test_a_deleted_file_is_due_until_it_is_forgotten(redis: Redis) -> None:
    files = open_store(redis, erasing_s=0.001)
    file_id = await add(files)
    assert (await files.attach(file_id, STORE, owner="alice")).id == file_id
    await files.attach(file_id, STORE, owner="alice")
    assert await files.delete(file_id, owner="alice") == [STORE]
    for call in (files.get(file_id, owner="alice"), files.attach(file_id, STORE, owner="alice")):
        with pytest.raises(NotFound):
            await call
    assert await count_listed(files, "alice") == 0
    for _ in range(2):
        assert await files.list_due() == [(file_id, [STORE])]
        await asyncio.sleep(0.01)
    await files.forget(file_id)  # a vector store still has it
    assert await files.list_due() == [(file_id, [STORE])]
    await files.detach(file_id, STORE)
    await files.forget(file_id)
    assert [key async for key in redis.scan_iter("eps:*")] == []


async def test_of_several_replicas_one_erases_a_file(redis: Redis) -> None:
    files = open_store(redis)
    for _ in range(5):
        await files.delete(await add(files), owner="alice")
    told = await asyncio.gather(*(files.list_due() for _ in range(4)))
    assert sorted(len(each) for each in told) == [0, 0, 0, 5]


async def test_the_second_try_of_a_deletion_is_told_the_same(redis: Redis) -> None:
    files = open_store(RetryingRedis.of(redis))
    file_id = await add(files)
    await files.attach(file_id, STORE, owner="alice")
    assert await files.delete(file_id, owner="alice") == [STORE]
    with pytest.raises(NotFound):
        await files.delete(file_id, owner="alice")


async def test_an_expired_file_does_not_exist_and_is_due(redis: Redis) -> None:
    files = open_store(redis)
    file_id = await add(files, expires_at=4_000_000_000)
    await files.attach(file_id, STORE, owner="alice")
    await end(redis, file_id)
    for call in (files.get(file_id, owner="alice"), files.delete(file_id, owner="alice")):
        with pytest.raises(NotFound):
            await call
    assert await count_listed(files, "alice") == 0
    assert await files.list_due() == [(file_id, [STORE])]
    assert await redis.exists(keys.file_bytes(ids.get_partition(file_id))) == 0


async def test_a_file_that_is_shown_is_not_forgotten(files: RedisFileStore) -> None:
    file_id = await add(files)
    await files.forget(file_id)
    assert (await files.get(file_id, owner="alice")).id == file_id


async def test_an_owner_keeps_as_many_bytes_as_they_may(redis: Redis) -> None:
    files = open_store(redis, max_owner_bytes=100)
    first = await add(files, size=60)
    with pytest.raises(QuotaExceeded, match="You keep"):
        await add(files, size=41)
    second = await add(files, size=40)
    with pytest.raises(QuotaExceeded):
        await files.expect(new_id(), owner="alice")
    await add(files, owner="bob", size=100)
    await files.delete(first, owner="alice")
    await add(files, size=60)
    assert (await files.get(second, owner="alice")).bytes == 40


async def test_of_many_uploads_at_once_as_many_stay_as_have_room(redis: Redis) -> None:
    files = open_store(redis, max_owner_bytes=100)
    ends = await asyncio.gather(*(add(files, size=30) for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(each, QuotaExceeded) for each in ends) == 7


async def test_the_record_of_a_file_counts_as_what_its_owner_keeps(files: RedisFileStore, redis: Redis) -> None:
    """Of files of one byte, a million would be no megabyte."""
    partition = ids.find_partition("alice")
    kept = [await add(files, size=1) for _ in range(3)]
    expired = await add(files, size=1, expires_at=1_700_000_000)
    counted = int(await redis.hget(keys.stored_bytes(partition), "alice") or 0)
    assert 4_000 < counted < 6_000
    assert [file_id for file_id, _ in await files.list_due()] == [expired]
    for file_id in kept:
        await files.delete(file_id, owner="alice")
    assert await redis.hget(keys.stored_bytes(partition), "alice") is None
