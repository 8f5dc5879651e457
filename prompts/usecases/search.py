"""Searching vector stores: the passages that fit, of files that are there now."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from prompts.domain.passages import Attributes, Filter, Passage
from prompts.knowledge.filters import fits
from prompts.ports.passage_index import MAX_FOUND, PassageIndex, Ranking
from prompts.ports.vector_stores import VectorStores


@dataclass(frozen=True, slots=True)
class SearchPorts:
    """What a search uses."""

    index: PassageIndex
    vector_stores: VectorStores


async def search(
    queries: Sequence[str],
    *,
    store_ids: Sequence[str],
    owner: str,
    where: Filter | None,
    limit: int,
    ranking: Ranking,
    ports: SearchPorts,
) -> Sequence[Passage]:
    """The passages of these vector stores that fit any of the queries best, the best first, `limit` at most.

    A file that was detached or deleted is not found any more, whatever the index has; attributes are those of now.
    Raises NotFound (a vector store, also one that has expired), Unavailable.
    """
    named = list(dict.fromkeys(store_ids))
    await ports.vector_stores.use(named, owner=owner)
    query = _Query(queries, where, limit, ranking)
    searches = (_search_store(store_id, query, ports) for store_id in named)
    found = [passage for passages in await asyncio.gather(*searches) for passage in passages]
    found.sort(key=lambda passage: -passage.score)  # equally good ones stay in the order of the stores
    return list(_drop_twins(found))[:limit]


@dataclass(frozen=True, slots=True)
class _Query:
    """What is looked for in each vector store."""

    queries: Sequence[str]
    where: Filter | None
    limit: int
    ranking: Ranking


async def _search_store(store_id: str, query: _Query, ports: SearchPorts) -> Sequence[Passage]:
    found, live = await _search_index(store_id, query, query.limit, ports)
    # What is gone stays in the index for a moment, and must not keep what is there from being found.
    if len(live) < len(found) == query.limit < MAX_FOUND:
        found, live = await _search_index(store_id, query, MAX_FOUND, ports)
    return live


async def _search_index(
    store_id: str, query: _Query, limit: int, ports: SearchPorts
) -> tuple[Sequence[Passage], Sequence[Passage]]:
    """What the index has, and what of it is live and fits."""
    found = await ports.index.search(store_id, query.queries, limit=limit, where=query.where, ranking=query.ranking)
    file_ids = {passage.file_id for passage in found}
    live: Mapping[str, Attributes] = await ports.vector_stores.find_live(store_id, file_ids) if file_ids else {}
    return found, [
        replace(passage, attributes=live[passage.file_id])
        for passage in found
        if passage.file_id in live and fits(live[passage.file_id], query.where)
    ]


def _drop_twins(passages: Iterable[Passage]) -> Iterable[Passage]:
    """Each passage once, though its file may be in several vector stores."""
    seen: set[tuple[str, str]] = set()
    for passage in passages:
        if (passage.file_id, passage.text) not in seen:
            seen.add((passage.file_id, passage.text))
            yield passage
