"""The search index of passages: Weaviate when one is configured, else SQLite in `DATA_DIR`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from django.conf import settings
from openai import AsyncOpenAI
from redis.asyncio import Redis

from prompts.adapters.openai.embedder import OpenAIEmbedder
from prompts.adapters.redis.vector_cache import CachedEmbedder
from prompts.adapters.sqlite.passage_index import SqlitePassageIndex
from prompts.errors import Unavailable
from prompts.ports.embedder import Embedder
from prompts.ports.observer import UNOBSERVED, Observer
from prompts.ports.passage_index import PassageIndex

if TYPE_CHECKING:
    from prompts.adapters.weaviate.connection import WeaviateConnection

SQLITE_FILE = "knowledge.sqlite3"
# One request for vectors of a batch; a small model on a processor takes seconds for it.
EMBED_S = 60.0
# An index that could not be prepared is tried again so soon, then less and less. One that was is looked at so often,
# because a server may be replaced by an empty one while we run.
RETRY_S = 1.0
LOOK_S = 60.0


@asynccontextmanager
async def open_passage_index(
    redis: Redis, openai: AsyncOpenAI, weaviate: "WeaviateConnection | None", observer: Observer = UNOBSERVED
) -> AsyncIterator[PassageIndex]:
    """The index of this process, not prepared yet. Nothing is connected to or opened before it is used."""
    if weaviate is None:
        index = SqlitePassageIndex(settings.DATA_DIR / SQLITE_FILE)
        try:
            yield index
        finally:
            await index.close()
        return
    # The adapter imports Weaviate's client: only who has a Weaviate pays for it.
    from prompts.adapters.weaviate.calls import WeaviateCalls
    from prompts.adapters.weaviate.passage_index import WeaviatePassageIndex

    yield WeaviatePassageIndex(
        WeaviateCalls(weaviate, observer), build_embedder(redis, openai), model=settings.KNOWLEDGE_MODEL
    )


def name_passage_index() -> str:
    """What tells the index that is used now from others: where it is, and whose vectors it has."""
    return "sqlite" if settings.WEAVIATE_URL is None else f"weaviate {settings.KNOWLEDGE_MODEL}"


def build_embedder(redis: Redis, openai: AsyncOpenAI) -> Embedder | None:
    """The embedder with its cache; None when there is no embedding model."""
    model = settings.KNOWLEDGE_MODEL
    if model is None:
        return None
    embedder = OpenAIEmbedder(openai, model=model, connect_s=settings.MODEL_CONNECT_S, answer_s=EMBED_S)
    return CachedEmbedder(embedder, redis, model=model, kept_s=settings.EMBEDDING_CACHE_S)


async def keep_prepared(index: PassageIndex) -> None:
    """Prepare the index, however long it takes until it can be; the service serves meanwhile. Never returns."""
    pause_s = RETRY_S
    while True:
        try:
            await index.prepare()
        except Unavailable:  # the adapter has said why
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LOOK_S)
        else:
            pause_s = RETRY_S
            await asyncio.sleep(LOOK_S)
