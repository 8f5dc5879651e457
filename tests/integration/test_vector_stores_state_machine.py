"""Every operation on vector stores, in any order and each run twice, compared with a model of plain dictionaries."""

from collections import Counter
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.vector_store_work import MAX_LOST_HOLDERS
from prompts.adapters.redis.vector_stores import RedisVectorStores
from prompts.domain import ids
from prompts.domain.vector_stores import AutoChunking, FileCounts, IndexingError, VectorStore
from prompts.errors import NotFound, StaleRun
from prompts.ports.vector_stores import Due, Indexing, NewFile
from tests.integration.state_machine.redis_machine import SHORT_LIVES, RedisMachine, open_redis
from tests.support.builders import RetryingRedis
from tests.support.server_fixtures import StartValkey

OWNER = "alice"
PARTITION = "05"
LEASE_S = 600.0
FILES = [f"file-07{number:030x}" for number in range(4)]
BROKEN = IndexingError("invalid_file", "The file is broken.")
FEW = settings(SHORT_LIVES, max_examples=20)
Status = Literal["in_progress", "completed", "failed", "cancelled"]


@dataclass
class Held:
    """Work that was seized. It is stale when it is not its file's."""

    work: Indexing
    store_id: str
    file_id: str


@dataclass
class Entry:
    """A file in a vector store, as it should be."""

    attributes: dict[str, float]
    status: Status = "in_progress"
    usage: int = 0
    lost: int = 0
    held: Held | None = None
    is_late: bool = False
    """Its holder's lease is over: anybody may take it, and until then the holder may still write."""
    is_blocked: bool = False
    """Its former holder must have stopped before it begins anew."""
    is_behind: bool = False
    """The index has other attributes."""
    batches: list[str] = field(default_factory=list)


@dataclass
class Store:
    """A vector store, as it should be."""

    id: str
    files: dict[str, Entry] = field(default_factory=dict)
    batches: dict[str, dict[str, Status]] = field(default_factory=dict)
    due: set[str] = field(default_factory=set)
    """Files whose passages are to be erased."""
    is_deleted: bool = False

    def move(self, file_id: str, status: Status) -> None:
        """A file stands there now, in its batches as well."""
        entry = self.files[file_id]
        entry.status = status
        for batch_id in entry.batches:
            self.batches[batch_id][file_id] = status
        if status != "in_progress":
            entry.batches = []


