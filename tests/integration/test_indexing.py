"""How a replica indexes files and erases what is gone: a real Valkey, with a reader and an index that a test holds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.vector_stores import RedisVectorStores
from prompts.domain import ids
from prompts.domain.passages import Attributes, Comparison
from prompts.domain.vector_stores import AutoChunking, ExpiresAfter, VectorStore, VectorStoreFile
from prompts.errors import InvalidPrompt, NotFound, PromptTooLong, Unavailable
from prompts.ports.files import FileStore
from prompts.ports.observer import IndexingStopped
from prompts.ports.passage_index import Ranking
from prompts.ports.vector_stores import Due, NewFile
from prompts.run import indexing
from prompts.run.indexing import MAX_TRIES, Indexer, IndexingPorts
from prompts.run.unindexing import Unindexer
from prompts.usecases.search import SearchPorts, search
from prompts.usecases.vector_stores import VectorStorePorts, create_vector_store, set_file_attributes
from tests.support.fakes.observer import FakeObserver
from tests.support.memory_knowledge import LineExtractor, MemoryFiles, MemoryIndex
from tests.support.servers import ValkeyServer, eventually

OWNER = "alice"
PARTITION = "05"
LEASE_S = 3.0
DATABASE = 6


class World:
    """One service: its stores and what replicas share."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.stores = RedisVectorStores(redis)
        self.files = MemoryFiles()
        self.extractor = LineExtractor()
        self.index = MemoryIndex()
        self.observer = FakeObserver()
        self.indexers: list[Indexer] = []

    def make_indexer(self, *, stores: Any = None, lease_s: float = LEASE_S) -> Indexer:
        """The indexer of a replica."""
        files = cast(Any, self.files)  # it has what indexing uses of both ports
        ports = IndexingPorts(stores or self.stores, files, files, self.extractor, self.index)
        return Indexer(ports, lease_s=lease_s, observer=self.observer)

    @asynccontextmanager
    async def replica(self, *, lease_s: float = LEASE_S) -> AsyncIterator[Indexer]:
        """A replica that indexes."""
        indexer = self.make_indexer(lease_s=lease_s)
        self.indexers.append(indexer)
        task = asyncio.create_task(indexer.keep_indexing())
        try:
            yield indexer
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def erase(self) -> None:
        """Erase what is due."""
        await Unindexer(stores=self.stores, files=cast(Any, self.files), index=self.index).erase_due()

    async def make(self) -> str:
        """A vector store."""
        store_id = ids.new_id(ids.VECTOR_STORE, PARTITION)
        await self.stores.create(VectorStore(id=store_id, created_at=0, name=None, status="completed"), owner=OWNER)
        return store_id

    async def put(
        self, store_id: str, text: str = "one two", attributes: Attributes | None = None, file_id: str | None = None
    ) -> str:
        """A file in it that waits."""
        file_id = file_id or ids.new_id(ids.FILE, "07")
        self.files.texts[file_id] = text.encode()
        self.files.marks.add((file_id, store_id))
        new = NewFile(file_id=file_id, filename="notes.txt", attributes=attributes or {}, chunking=AutoChunking())
        await self.stores.attach(store_id, [new], owner=OWNER)
        self.wake()
        return file_id

    def wake(self) -> None:
        """All replicas look at once."""
        for indexer in self.indexers:
            indexer.wake()

    async def get(self, store_id: str, file_id: str) -> VectorStoreFile:
        """How it stands."""
        return await self.stores.get_file(store_id, file_id, owner=OWNER)

    async def wait_for(self, store_id: str, file_id: str, status: str) -> VectorStoreFile:
        """Until it stands so."""

        async def stands() -> bool:
            return (await self.get(store_id, file_id)).status == status

        await eventually(stands)
        return await self.get(store_id, file_id)

    async def search(self, store_id: str, query: str, **options: Any) -> list[str]:
        """The files that are found."""
        found = await search(
            [query],
            store_ids=[store_id],
            owner=OWNER,
            where=options.get("where"),
            limit=options.get("limit", 10),
            ranking=Ranking(),
            ports=SearchPorts(self.index, self.stores),
        )
        return [passage.file_id for passage in found]


