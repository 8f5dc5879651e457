"""Questions in other words than the text's find their source; both parts together find no fewer than the better one."""

from pathlib import Path
from uuid import uuid4

import pytest

from benchmarks.retrieval.__main__ import VECTORS, WORDS, HashedWords
from benchmarks.retrieval.judged import GivenVectors, fill, judge, read_judged
from prompts.ports.passage_index import DEFAULT_RANKING
from tests.support.knowledge import new_store, open_sqlite_index, open_weaviate_index
from tests.support.servers import WeaviateAddress

# What a part may be better by.
TOLERANCE = 0.02


async def test_words_alone_find_most_sources(tmp_path: Path) -> None:
    judged = read_judged()
    assert len(judged.files) >= 300
    assert len(judged.questions) >= 100
    store = new_store()
    async with open_sqlite_index(tmp_path / "knowledge.sqlite3") as index:
        await fill(index, store, judged.files)
        quality = await judge(index, store, judged.questions, DEFAULT_RANKING)
    assert quality.recall > 0.55
    assert quality.mrr > 0.4


@pytest.mark.long
@pytest.mark.parametrize("model", ["WordLlama", "hashed words"])
async def test_hybrid_search_is_as_good_as_its_better_part(weaviate: WeaviateAddress, model: str) -> None:
    judged = read_judged()
    store = new_store()
    embedder = GivenVectors(judged.vectors) if model == "WordLlama" else HashedWords()
    collection = f"Retrieval{uuid4().hex}"
    async with open_weaviate_index(weaviate, embedder, collection=collection, model=model) as index:
        await index.prepare()
        await fill(index, store, judged.files)
        words, vectors, both = [
            await judge(index, store, judged.questions, ranking) for ranking in (WORDS, VECTORS, DEFAULT_RANKING)
        ]
    assert both.recall >= max(words.recall, vectors.recall) - TOLERANCE
    assert both.mrr >= max(words.mrr, vectors.mrr) - TOLERANCE
