"""The search index on Weaviate: hybrid search over vectors and words, or words alone without an embedding model.

A vector store is a tenant of one collection (`schema.py`): a shard of its own, which no other tenant's search opens.
Attributes are terms, and filters hold before anything is searched (`attribute_terms.py`). Calls are bounded, and none
is made while Weaviate does not answer (`calls.py`).
"""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import msgspec
import structlog
from weaviate.classes.data import DataObject
from weaviate.classes.query import Filter as Where
from weaviate.classes.query import MetadataQuery
from weaviate.classes.tenants import Tenant
from weaviate.collections import CollectionAsync
from weaviate.collections.classes.filters import _Filters
from weaviate.exceptions import WeaviateQueryError

from prompts.adapters.found_passages import rank
from prompts.adapters.search_words import Stemmer, choose_words, clean
from prompts.adapters.weaviate import schema
from prompts.adapters.weaviate.attribute_terms import PROPERTY, compose_filter, compose_terms
from prompts.adapters.weaviate.calls import NoTenantError, WeaviateCalls
from prompts.adapters.weaviate.fusion import CANDIDATES, fuse, scale
from prompts.domain.passages import Attributes, Filter, Passage, Stretch
from prompts.errors import InvalidPrompt, NotFound, ServiceError, Unavailable
from prompts.ports.embedder import Embedder
from prompts.ports.passage_index import DEFAULT_RANKING, MAX_FOUND, Indexed, Ranking

log = structlog.get_logger(__name__)

Result = TypeVar("Result")
Passages: TypeAlias = "CollectionAsync[dict[str, Any], None]"
Vector: TypeAlias = Sequence[float]

SEARCH_S = 2.0
# Queries that a process asks at once, each in two calls: more would wait in Weaviate, where waiting looks like failing.
QUERIES_AT_ONCE = 8
# Of one search, so that one with many queries keeps nobody else's few from their turn.
QUERIES_A_SEARCH = 2
# A call that cannot have so long is not made: that it failed would say nothing of Weaviate.
LEAST_CALL_S = 0.5
# Vectors of a question: a round trip to the model's server. A turn does without them rather than wait for longer.
EMBED_QUESTION_S = 2.0
# A failure to get them is remembered for so long: turns do not wait for them again and again.
WORDS_ALONE_S = 10.0
# One page of a file's text: a client waits for it.
READ_S = 5.0
# One batch, one page of those that are put again, one removal: the background's.
WRITE_S = 30.0
PREPARE_S = 30.0
# About a megabyte with text, stems and a vector of 1,536 numbers.
BATCH = 64
# As many as Weaviate removes at a time: its QUERY_MAXIMUM_RESULTS.
MAX_REMOVED = 10_000
# How often the words of a heading count, beside those of the text and of the file's name.
HEADING_WEIGHT = 2
IDS = uuid.UUID("6f1c7b0a-52a4-4b66-9f0b-5f3a4f3c2a55")

encode = msgspec.json.Encoder().encode
decode_attributes = msgspec.json.Decoder(Attributes).decode


@dataclass(frozen=True, slots=True)
class _Tenant:
    """The vector store that is searched, and until when, on the monotonic clock."""

    name: str
    deadline: float

    def left_s(self) -> float:
        """The seconds that are left."""
        return max(self.deadline - time.monotonic(), 0.0)