class SlowIndex:
    """An index in which attributes change when the gate is open; all else is the other one's."""

    def __init__(self, index: MemoryIndex) -> None:
        self._index = index
        self.gate = asyncio.Event()
        self.told = 0
        self.most_at_once = 0
        self._at_once = 0

    async def set_attributes(self, vector_store_id: str, file_id: str, attributes: Attributes) -> None:
        """See `PassageIndex.set_attributes`."""
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await self.gate.wait()
        self._at_once -= 1
        self.told += 1
        await self._index.set_attributes(vector_store_id, file_id, attributes)

    def has_told(self, count: int) -> Any:
        """Whether so many changes are told."""

        async def has() -> bool:
            return self.told == count

        return has

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)


@pytest.fixture
async def world(valkey: ValkeyServer) -> AsyncIterator[World]:
    """A service in a database of its own."""
    async with Redis.from_url(f"redis://127.0.0.1:{valkey.port}/{DATABASE}") as redis:
        await redis.flushdb()
        yield World(redis)


async def test_a_file_is_indexed_and_found(world: World) -> None:
    store_id = await world.make()
    file_id = await world.put(store_id, "one\ntwo", {"a": 1})
    async with world.replica():
        file = await world.wait_for(store_id, file_id, "completed")
    assert file.usage_bytes == len("one\n\ntwo")
    assert world.observer.noticed == [IndexingStopped("completed")]
    assert world.index.files[store_id, file_id].attributes == {"a": 1}
    assert await world.search(store_id, "two") == [file_id]


async def test_two_replicas_index_each_file_once(world: World) -> None:
    stores = [await world.make() for _ in range(3)]
    files = [(store_id, await world.put(store_id, f"text {number}")) for store_id in stores for number in range(10)]
    async with world.replica(), world.replica():
        for store_id, file_id in files:
            await world.wait_for(store_id, file_id, "completed")
    assert world.index.puts == 30


async def test_a_process_reads_few_files_at_once(world: World) -> None:
    store_id = await world.make()
    world.extractor.gate.clear()
    for _ in range(5):
        await world.put(store_id)
    async with world.replica() as indexer:
        for _ in range(indexing.AT_ONCE):
            await world.extractor.begun.acquire()
        indexer.wake()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await world.extractor.begun.acquire()


async def test_an_owner_of_many_vector_stores_keeps_nobody_waiting(world: World) -> None:
    """Each of a hundred has a turn; so has whoever comes behind them all."""
    crowd, other = "alice", "bob"
    assert ids.find_partition(crowd) != ids.find_partition(other)
    ports = VectorStorePorts(
        stores=world.stores,
        files=cast(Any, world.files),
        index=world.index,
        wake=lambda: None,
        wake_eraser=lambda: None,
        tell_attributes=world.make_indexer().tell_attributes,
        lease_s=LEASE_S,
    )

    async def make(owner: str, text: str) -> tuple[str, str]:
        about: Any = {"name": None, "description": None, "metadata": {}, "expires_after": None}
        store_id = (await create_vector_store(owner=owner, **about, files=[], ports=ports)).id
        file_id = ids.new_id(ids.FILE, "07")
        world.files.texts[file_id] = text.encode()
        new = NewFile(file_id=file_id, filename="a.txt", attributes={}, chunking=AutoChunking())
        await world.stores.attach(store_id, [new], owner=owner)
        return store_id, file_id

    for number in range(100):
        await make(crowd, f"text {number}")
    last = await make(other, "the last one")
    async with world.replica():

        async def is_there() -> bool:
            return last in world.index.files

        await eventually(is_there)
    assert list(world.index.files).index(last) < 40


async def test_many_changes_of_attributes_are_told_a_few_at_a_time(world: World) -> None:
    """Of a large file each takes minutes: those that find no place are done in the background."""
    store_id = await world.make()
    files = [await world.put(store_id, f"text {number}") for number in range(8)]
    async with world.replica():
        for file_id in files:
            await world.wait_for(store_id, file_id, "completed")
    index = SlowIndex(world.index)
    world.index = cast(Any, index)
    indexer = world.make_indexer(lease_s=1.0)

    async def change(file_id: str) -> None:
        work = await world.stores.set_attributes(store_id, file_id, {"a": 1}, owner=OWNER, lease_s=1.0)
        assert work is not None
        await indexer.tell_attributes(work)

    changes = [asyncio.ensure_future(change(file_id)) for file_id in files]
    _, waiting = await asyncio.wait(changes, timeout=0.7)
    assert len(waiting) == index.most_at_once == indexing.AT_ONCE
    index.gate.set()
    await asyncio.gather(*changes)
    async with world.replica():
        await eventually(index.has_told(8))


