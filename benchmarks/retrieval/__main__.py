"""`python -m benchmarks.retrieval`: recall and rank of known sources, by each index and each part of hybrid search."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.retrieval.judged import GivenVectors, Judged, Quality, fill, judge, read_judged
from launcher.weaviate import build_weaviate_server, get_bin_dir
from prompts.ports.embedder import Embedder
from prompts.ports.passage_index import DEFAULT_RANKING, PassageIndex, Ranking
from standin.embeddings import embed
from tests.support.knowledge import new_store, open_sqlite_index, open_weaviate_index
from tests.support.servers import WeaviateAddress, WeaviateServer, find_configured_weaviate

COLLECTION = "EpsRetrieval"
WORDS, VECTORS = Ranking(text_weight=1.0), Ranking(ranker="none")


class HashedWords:
    """`Embedder` as the stand-in is one: it knows words and their beginnings, and no meaning."""

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """See `Embedder.embed`."""
        return [embed(text) for text in texts]


async def main() -> None:
    """Measure all, print the table."""
    judged = read_judged()
    print(f"{len(judged.files)} documents, {len(judged.questions)} questions\n")
    print(f"{'':36}recall@5     MRR")
    with tempfile.TemporaryDirectory() as directory:
        async with open_sqlite_index(Path(directory) / "knowledge.sqlite3") as index:
            show("SQLite, words", await measure(index, judged, DEFAULT_RANKING))
        async with find_weaviate(Path(directory)) as address:
            await measure_weaviate(address, judged, "WordLlama", GivenVectors(judged.vectors))
            await measure_weaviate(address, judged, "hashed words", HashedWords())


async def measure_weaviate(address: WeaviateAddress, judged: Judged, model: str, embedder: Embedder) -> None:
    """By words, by vectors, and by both."""
    async with open_weaviate_index(address, embedder, collection=COLLECTION, model=model) as index:
        await index.prepare()
        store = new_store()
        await fill(index, store, judged.files)
        for name, ranking in (("words", WORDS), ("vectors", VECTORS), ("hybrid", DEFAULT_RANKING)):
            show(f"Weaviate, {model}, {name}", await judge(index, store, judged.questions, ranking))
        await index.remove_store(store)


async def measure(index: PassageIndex, judged: Judged, ranking: Ranking) -> Quality:
    """Fill a store of its own, and ask."""
    store = new_store()
    await fill(index, store, judged.files)
    return await judge(index, store, judged.questions, ranking)


@asynccontextmanager
async def find_weaviate(directory: Path) -> AsyncIterator[WeaviateAddress]:
    """The one in `WEAVIATE_URL`, or one of our own."""
    if configured := find_configured_weaviate():
        yield configured
        return
    with WeaviateServer(directory, build_weaviate_server(get_bin_dir())) as server:
        yield server.address


def show(name: str, quality: Quality) -> None:
    """One line of the table."""
    print(f"{name:36}{quality.recall:8.3f}{quality.mrr:8.3f}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
