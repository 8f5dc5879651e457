"""The search in a client's vector stores, as an answer uses it."""

from collections.abc import Sequence
from typing import Protocol

from prompts.domain.passages import Filter, Passage
from prompts.ports.passage_index import Ranking


class SearchStores(Protocol):
    """`prompts.usecases.search.search`, with its ports."""

    async def __call__(
        self,
        queries: Sequence[str],
        *,
        store_ids: Sequence[str],
        owner: str,
        where: Filter | None,
        limit: int,
        ranking: Ranking,
    ) -> Sequence[Passage]:
        """The passages that fit any of the queries best, the best first.

        Raises NotFound for a vector store that the owner does not have, Unavailable within a bounded time.
        """