async def test_a_process_is_woken_by_its_own_requests(world: World) -> None:
    store_id = await world.make()
    async with world.replica():
        begun = asyncio.get_running_loop().time()
        for number in range(5):
            file_id = await world.put(store_id, f"text {number}")
            await world.wait_for(store_id, file_id, "completed")
        assert asyncio.get_running_loop().time() - begun < 2.5  # each look by itself would come after 1.5 s


async def test_a_file_without_text_fails_with_its_reason(world: World) -> None:
    store_id = await world.make()
    empty, gone = await world.put(store_id, ""), await world.put(store_id)
    blank = await world.put(store_id, "   \n ")
    del world.files.texts[gone]
    async with world.replica():
        for file_id, word in ((empty, "empty"), (gone, "not there any more"), (blank, "No text")):
            file = await world.wait_for(store_id, file_id, "failed")
            assert file.last_error is not None
            assert file.last_error.code == "invalid_file"
            assert word in file.last_error.message
    await world.erase()
    assert world.index.files == {}


async def test_a_mistake_of_ours_fails_the_file_and_nothing_else(world: World) -> None:
    store_id = await world.make()
    world.extractor.broken = ValueError("a secret")
    broken = await world.put(store_id)
    async with world.replica():
        file = await world.wait_for(store_id, broken, "failed")
        assert file.last_error is not None
        assert file.last_error.code == "server_error"
        assert "secret" not in file.last_error.message
        world.extractor.broken = None
        await world.wait_for(store_id, await world.put(store_id), "completed")


async def test_while_the_index_is_away_a_file_waits(world: World) -> None:
    store_id = await world.make()
    world.index.is_away = True
    file_id = await world.put(store_id)
    async with world.replica():

        async def is_put_off() -> bool:
            return bool(await world.redis.hget(keys.vector_store_file(store_id, file_id), "tries"))

        await eventually(is_put_off)
        assert (await world.get(store_id, file_id)).status == "in_progress"
        world.index.is_away = False

        async def is_completed() -> bool:
            world.wake()
            return (await world.get(store_id, file_id)).status == "completed"

        await eventually(is_completed)
    assert world.observer.noticed[0] == IndexingStopped("put_off")


async def test_a_file_fails_when_the_index_stays_away(world: World) -> None:
    store_id = await world.make()
    world.index.is_away = True
    file_id = await world.put(store_id)
    await world.redis.hset(keys.vector_store_file(store_id, file_id), "tries", str(MAX_TRIES))
    async with world.replica():
        file = await world.wait_for(store_id, file_id, "failed")
    assert file.last_error is not None
    assert file.last_error.code == "server_error"
    assert "index cannot be reached" in file.last_error.message
    assert world.observer.noticed == [IndexingStopped("failed")]


async def test_long_work_keeps_its_lease(world: World) -> None:
    store_id = await world.make()
    world.extractor.gate.clear()
    file_id = await world.put(store_id)
    async with world.replica(lease_s=1), world.replica(lease_s=1):
        await world.extractor.begun.acquire()
        await asyncio.sleep(2.5)  # more than two leases: what passes is Redis's time
        assert world.extractor.begun.locked()  # nobody else has begun it
        world.extractor.gate.set()
        await world.wait_for(store_id, file_id, "completed")
    assert world.index.puts == 1


@pytest.mark.parametrize("how", ["detach", "delete", "cancel"])
async def test_what_is_not_wanted_any_more_is_let_go_and_leaves_nothing(world: World, how: str) -> None:
    store_id = await world.make()
    file_id = ids.new_id(ids.FILE, "07")
    world.files.texts[file_id] = b"one"
    world.files.marks.add((file_id, store_id))
    new = NewFile(file_id=file_id, filename="notes.txt", attributes={}, chunking=AutoChunking())
    batch_id = ids.new_id(ids.FILE_BATCH, PARTITION)
    await world.stores.attach(store_id, [new], owner=OWNER, batch_id=batch_id)
    world.extractor.gate.clear()
    async with world.replica(lease_s=1):
        await world.extractor.begun.acquire()
        match how:
            case "detach":
                await world.stores.detach(store_id, file_id, owner=OWNER)
            case "delete":
                await world.stores.delete(store_id, owner=OWNER)
            case "cancel":
                await world.stores.cancel_batch(store_id, batch_id, owner=OWNER)
        world.index.files[store_id, file_id] = cast(Any, "half of it")

        async def is_erased() -> bool:
            await world.erase()
            return world.index.files == {}

        await eventually(is_erased)
        world.extractor.gate.set()
        other = await world.make()
        await world.wait_for(other, await world.put(other), "completed")
    assert world.index.puts == 1
    assert not await world.redis.zcard(keys.unindexing(PARTITION))
    assert ((file_id, store_id) in world.files.marks) == (how != "delete")


