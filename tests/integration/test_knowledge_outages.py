"""Weaviate is frozen, killed and restarted: searches fail soon, later ones at once, and all heals by itself."""

import asyncio
import random
import time
from collections.abc import Sequence

import pytest

from prompts.adapters.weaviate.calls import OPEN_S
from prompts.adapters.weaviate.connection import WeaviateConnection
from prompts.adapters.weaviate.passage_index import READ_S, SEARCH_S, WeaviatePassageIndex
from prompts.domain.passages import Passage
from prompts.errors import NotFound, PromptTooLong, ServiceError, Unavailable, UpstreamTimeout
from prompts.ports.observer import BreakerChanged, KnowledgeFailed
from tests.support.fakes.observer import FakeObserver
from tests.support.knowledge import a_file, new_file, new_store, open_weaviate_index
from tests.support.processes import find_free_ports
from tests.support.server_fixtures import StartWeaviate
from tests.support.servers import WeaviateAddress, eventually

COLLECTION = "Outages"
SLACK_S = 1.0


class SlowEmbedder:
    """`Embedder` that stands still in a batch until it is let go, or fails."""

    def __init__(self) -> None:
        self.is_asked = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.failure: ServiceError | None = None
        self.asked = 0

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """See `Embedder.embed`."""
        self.asked += 1
        if self.failure:
            raise self.failure
        if "wait here" in texts:
            self.is_asked.set()
            await self.may_go_on.wait()
        return [[float(len(text)), 1.0, 0.5] for text in texts]


async def search(index: WeaviatePassageIndex, store: str) -> Sequence[Passage]:
    return await index.search(store, ["harbour"], limit=50)


async def fails_within(index: WeaviatePassageIndex, store: str, limit_s: float) -> Unavailable:
    """Search in vain; returns what it failed with."""
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        await search(index, store)
    assert time.monotonic() - began < limit_s
    return caught.value


@pytest.mark.timed
async def test_nobody_there_is_unavailable_and_says_nothing_of_the_place() -> None:
    http, grpc = find_free_ports(2)
    observer = FakeObserver()
    address = WeaviateAddress(f"http://127.0.0.1:{http}", grpc)
    async with open_weaviate_index(address, collection=COLLECTION, observer=observer) as index:
        error = await fails_within(index, new_store(), SEARCH_S + SLACK_S)
        assert str(http) not in error.message
        assert "127.0.0.1" not in error.message
        assert KnowledgeFailed("unreachable") in observer.noticed
        with pytest.raises(Unavailable):
            await index.put(new_store(), a_file(new_file(), "harbour"))
        with pytest.raises(Unavailable):
            await index.prepare()


@pytest.mark.timed
async def test_a_refusal_is_unavailable_and_the_next_question_is_asked(weaviate: WeaviateAddress) -> None:
    observer, store = FakeObserver(), new_store()
    async with open_weaviate_index(weaviate, collection=f"Unprepared{new_file()[-8:]}", observer=observer) as index:
        error = await fails_within(index, store, SEARCH_S)
        assert error.message == "The knowledge index does not answer at the moment. Try again later."
        assert observer.noticed == [KnowledgeFailed("refused")]
        await index.prepare()
        assert await search(index, store) == []


@pytest.mark.timed
async def test_frozen_weaviate_costs_one_turn_its_limit_and_the_next_ones_nothing(
    start_weaviate: StartWeaviate,
) -> None:
    server, observer, store = start_weaviate(), FakeObserver(), new_store()
    async with open_weaviate_index(server.address, collection=COLLECTION, observer=observer) as index:
        await index.prepare()
        await index.put(store, a_file(new_file(), "harbour"))
        server.freeze()
        await fails_within(index, store, SEARCH_S + SLACK_S)
        assert BreakerChanged("weaviate", "open") in observer.noticed
        assert KnowledgeFailed("timeout") in observer.noticed
        for _ in range(20):
            error = await fails_within(index, store, 0.2)
            assert 0 < (error.retry_after_s or 0) <= OPEN_S
        server.thaw()
        assert len(await eventually(lambda: search(index, store), within_s=15)) == 1
        assert BreakerChanged("weaviate", "closed") in observer.noticed