class VectorStoreRules(RedisMachine):
    """The rules. Each acts on Redis and on the model, and compares the results."""

    def __init__(self) -> None:
        super().__init__()
        self.stores = RedisVectorStores(RetryingRedis.of(self.redis))
        self.known: list[Store] = []
        self.hands: list[Held] = []

    def refused(self, work: Awaitable[Any], error: type[Exception]) -> None:
        with pytest.raises(error):
            self.do(work)

    @initialize()
    def begin(self) -> None:
        """Two vector stores."""
        self.make()
        self.make()

    def make(self) -> None:
        store_id = ids.new_id(ids.VECTOR_STORE, PARTITION)
        self.do(self.stores.create(VectorStore(id=store_id, created_at=0, name=None, status="completed"), owner=OWNER))
        self.known.append(Store(store_id))

    def draw(self, data: st.DataObject) -> Store:
        """Usually one of the newest."""
        return data.draw(st.sampled_from(self.known[-3:]))

    @rule(data=st.data(), count=st.integers(1, 3), value=st.sampled_from([1.0, 2.0]), in_batch=st.booleans())
    def attach(self, data: st.DataObject, count: int, value: float, in_batch: bool) -> None:
        """Put files in, perhaps as a batch."""
        store = self.draw(data)
        file_ids = data.draw(st.lists(st.sampled_from(FILES), min_size=count, max_size=count, unique=True))
        files = [
            NewFile(file_id=file_id, filename="a.txt", attributes={"a": value}, chunking=AutoChunking())
            for file_id in file_ids
        ]
        batch_id = ids.new_id(ids.FILE_BATCH, PARTITION) if in_batch else None
        work = self.stores.attach(store.id, files, owner=OWNER, batch_id=batch_id)
        if store.is_deleted:
            self.refused(work, NotFound)
            return
        self.do(work)
        if batch_id is not None:
            store.batches[batch_id] = {}
        for file_id in file_ids:
            self._expect_attached(store, file_id, {"a": value})
            if batch_id is not None:
                entry = store.files[file_id]
                store.batches[batch_id][file_id] = entry.status
                if entry.status == "in_progress":
                    entry.batches.append(batch_id)

    def _expect_attached(self, store: Store, file_id: str, attributes: dict[str, float]) -> None:
        entry = store.files.setdefault(file_id, Entry({}, status="failed"))
        if entry.status in ("in_progress", "completed") and entry.attributes == attributes:
            return
        entry.is_blocked = entry.is_blocked or (entry.held is not None and not entry.is_late)
        entry.held, entry.is_late, entry.lost, entry.is_behind = None, False, 0, False
        entry.attributes = attributes
        store.move(file_id, "in_progress")

    @rule()
    def seize(self) -> None:
        """A replica takes the next file."""
        work = self.do(self.stores.seize_indexing(PARTITION, lease_s=LEASE_S))
        waiting = [
            (store.id, file_id)
            for store in self.known
            for file_id, entry in store.files.items()
            if not store.is_deleted and self._is_free(store, file_id, entry)
        ]
        if work is None:
            assert waiting == []
            return
        place = work.vector_store_id, work.file.file_id
        assert place in waiting
        entry = self._entry(*place)
        assert work.file.attributes == entry.attributes
        assert work.task == ("index" if entry.status == "in_progress" else "attributes")
        self._take(entry, work)

    def _take(self, entry: Entry, work: Indexing) -> None:
        entry.lost += entry.is_late
        entry.held, entry.is_late = Held(work, work.vector_store_id, work.file.file_id), False
        self.hands.append(entry.held)

    def _is_free(self, store: Store, file_id: str, entry: Entry) -> bool:
        has_work = entry.status == "in_progress" or entry.is_behind
        is_held = entry.held is not None and not entry.is_late
        return has_work and not is_held and not entry.is_blocked and file_id not in store.due

    def _entry(self, store_id: str, file_id: str) -> Entry:
        [store] = [each for each in self.known if each.id == store_id]
        return store.files[file_id]

    def _find(self, hand: Held) -> tuple[Store, Entry] | None:
        """The file that this holder may write; None for a stale one."""
        [store] = [each for each in self.known if each.id == hand.store_id]
        entry = store.files.get(hand.file_id)
        return (store, entry) if entry and entry.held is hand and not store.is_deleted else None

    @rule(data=st.data(), how=st.sampled_from(["end", "end", "fail", "renew", "put off"]))
    def write(self, data: st.DataObject, how: str) -> None:
        """A holder ends the work, keeps it or lets go; a stale one writes nothing."""
        if not self.hands:
            return
        hand = data.draw(st.sampled_from(self.hands[-4:]))
        found = self._find(hand)
        if found is None:
            self.refused(self._write(hand, how), StaleRun)
            return
        self.do(self._write(hand, how))
        store, entry = found
        entry.is_late = False
        if how == "renew":
            return
        self.hands.remove(hand)  # the same again is told the same
        entry.held = None
        if how != "put off":
            self._expect_ended(store, entry, hand, is_indexed=how == "end")

    def _write(self, hand: Held, how: str) -> Awaitable[None]:
        match how:
            case "end":
                return self.stores.end_indexing(hand.work, usage_bytes=7)
            case "fail":
                return self.stores.end_indexing(hand.work, usage_bytes=0, error=BROKEN)
            case "renew":
                return self.stores.renew_indexing(hand.work, lease_s=LEASE_S)
        return self.stores.put_off_indexing(hand.work, delay_s=0, is_try=True)

    def _expect_ended(self, store: Store, entry: Entry, hand: Held, *, is_indexed: bool) -> None:
        entry.lost = 0
        entry.is_behind = is_indexed and entry.attributes != hand.work.file.attributes
        if hand.work.task == "index":
            entry.usage = 7 if is_indexed else 0
            store.move(hand.file_id, "completed" if is_indexed else "failed")
            if not is_indexed:
                store.due.add(hand.file_id)

    @rule(data=st.data(), is_holder=st.booleans())
    def lose(self, data: st.DataObject, is_holder: bool) -> None:
        """A replica dies, or a stale holder must have stopped: the lease is over."""
        files = [(store, f, e) for store in self.known if not store.is_deleted for f, e in store.files.items()]
        held = [each for each in files if each[2].held is not None and not each[2].is_late]
        blocked = [each for each in files if each[2].is_blocked]
        if is_holder and held:
            store, file_id, entry = data.draw(st.sampled_from(held))
            entry.is_late = True
            self._expire(store, file_id, entry)
        elif blocked:
            store, file_id, entry = data.draw(st.sampled_from(blocked))
            entry.is_blocked = False
            self._expire(store, file_id, entry)

    def _expire(self, store: Store, file_id: str, entry: Entry) -> None:
        """Its time has come. One that loses its last holder is looked at before all others, and given up."""
        is_doomed = entry.is_late and entry.lost + 1 >= MAX_LOST_HOLDERS
        score = 1 if is_doomed else 2
        self.do(self.redis.zadd(keys.vector_store_files(store.id, "work"), {file_id: score}))
        self.do(self.redis.zadd(keys.indexing(PARTITION), {store.id: score}))
        if not is_doomed:
            return
        work = self.do(self.stores.seize_indexing(PARTITION, lease_s=LEASE_S))
        entry.held, entry.is_late, entry.lost, entry.is_behind = None, False, 0, False
        if entry.status == "in_progress":
            store.due.add(file_id)
            store.move(file_id, "failed")
        if work is not None:
            self._take(self._entry(work.vector_store_id, work.file.file_id), work)

    @rule(data=st.data(), value=st.sampled_from([1.0, 2.0, 3.0]))
    def set_attributes(self, data: st.DataObject, value: float) -> None:
        """What is known of a file changes."""
        store, file_id = self.draw(data), data.draw(st.sampled_from(FILES))
        work = self.stores.set_attributes(store.id, file_id, {"a": value}, owner=OWNER, lease_s=LEASE_S)
        if store.is_deleted or file_id not in store.files:
            self.refused(work, NotFound)
            return
        given = self.do(work)
        entry = store.files[file_id]
        has_changed = entry.attributes != {"a": value}
        entry.attributes = {"a": value}
        is_free = entry.status == "completed" and entry.held is None
        assert (given is not None) == (has_changed and is_free)
        if given is not None:
            entry.is_behind = True
            entry.held = Held(given, store.id, file_id)
            self.hands.append(entry.held)
        elif has_changed and entry.status == "completed":
            entry.is_behind = True

    @rule(data=st.data())
    def detach(self, data: st.DataObject) -> None:
        """A file is taken out."""
        store, file_id = self.draw(data), data.draw(st.sampled_from(FILES))
        work = self.stores.detach(store.id, file_id, owner=OWNER)
        if store.is_deleted or file_id not in store.files:
            self.refused(work, NotFound)
            return
        self.do(work)
        if store.files[file_id].status == "in_progress":
            store.move(file_id, "cancelled")
        del store.files[file_id]
        store.due.add(file_id)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """A batch is cancelled."""
        store = self.draw(data)
        if store.is_deleted or not store.batches:
            return
        batch_id = data.draw(st.sampled_from(sorted(store.batches)))
        self.do(self.stores.cancel_batch(store.id, batch_id, owner=OWNER))
        for file_id, status in list(store.batches[batch_id].items()):
            if status == "in_progress":
                entry = store.files[file_id]
                entry.held, entry.is_late, entry.lost, entry.usage, entry.is_blocked = None, False, 0, 0, False
                store.due.add(file_id)
                store.move(file_id, "cancelled")

    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        """What is due is erased from the index: whoever held it has stopped."""
        store = self.draw(data)
        for file_id in sorted(store.due):
            is_back = self.do(self.stores.forget(Due(store.id, file_id)))
            assert is_back == (file_id in store.files and not store.is_deleted) or store.is_deleted
            store.due.discard(file_id)
            self._make_ready(store, file_id)

    def _make_ready(self, store: Store, file_id: str) -> None:
        """A look that came too early has put the file off for a moment: that moment passes."""
        entry = store.files.get(file_id)
        if entry and not store.is_deleted and self._is_free(store, file_id, entry):
            self._expire(store, file_id, entry)

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """A vector store is deleted and erased; a new one takes its place."""
        store = self.draw(data)
        if not store.is_deleted and data.draw(st.integers(0, 3)) == 0:
            self.do(self.stores.delete(store.id, owner=OWNER))
            while self.do(self.stores.forget(Due(store.id))):
                pass
            store.is_deleted = True
            self.make()

    @invariant()
    def counts_are_those_of_the_files(self) -> None:
        """What Redis counts is what the model counts."""
        for store in self.known:
            if store.is_deleted:
                self.refused(self.stores.get(store.id, owner=OWNER), NotFound)
                continue
            found = self.do(self.stores.get(store.id, owner=OWNER))
            assert found.file_counts == count(entry.status for entry in store.files.values())
            assert found.usage_bytes == sum(entry.usage for entry in store.files.values())
            live = {f: e.attributes for f, e in store.files.items() if e.status == "completed"}
            assert self.do(self.stores.find_live(store.id, FILES)) == live
            for batch_id, files in store.batches.items():
                batch = self.do(self.stores.get_batch(store.id, batch_id, owner=OWNER))
                assert batch.file_counts == count(files.values())

    def teardown(self) -> None:
        """Delete and erase everything: nothing may be left."""
        for store in self.known:
            if not store.is_deleted:
                self.do(self.stores.delete(store.id, owner=OWNER))
                while self.do(self.stores.forget(Due(store.id))):
                    pass
            for file_id in store.due:
                self.do(self.stores.forget(Due(store.id, file_id)))
        assert self.do(find_left(self.redis)) == []


def count(statuses: Any) -> FileCounts:
    """How many files stand where."""
    counter = Counter(statuses)
    return FileCounts(**counter, total=sum(counter.values()))


async def find_left(redis: Redis) -> list[str]:
    """Keys that never expire."""
    return [key.decode() async for key in redis.scan_iter(count=1000) if await redis.ttl(key) < 0]


@pytest.fixture
def machine(start_valkey: StartValkey) -> Iterator[type[VectorStoreRules]]:
    """The state machine on its own Valkey and event loop."""
    with open_redis(start_valkey) as (redis, runner):
        yield type("BoundRules", (VectorStoreRules,), {"redis": redis, "runner": runner})


@pytest.mark.timeout(600)  # hypothesis shrinks a failure before it reports it
def test_vector_stores_are_as_the_model_says_whatever_happens(machine: type[VectorStoreRules]) -> None:
    run_state_machine_as_test(machine, settings=FEW)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_vector_stores_are_as_the_model_says_after_long_lives(machine: type[VectorStoreRules]) -> None:
    run_state_machine_as_test(machine, settings=settings(FEW, max_examples=400, stateful_step_count=60))