async def test_a_file_that_was_deleted_while_it_was_attached_is_taken_out(world: World) -> None:
    store_id = await world.make()
    file_id = await world.put(store_id)
    world.files.deleted.add(file_id)
    async with world.replica():

        async def is_out() -> bool:
            return (await world.stores.get(store_id, owner=OWNER)).file_counts.total == 0

        await eventually(is_out)


async def test_a_leaving_replica_hands_its_files_over(world: World) -> None:
    store_id = await world.make()
    world.extractor.gate.clear()
    file_id = await world.put(store_id)
    async with world.replica(lease_s=60) as indexer:
        await world.extractor.begun.acquire()
        indexer.start_draining()
    world.extractor.gate.set()
    async with world.replica():
        await world.wait_for(store_id, file_id, "completed")  # nobody waits for the lease of a minute
    assert await world.redis.hget(keys.vector_store_file(store_id, file_id), "lost") is None


async def test_a_draining_replica_begins_nothing(world: World) -> None:
    store_id = await world.make()
    async with world.replica() as indexer:
        indexer.start_draining()
        await world.put(store_id)
        indexer.wake()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await world.extractor.begun.acquire()


async def test_the_work_goes_on_after_redis_was_away(world: World) -> None:
    store_id = await world.make()
    file_id = await world.put(store_id)
    stores = Flaky(world.stores)
    indexer = world.make_indexer(stores=stores)
    task = asyncio.create_task(indexer.keep_indexing())
    await world.extractor.begun.acquire()
    stores.failures = 2
    await world.wait_for(store_id, file_id, "completed")
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


class Flaky:
    """Vector stores whose next ends of work are not written."""

    def __init__(self, stores: RedisVectorStores) -> None:
        self._stores = stores
        self.failures = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stores, name)

    async def end_indexing(self, *args: Any, **options: Any) -> None:
        """Fail some times."""
        if self.failures:
            self.failures -= 1
            raise Unavailable("away")
        await self._stores.end_indexing(*args, **options)


async def test_attributes_reach_the_index_later_when_it_is_away(world: World) -> None:
    store_id = await world.make()
    file_id = await world.put(store_id, "one", {"a": 1})
    async with world.replica() as indexer:
        await world.wait_for(store_id, file_id, "completed")
        world.index.is_away = True
        work = await world.stores.set_attributes(store_id, file_id, {"a": 2}, owner=OWNER, lease_s=LEASE_S)
        assert work is not None
        await indexer.tell_attributes(work)
        assert world.index.files[store_id, file_id].attributes == {"a": 1}
        world.index.is_away = False

        async def is_told() -> bool:
            world.wake()
            return world.index.files[store_id, file_id].attributes == {"a": 2}

        await eventually(is_told)


@pytest.mark.parametrize(
    ("refusal", "says"), [(PromptTooLong("Shorten it."), "chunking_strategy"), (InvalidPrompt("No."), "refuses")]
)
async def test_what_the_embedding_model_refuses_is_not_tried_again(world: World, refusal: Any, says: str) -> None:
    store_id = await world.make()
    world.index.refusal = refusal
    file_id = await world.put(store_id, "one")
    async with world.replica():
        file = await world.wait_for(store_id, file_id, "failed")
    assert file.last_error is not None
    assert file.last_error.code == "invalid_file"
    assert says in file.last_error.message