@pytest.mark.timed
async def test_a_text_that_a_frozen_weaviate_has_is_not_waited_for(start_weaviate: StartWeaviate) -> None:
    server, store, file_id = start_weaviate(), new_store(), new_file()
    async with open_weaviate_index(server.address, collection=COLLECTION) as index:
        await index.prepare()
        await index.put(store, a_file(file_id, "harbour"))
        server.freeze()
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await index.list_stretches(store, file_id)
        assert time.monotonic() - began < READ_S + SLACK_S


@pytest.mark.long  # Weaviate needs the machine for itself, or the small searches are late for another reason
async def test_searches_that_are_too_many_fail_themselves_and_nobody_else(weaviate: WeaviateAddress) -> None:
    observer, store, chance = FakeObserver(), new_store(), random.Random(5)
    words = [f"word{number}" for number in range(1_000)]
    texts = (" ".join(chance.choices(words, k=300)) for _ in range(2_000))
    async with open_weaviate_index(weaviate, SlowEmbedder(), collection=COLLECTION, observer=observer) as index:
        await index.prepare()
        await index.put(store, a_file(new_file(), *texts))
        queries = [" ".join(chance.choices(words, k=48)) for _ in range(16)]
        heavy = [asyncio.create_task(index.search(store, queries, limit=50)) for _ in range(32)]
        for _ in range(3):
            assert len(await index.search(store, ["word17"], limit=5)) == 5
        ended = await asyncio.gather(*heavy, return_exceptions=True)
        assert all(isinstance(each, Unavailable | list) for each in ended)
        assert len(await index.search(store, ["word17"], limit=5)) == 5
        assert not [noticed for noticed in observer.noticed if isinstance(noticed, BreakerChanged)]


@pytest.mark.timed
async def test_killed_weaviate_is_searched_again_after_its_restart(start_weaviate: StartWeaviate) -> None:
    server, store = start_weaviate(), new_store()
    async with open_weaviate_index(server.address, collection=COLLECTION) as index:
        await index.prepare()
        await index.put(store, a_file(new_file(), *(f"harbour {number}" for number in range(20))))
        server.kill()
        await asyncio.gather(*(fails_within(index, store, SEARCH_S + SLACK_S) for _ in range(8)))
        await fails_within(index, store, 0.2)
        server.start()
        assert len(await eventually(lambda: search(index, store), within_s=30)) == 20


@pytest.mark.long
async def test_killed_in_the_middle_of_putting_the_same_again_makes_it_whole(start_weaviate: StartWeaviate) -> None:
    server, store, file_id = start_weaviate(), new_store(), new_file()
    texts = [*(f"harbour {number}" for number in range(100)), "wait here", *(f"pier {n}" for n in range(100))]
    embedder = SlowEmbedder()
    async with open_weaviate_index(server.address, embedder, collection=COLLECTION) as index:
        await index.prepare()
        await index.put(store, a_file(file_id, *(f"old {number}" for number in range(300))))
        putting = asyncio.create_task(index.put(store, a_file(file_id, *texts)))
        await embedder.is_asked.wait()
        server.kill()
        embedder.may_go_on.set()
        with pytest.raises(Unavailable):
            await putting
        server.start()

        async def put_again() -> bool:
            await index.put(store, a_file(file_id, *texts))
            return True

        await eventually(put_again, within_s=60)
        assert [stretch.text for stretch in await index.list_stretches(store, file_id)] == texts