class WeaviatePassageIndex:
    """`PassageIndex` on a `WeaviateConnection`, which whoever made it closes."""

    def __init__(
        self,
        calls: WeaviateCalls,
        embedder: Embedder | None,
        *,
        model: str | None,
        collection: str = schema.COLLECTION,
    ) -> None:
        """`model` is the embedder's: vectors are kept under its name. Without an embedder, words alone are searched."""
        self._calls = calls
        self._embedder = embedder
        self._vector_name = schema.name_vector(model)
        self._collection = collection
        self._stemmer = Stemmer()
        self._words_alone_until = 0.0
        self._places = asyncio.Semaphore(QUERIES_AT_ONCE)

    async def prepare(self) -> None:
        """See `PassageIndex.prepare`."""
        await self._calls.ask(
            lambda client: schema.prepare(client, self._collection, self._vector_name), within_s=PREPARE_S
        )

    async def put(self, vector_store_id: str, indexed: Indexed) -> None:
        """See `PassageIndex.put`. While it goes on, a search may find old passages beside new ones."""
        await self._create_tenant(vector_store_id)
        try:
            for start in range(0, len(indexed.stretches), BATCH):
                await self._put_batch(vector_store_id, indexed, indexed.stretches[start : start + BATCH])
            count = max((stretch.number + 1 for stretch in indexed.stretches), default=0)
            stale = Where.by_property("number").greater_or_equal(count)
            await self._remove(vector_store_id, _of_file(indexed.file_id) & stale)
        except NoTenantError as exc:
            raise Unavailable("The vector store was removed while the file was put into it.") from exc

    async def remove_file(self, vector_store_id: str, file_id: str) -> None:
        """See `PassageIndex.remove_file`."""
        try:
            await self._remove(vector_store_id, _of_file(file_id))
        except NoTenantError:
            return

    async def remove_store(self, vector_store_id: str) -> None:
        """See `PassageIndex.remove_store`."""
        await self._calls.ask(
            lambda client: client.collections.use(self._collection).tenants.remove([vector_store_id]), within_s=WRITE_S
        )

    async def set_attributes(self, vector_store_id: str, file_id: str, attributes: Attributes) -> None:
        """See `PassageIndex.set_attributes`. The passages are put again, with the vectors that they have."""
        changed = {PROPERTY: compose_terms(attributes), "attributes": encode(attributes).decode()}
        kept = [*schema.SHOWN, schema.WORDS]
        try:
            pages = self._list_pages(vector_store_id, file_id, kept, with_vectors=True, within_s=WRITE_S)
            async for page in pages:
                objects = [
                    DataObject(properties={**found.properties, **changed}, uuid=found.uuid, vector=found.vector or None)
                    for found in page
                ]
                await self._insert(vector_store_id, objects)
        except NoTenantError:
            return

    async def search(
        self,
        vector_store_id: str,
        queries: Sequence[str],
        *,
        limit: int,
        where: Filter | None = None,
        ranking: Ranking = DEFAULT_RANKING,
    ) -> Sequence[Passage]:
        """See `PassageIndex.search`.

        Hybrid scores are those of `fusion.py`. By words alone a score is the part of the best one's of the same query,
        by vectors alone it is the cosine similarity.
        """
        asked = [query for query in map(clean, queries) if query.strip()]
        limit = min(limit, MAX_FOUND)
        if not asked or limit < 1:
            return []
        self._calls.admit()
        vectors = await self._embed_questions(asked, ranking)
        filters = None if where is None else compose_filter(where)
        # One limit for all calls of a search, and each call keeps it itself: a call that is cut off is a failure that
        # counts.
        tenant = _Tenant(vector_store_id, deadline=time.monotonic() + SEARCH_S)
        own_places = asyncio.Semaphore(QUERIES_A_SEARCH)

        async def score(query: str, vector: Vector | None) -> dict[str, float]:
            async with _places(tenant, own_places, self._places):
                return await self._score(tenant, query, vector, ranking=ranking, filters=filters)

        parts = [score(query, vector) for query, vector in zip(asked, vectors, strict=True)]
        try:
            best = _keep_best(await asyncio.gather(*parts), limit=limit, threshold=ranking.score_threshold)
            return await self._read_passages(tenant, best)
        except NoTenantError:
            return []

    async def list_stretches(
        self, vector_store_id: str, file_id: str, *, first: int = 0, count: int | None = None
    ) -> Sequence[Stretch]:
        """See `PassageIndex.list_stretches`."""
        stretches: list[Stretch] = []
        shown = list(schema.SHOWN)
        pages = self._list_pages(vector_store_id, file_id, shown, with_vectors=False, within_s=READ_S, first=first)
        try:
            async with aclosing(pages):
                async for page in pages:
                    stretches += [Stretch(**_read_stretch(found.properties)) for found in page]
                    if count is not None and len(stretches) >= count:
                        break
        except NoTenantError:
            return []
        return stretches[:count]

    async def _score(
        self,
        tenant: _Tenant,
        query: str,
        vector: Vector | None,
        *,
        ranking: Ranking,
        filters: _Filters | None,
    ) -> dict[str, float]:
        """The candidates of one query, with their scores."""
        stems = " ".join(dict.fromkeys(self._stemmer.stem(" ".join(choose_words(query)))))
        if vector is None:
            return scale(await self._find_by_words(tenant, stems, filters))
        if ranking.ranker == "none" or ranking.text_weight <= 0:
            by_vector = await self._find_by_vector(tenant, vector, filters)
            return {key: min(max(score, 0.0), 1.0) for key, score in by_vector.items()}
        by_words, by_vector = await asyncio.gather(
            self._find_by_words(tenant, stems, filters),
            self._find_by_vector(tenant, vector, filters),
        )
        return fuse(by_words, by_vector, text_weight=ranking.text_weight)

    async def _find_by_words(self, tenant: _Tenant, stems: str, filters: _Filters | None) -> dict[str, float]:
        if not stems:
            return {}
        found = await self._ask_in_time(
            tenant,
            lambda passages: passages.query.bm25(
                stems,
                query_properties=[schema.WORDS],
                filters=filters,
                limit=CANDIDATES,
                return_properties=[],
                return_metadata=MetadataQuery(score=True),
            ),
        )
        return {str(each.uuid): each.metadata.score or 0.0 for each in found.objects}

    async def _find_by_vector(self, tenant: _Tenant, vector: Vector, filters: _Filters | None) -> dict[str, float]:
        found = await self._ask_in_time(
            tenant,
            lambda passages: passages.query.near_vector(
                list(vector),
                target_vector=self._vector_name,
                filters=filters,
                limit=CANDIDATES,
                return_properties=[],
                return_metadata=MetadataQuery(distance=True),
            ),
        )
        return {str(each.uuid): 1 - (each.metadata.distance or 0.0) for each in found.objects}

    async def _read_passages(self, tenant: _Tenant, scores: dict[str, float]) -> Sequence[Passage]:
        """The passages in order; one that was removed since is none."""
        if not scores:
            return []
        found = await self._ask_in_time(
            tenant,
            lambda passages: passages.query.fetch_objects(
                filters=Where.by_id().contains_any(list(scores)),
                limit=len(scores),
                return_properties=list(schema.SHOWN),
            ),
        )
        passages = [_read_passage(tenant.name, each.properties, scores[str(each.uuid)]) for each in found.objects]
        return sorted(passages, key=rank)

    async def _embed_questions(self, queries: Sequence[str], ranking: Ranking) -> Sequence[Vector | None]:
        """Their vectors; None for each where they do not count, or while the model's server does not give any."""
        words_alone = [None] * len(queries)
        is_words_alone = ranking.ranker == "auto" and ranking.text_weight >= 1
        if self._embedder is None or is_words_alone or time.monotonic() < self._words_alone_until:
            return words_alone
        try:
            async with asyncio.timeout(EMBED_QUESTION_S):
                return await self._embedder.embed(queries)
        except InvalidPrompt as exc:  # these questions alone: too long for a small model, say
            log.info("searching_words_alone", reason=exc.code)
            return words_alone
        except (ServiceError, TimeoutError) as exc:
            log.warning("searching_words_alone", reason=getattr(exc, "code", "timeout"))
            self._words_alone_until = time.monotonic() + WORDS_ALONE_S
            return words_alone

    async def _put_batch(self, vector_store_id: str, indexed: Indexed, stretches: Sequence[Stretch]) -> None:
        vectors = await self._embed_stretches(stretches)
        # Stems of a batch take tens of milliseconds.
        rows = await asyncio.to_thread(_compose_rows, indexed, stretches)
        objects = [
            DataObject(
                properties=row,
                uuid=uuid.uuid5(IDS, f"{vector_store_id} {indexed.file_id} {stretch.number}"),
                vector=None if vector is None else {self._vector_name: list(vector)},
            )
            for stretch, row, vector in zip(stretches, rows, vectors, strict=True)
        ]
        await self._insert(vector_store_id, objects)

    async def _embed_stretches(self, stretches: Sequence[Stretch]) -> Sequence[Vector | None]:
        if self._embedder is None:
            return [None] * len(stretches)
        texts = [f"{stretch.heading}\n{stretch.text}" if stretch.heading else stretch.text for stretch in stretches]
        try:
            return await self._embedder.embed(texts)
        except InvalidPrompt as exc:
            log.info("embedding_refused", code=exc.code)
            raise
        except NotFound as exc:
            log.warning(
                "embedding_failed", code=exc.code, hint="Set EMBEDDING_MODEL to a model that is there, or none."
            )
            message = "The model's server does not have the embedding model of this server. Tell its operator."
            raise Unavailable(message) from exc
        except ServiceError as exc:
            log.warning("embedding_failed", code=exc.code)
            raise Unavailable("The embedding model does not answer at the moment. Try again later.") from exc

    async def _insert(self, vector_store_id: str, objects: Sequence[DataObject[dict[str, Any], None]]) -> None:
        async def insert(passages: Passages) -> None:
            done = await passages.data.insert_many(objects)
            for error in done.errors.values():
                raise WeaviateQueryError(error.message, "batch")

        await self._ask(vector_store_id, insert, within_s=WRITE_S)

    async def _remove(self, vector_store_id: str, where: _Filters) -> None:
        while True:
            done = await self._ask(vector_store_id, lambda passages: passages.data.delete_many(where), within_s=WRITE_S)
            if done.matches < MAX_REMOVED:
                return

    async def _create_tenant(self, vector_store_id: str) -> None:
        async def create(passages: Passages) -> None:
            if not await passages.tenants.exists(vector_store_id):
                await passages.tenants.create([Tenant(name=vector_store_id)])

        await self._calls.ask(lambda client: create(client.collections.use(self._collection)), within_s=WRITE_S)

    async def _list_pages(
        self,
        vector_store_id: str,
        file_id: str,
        properties: list[str],
        *,
        with_vectors: bool,
        within_s: float,
        first: int = 0,
    ) -> AsyncGenerator[list[Any]]:
        """A file's passages in order from `first` on, some at a time, each within a time: numbers have no gaps."""
        start = first
        while True:
            number = Where.by_property("number")
            wanted = _of_file(file_id) & number.greater_or_equal(start) & number.less_than(start + BATCH)

            async def fetch(passages: Passages, wanted: _Filters = wanted) -> Any:
                return await passages.query.fetch_objects(
                    filters=wanted, limit=BATCH, return_properties=properties, include_vector=with_vectors
                )

            found = (await self._ask(vector_store_id, fetch, within_s=within_s)).objects
            if not found:
                return
            yield sorted(found, key=lambda each: int(each.properties["number"]))
            start += BATCH

    async def _ask_in_time(self, tenant: _Tenant, question: Callable[[Passages], Awaitable[Result]]) -> Result:
        """Ask within what is left of a search that was admitted."""
        if tenant.left_s() < LEAST_CALL_S:
            raise _busy()
        return await self._calls.ask(
            lambda client: question(client.collections.use(self._collection).with_tenant(tenant.name)),
            within_s=tenant.left_s(),
            is_admitted=True,
        )

    async def _ask(
        self, vector_store_id: str, question: Callable[[Passages], Awaitable[Result]], *, within_s: float
    ) -> Result:
        """Ask the vector store's tenant. Raises Unavailable, NoTenantError."""
        return await self._calls.ask(
            lambda client: question(client.collections.use(self._collection).with_tenant(vector_store_id)),
            within_s=within_s,
        )