async def test_nobody_waits_for_an_index_that_does_not_take_attributes(world: World) -> None:
    store_id = await world.make()
    file_id = await world.put(store_id, "one", {"a": 1})
    async with world.replica() as indexer:
        await world.wait_for(store_id, file_id, "completed")
        ports = VectorStorePorts(
            stores=world.stores,
            files=cast(FileStore, world.files),
            index=world.index,
            wake=indexer.wake,
            wake_eraser=lambda: None,
            tell_attributes=indexer.tell_attributes,
            lease_s=LEASE_S,
            tell_s=0.1,
        )
        world.index.gate.clear()
        changed = await set_file_attributes(store_id, file_id, {"a": 2}, owner=OWNER, ports=ports)
        assert (changed.status, changed.attributes) == ("completed", {"a": 2})
        assert world.index.files[store_id, file_id].attributes == {"a": 1}
        world.index.gate.set()

        async def is_told() -> bool:
            return world.index.files[store_id, file_id].attributes == {"a": 2}

        await eventually(is_told)


async def test_a_search_shows_what_is_live_with_its_attributes_of_now(world: World) -> None:
    store_id = await world.make()
    kept = await world.put(store_id, "one two", {"a": 1})
    gone = await world.put(store_id, "one", {"a": 1})
    async with world.replica():
        for file_id in (kept, gone):
            await world.wait_for(store_id, file_id, "completed")
    assert set(await world.search(store_id, "one")) == {kept, gone}
    await world.stores.detach(store_id, gone, owner=OWNER)
    assert (store_id, gone) in world.index.files  # it is not erased yet
    assert await world.search(store_id, "one", limit=1) == [kept]
    await world.stores.set_attributes(store_id, kept, {"a": 2}, owner=OWNER, lease_s=LEASE_S)
    is_one = Comparison(type="eq", key="a", value=1.0)
    assert await world.search(store_id, "one", where=is_one) == []  # though the index still says so
    world.files.texts[kept] = b"one"
    await world.put(store_id, "one", {"a": 3}, file_id=kept)
    assert await world.search(store_id, "one") == []  # it is being indexed anew
    with pytest.raises(NotFound):
        await world.search(ids.new_id(ids.VECTOR_STORE, PARTITION), "one")
    with pytest.raises(NotFound):
        await world.search("vs_{not}an id", "one")


async def test_passages_of_a_file_in_two_vector_stores_are_shown_once(world: World) -> None:
    first, second = await world.make(), await world.make()
    file_id = await world.put(first, "one two")
    await world.put(second, "one two", file_id=file_id)
    async with world.replica():
        for store_id in (first, second):
            await world.wait_for(store_id, file_id, "completed")
    found = await search(
        ["one"],
        store_ids=[first, second, first],
        owner=OWNER,
        where=None,
        limit=5,
        ranking=Ranking(),
        ports=SearchPorts(world.index, world.stores),
    )
    assert [(passage.file_id, passage.vector_store_id) for passage in found] == [(file_id, first)]


async def test_an_expired_vector_store_is_erased_from_the_index_and_can_be_read(world: World) -> None:
    store_id = await world.make()
    await world.stores.update(store_id, owner=OWNER, expires_after=ExpiresAfter(1))
    file_id = await world.put(store_id)
    async with world.replica():
        await world.wait_for(store_id, file_id, "completed")
    await world.erase()
    assert await world.search(store_id, "one") == [file_id]
    await world.redis.hincrby(keys.vector_store(store_id), "used_ms", -25 * 3600 * 1000)
    await world.redis.zadd(keys.unindexing(PARTITION), {store_id: 1})
    with pytest.raises(NotFound, match="expired"):
        await world.search(store_id, "one")
    await world.erase()
    assert world.index.files == {}
    assert (await world.stores.get(store_id, owner=OWNER)).status == "expired"
    assert (await world.get(store_id, file_id)).status == "completed"


async def test_what_is_due_is_erased_when_the_index_is_back(world: World) -> None:
    store_id = await world.make()
    file_id = await world.put(store_id)
    async with world.replica():
        await world.wait_for(store_id, file_id, "completed")
    await world.stores.delete(store_id, owner=OWNER)
    world.index.is_away = True
    with pytest.raises(Unavailable):
        await world.erase()
    world.index.is_away = False
    await world.redis.zadd(keys.unindexing(PARTITION), {store_id: 1})  # the minute is over
    await world.erase()
    assert world.index.files == {}
    assert world.files.marks == set()
    assert await world.stores.list_due() == []
    assert not await world.stores.forget(Due(store_id))
