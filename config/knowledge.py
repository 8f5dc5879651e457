"""The search index of a process: Weaviate where one is configured, else a file of this machine's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from django.conf import settings
from openai import AsyncOpenAI

from prompts.adapters.openai.embedder import OpenAIEmbedder
from prompts.adapters.sqlite.passage_index import SqlitePassageIndex
from prompts.ports.observer import Observer
from prompts.ports.passage_index import PassageIndex

if TYPE_CHECKING:
    from prompts.adapters.weaviate.connection import WeaviateConnection


@asynccontextmanager
async def open_passage_index(
    weaviate: "WeaviateConnection | None", openai: AsyncOpenAI, observer: Observer
) -> AsyncIterator[PassageIndex]:
    """The index, not prepared."""
    if weaviate is None:
        embedded = SqlitePassageIndex(settings.DATA_DIR / "knowledge.sqlite3")
        try:
            yield embedded
        finally:
            await embedded.close()
        return
    # Importing the client takes more than a second: only who has a Weaviate pays for it.
    from prompts.adapters.weaviate.calls import WeaviateCalls
    from prompts.adapters.weaviate.passage_index import WeaviatePassageIndex

    embedder = OpenAIEmbedder(
        openai,
        model=settings.EMBEDDING_MODEL,
        connect_s=settings.MODEL_CONNECT_S,
        answer_s=settings.MODEL_FIRST_TOKEN_S,
    )
    yield WeaviatePassageIndex(WeaviateCalls(weaviate, observer), embedder, model=settings.EMBEDDING_MODEL)
