"""The search index of passages: one tenant a vector store, which no other one's search ever reaches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from prompts.domain.passages import Attributes, Filter, Passage, Stretch

MAX_FOUND = 50  # OpenAI's limit of one search


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """How what is found is weighed: `auto` is hybrid where there are vectors, words where there are none.

    `none` is vectors alone, as they come; words where there are none.

    `score_threshold` leaves out what fits worse; 0 to 1. `text_weight` of words beside vectors in hybrid search; the
    default is what `python -m benchmarks.retrieval` found best.
    """

    ranker: Literal["auto", "none"] = "auto"
    score_threshold: float = 0.0
    text_weight: float = 0.65


DEFAULT_RANKING = Ranking()


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """A file as it is put into the index."""

    file_id: str
    filename: str
    attributes: Attributes
    stretches: Sequence[Stretch]


class PassageIndex(Protocol):
    """Passages by vector store and file. All raise Unavailable within a bounded time when the index is away or slow.

    Vectors are the index's own matter: one that uses them asks an `Embedder`.
    """

    async def prepare(self) -> None:
        """Make what the index needs before it is used, or bring it to this release's form; any replica may, at once."""

    async def put(self, vector_store_id: str, indexed: Indexed) -> None:
        """Put a file's passages in place of those that are there. Broken off, it may be done again from the start.

        Raises InvalidPrompt where the embedding model refuses one of them: it will do so again.
        """

    async def remove_file(self, vector_store_id: str, file_id: str) -> None:
        """No search finds the file any more; the same again changes nothing."""

    async def remove_store(self, vector_store_id: str) -> None:
        """No search finds anything of the vector store; the same again changes nothing."""

    async def set_attributes(self, vector_store_id: str, file_id: str, attributes: Attributes) -> None:
        """Filter by these from now on."""

    async def search(
        self,
        vector_store_id: str,
        queries: Sequence[str],
        *,
        limit: int,
        where: Filter | None = None,
        ranking: Ranking = DEFAULT_RANKING,
    ) -> Sequence[Passage]:
        """The passages that fit any of the queries best, the best first; none of a vector store that nobody has filled.

        The filter holds while searching, not afterwards: where `limit` passages fit it, so many are found.
        """

    async def list_stretches(
        self, vector_store_id: str, file_id: str, *, first: int = 0, count: int | None = None
    ) -> Sequence[Stretch]:
        """A file's passages in order, from number `first` on; `count` of them, or all. None when it is not there."""
