"""Vectors from the model's server, and their cache."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from prompts.adapters.openai.embedder import MAX_BATCH_TEXTS, OpenAIEmbedder
from prompts.adapters.redis import keys
from prompts.adapters.redis.vector_cache import CachedEmbedder, name_vector
from prompts.errors import UpstreamError
from standin.embeddings import embed
from tests.support.knowledge import open_embedder
from tests.support.raw_model import RawModelServer, reply_json
from tests.support.server_fixtures import StartValkey
from tests.support.servers import StandinServer, ValkeyServer


class CountingEmbedder:
    """`Embedder` that says how long a text is, and remembers what it was asked."""

    def __init__(self, dimensions: int = 2) -> None:
        self.dimensions = dimensions
        self.asked: list[str] = []

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """See `Embedder.embed`."""
        self.asked += texts
        return [[float(len(text))] * self.dimensions for text in texts]


@pytest.fixture
async def embedder(standin: StandinServer) -> AsyncIterator[OpenAIEmbedder]:
    async with open_embedder(standin.base_url) as opened:
        yield opened


@pytest.fixture
async def redis(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(f"redis://127.0.0.1:{valkey.port}/5") as client:
        await client.flushdb()
        yield client


async def test_it_works(embedder: OpenAIEmbedder) -> None:
    texts = ["the harbour", "a pier", "the harbour"]
    vectors = await embedder.embed(texts)
    assert [list(vector) for vector in vectors] == [pytest.approx(embed(text), abs=1e-6) for text in texts]
    assert await embedder.embed([]) == []


async def test_many_and_odd_texts_keep_their_order(embedder: OpenAIEmbedder) -> None:
    texts = ["", "\ud800", "x" * 300_000, "🚢 " * 20_000, *(f"word {number}" for number in range(3 * MAX_BATCH_TEXTS))]
    vectors = await embedder.embed(texts)
    assert len(vectors) == len(texts)
    assert list(vectors[10]) == pytest.approx(embed(texts[10]), abs=1e-6)


async def test_an_unknown_model_is_an_error_of_ours(standin: StandinServer) -> None:
    async with open_embedder(standin.base_url) as embedder:
        embedder._model = "gpt-x"
        with pytest.raises(Exception) as caught:  # noqa: PT011 -- whichever of ours
            await embedder.embed(["a"])
    assert type(caught.value).__module__ == "prompts.errors"


async def test_a_cached_vector_is_not_asked_for_again(redis: Redis) -> None:
    inner = CountingEmbedder()
    cached = CachedEmbedder(inner, redis, model="m", kept_s=60)
    first = await cached.embed(["a", "bb", "ccc"])
    again = await cached.embed(["ccc", "dddd", "a"])
    assert [list(vector) for vector in (*first, *again)] == [[n, n] for n in (1.0, 2.0, 3.0, 3.0, 4.0, 1.0)]
    assert inner.asked == ["a", "bb", "ccc", "dddd"]
    assert 0 < await redis.ttl(keys.vector(name_vector("m", "a"))) <= 60
    other = CachedEmbedder(inner, redis, model="other", kept_s=60)
    await other.embed(["a"])
    assert inner.asked[-1] == "a"


async def test_another_model_behind_the_name_does_not_mix_with_what_is_kept(redis: Redis) -> None:
    await CachedEmbedder(CountingEmbedder(2), redis, model="m", kept_s=60).embed(["a"])
    vectors = await CachedEmbedder(CountingEmbedder(3), redis, model="m", kept_s=60).embed(["a", "bb"])
    assert [len(vector) for vector in vectors] == [3, 3]


@pytest.mark.timed
async def test_texts_without_end_have_so_many_places_and_no_more(redis: Redis) -> None:
    """A file of 20 MB has ninety thousand passages; their vectors would take 600 MB."""
    inner = CountingEmbedder()
    cached = CachedEmbedder(inner, redis, model="m", kept_s=60)
    texts = ["x" * (number % 7) + str(number) for number in range(3 * keys.VECTORS)]
    for begin in range(0, len(texts), 1_024):  # each asks Redis for no longer than the cache waits
        await cached.embed(texts[begin : begin + 1_024])
    kept = [key async for key in redis.scan_iter("eps:vector:*", count=1_000)]
    assert keys.VECTORS * 0.9 < len(kept) <= keys.VECTORS
    vectors = await cached.embed(texts[:100])
    assert [vector[0] for vector in vectors] == [len(text) for text in texts[:100]], "nobody gets another text's"


@pytest.mark.parametrize("broken", [b"broken", name_vector("m", "a"), name_vector("m", "a") + b"odd"])
async def test_a_broken_entry_is_no_vector(redis: Redis, broken: bytes) -> None:
    await redis.set(keys.vector(name_vector("m", "a")), broken)
    assert [list(v) for v in await CachedEmbedder(CountingEmbedder(), redis, model="m", kept_s=60).embed(["a"])] == [
        [1.0, 1.0]
    ]


async def test_a_cache_that_fails_is_no_failure(start_valkey: StartValkey) -> None:
    server = start_valkey(appendfsync="no")
    async with Redis.from_url(server.url, socket_timeout=1, retry=None) as redis:
        cached = CachedEmbedder(CountingEmbedder(), redis, model="m", kept_s=60)
        await cached.embed(["a"])
        server.freeze()
        assert len(await cached.embed(["a", "bb"])) == 2
        server.thaw()
        server.stop()
        assert len(await cached.embed(["a", "bb"])) == 2


ANSWERS: dict[str, Any] = {
    "too few": [{"index": 0, "embedding": [1.0]}],
    "several lengths": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}],
    "no numbers": [{"index": 0, "embedding": ["a"]}, {"index": 1, "embedding": ["b"]}],
    "no float": [{"index": 0, "embedding": [10**400]}, {"index": 1, "embedding": [1.0]}],
    "empty": [{"index": 0, "embedding": []}, {"index": 1, "embedding": []}],
    "nothing": [],
    "no list": {"index": 0},
    "a text": "vectors",
    "no base64": [{"index": 0, "embedding": "§"}, {"index": 1, "embedding": "§"}],
    "no objects": [1, 2],
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_a_server_that_answers_nonsense_is_an_error_of_ours(answer: Any) -> None:
    with RawModelServer() as server:
        server.play(reply_json({"object": "list", "model": "m", "data": answer}))
        async with open_embedder(server.base_url) as embedder:
            with pytest.raises(UpstreamError):
                await embedder.embed(["a", "b"])