async def test_a_store_that_is_removed_while_a_file_is_put_stays_removed(weaviate: WeaviateAddress) -> None:
    store, embedder = new_store(), SlowEmbedder()
    async with open_weaviate_index(weaviate, embedder, collection=COLLECTION) as index:
        await index.prepare()
        putting = asyncio.create_task(index.put(store, a_file(new_file(), "harbour", "wait here")))
        await embedder.is_asked.wait()
        await index.remove_store(store)
        embedder.may_go_on.set()
        with pytest.raises(Unavailable):
            await putting
        assert await search(index, store) == []


async def test_without_the_embedding_model_words_are_searched_alone(weaviate: WeaviateAddress) -> None:
    store, embedder = new_store(), SlowEmbedder()
    async with open_weaviate_index(weaviate, embedder, collection=COLLECTION) as index:
        await index.prepare()
        await index.put(store, a_file(new_file(), "harbour"))
        embedder.failure = UpstreamTimeout("too slow")
        asked = embedder.asked
        for _ in range(3):
            assert len(await search(index, store)) == 1
        assert embedder.asked == asked + 1
        with pytest.raises(Unavailable):
            await index.put(store, a_file(new_file(), "pier"))


async def test_a_question_that_the_embedding_model_refuses_is_its_own_matter(weaviate: WeaviateAddress) -> None:
    store, embedder = new_store(), SlowEmbedder()
    async with open_weaviate_index(weaviate, embedder, collection=COLLECTION) as index:
        await index.prepare()
        await index.put(store, a_file(new_file(), "harbour"))
        embedder.failure = PromptTooLong("Shorten it.")
        asked = embedder.asked
        for _ in range(3):
            assert len(await search(index, store)) == 1
        assert embedder.asked == asked + 3  # whoever comes next is asked for again
        with pytest.raises(PromptTooLong):
            await index.put(store, a_file(new_file(), "pier"))
        embedder.failure = NotFound("The model does not exist.", code="model_not_found")
        with pytest.raises(Unavailable, match="operator"):
            await index.put(store, a_file(new_file(), "pier"))


async def test_another_embedding_model_leaves_what_is_there_to_be_found_by_words(weaviate: WeaviateAddress) -> None:
    store, old, new = new_store(), new_file(), new_file()
    async with open_weaviate_index(weaviate, SlowEmbedder(), collection=COLLECTION, model="small") as index:
        await index.prepare()
        await index.put(store, a_file(old, "harbour"))

    class LongerVectors(SlowEmbedder):
        async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
            return [[*vector, 1.0, 2.0] for vector in await super().embed(texts)]

    async with open_weaviate_index(weaviate, LongerVectors(), collection=COLLECTION, model="large") as index:
        await index.prepare()
        await index.put(store, a_file(new, "harbour"))
        assert {passage.file_id for passage in await search(index, store)} == {old, new}


async def test_a_tenant_that_was_put_aside_is_woken_by_a_search(weaviate: WeaviateAddress) -> None:
    store = new_store()
    async with open_weaviate_index(weaviate, SlowEmbedder(), collection=COLLECTION) as index:
        await index.prepare()
        await index.put(store, a_file(new_file(), "harbour"))
        connection = WeaviateConnection(weaviate.url, grpc_port=weaviate.grpc_port)
        try:
            client = await connection.client()
            await client.collections.use(COLLECTION).tenants.deactivate(store)
        finally:
            await connection.close()
        assert len(await search(index, store)) == 1


async def test_several_replicas_prepare_at_once(start_weaviate: StartWeaviate) -> None:
    server, store = start_weaviate(), new_store()
    async with (
        open_weaviate_index(server.address, collection=COLLECTION) as one,
        open_weaviate_index(server.address, collection=COLLECTION) as two,
        open_weaviate_index(server.address, SlowEmbedder(), collection=COLLECTION) as three,
    ):
        await asyncio.gather(*(index.prepare() for index in (one, two, three)))
        await three.put(store, a_file(new_file(), "harbour"))
        assert len(await search(one, store)) == 1