@asynccontextmanager
async def _places(tenant: _Tenant, *places: asyncio.Semaphore) -> AsyncIterator[None]:
    """A place of each, in this order. Raises Unavailable where there is none in time; Weaviate has not failed then."""
    async with AsyncExitStack() as held:
        try:
            async with asyncio.timeout(tenant.left_s()):
                for place in places:
                    await held.enter_async_context(place)
        except TimeoutError:
            raise _busy() from None
        yield


def _busy() -> Unavailable:
    return Unavailable("Too much is searched at the moment. Try again in a moment, with fewer queries at once.")


def _keep_best(parts: Sequence[dict[str, float]], *, limit: int, threshold: float) -> dict[str, float]:
    """Each candidate with its best score of all queries; those that fit best, and well enough."""
    best: dict[str, float] = {}
    for scores in parts:
        for key, score in scores.items():
            best[key] = max(score, best.get(key, 0.0))
    order = sorted((-score, key) for key, score in best.items() if score >= threshold)
    return {key: -negated for negated, key in order[:limit]}


def _of_file(file_id: str) -> _Filters:
    return Where.by_property("file_id").equal(file_id)


def _compose_rows(indexed: Indexed, stretches: Sequence[Stretch]) -> list[dict[str, Any]]:
    """The properties of each; for a thread of its own."""
    stemmer = Stemmer()
    filename = clean(indexed.filename)
    of_file = {
        "file_id": indexed.file_id,
        "filename": filename,
        "attributes": encode(indexed.attributes).decode(),
        PROPERTY: compose_terms(indexed.attributes),
    }
    name_words = stemmer.stem(filename)
    return [
        {
            **of_file,
            "number": stretch.number,
            "text": clean(stretch.text),
            "heading": clean(stretch.heading),
            **({} if stretch.page is None else {"page": stretch.page}),
            "tokens": stretch.tokens,
            "start": stretch.start,
            schema.WORDS: " ".join(
                [*name_words, *(HEADING_WEIGHT * stemmer.stem(stretch.heading)), *stemmer.stem(stretch.text)]
            ),
        }
        for stretch in stretches
    ]


def _read_stretch(properties: dict[str, Any]) -> dict[str, Any]:
    """Numbers come as floats over gRPC, and what was never set as nothing."""
    page = properties.get("page")
    return {
        "number": int(properties["number"]),
        "text": properties["text"] or "",
        "heading": properties["heading"] or "",
        "page": None if page is None else int(page),
        "tokens": int(properties["tokens"] or 0),
        "start": int(properties["start"] or 0),
    }


def _read_passage(vector_store_id: str, properties: dict[str, Any], score: float) -> Passage:
    return Passage(
        vector_store_id=vector_store_id,
        file_id=properties["file_id"],
        filename=properties["filename"],
        score=score,
        attributes=decode_attributes(properties["attributes"]),
        **_read_stretch(properties),
    )
