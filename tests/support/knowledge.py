"""Passage indexes for tests, as `config.knowledge` makes them, and files to put into them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from openai import AsyncOpenAI

from prompts.adapters.openai.embedder import OpenAIEmbedder
from prompts.adapters.openai.http_client import ModelServerClient
from prompts.adapters.sqlite.passage_index import SEARCH_S, WRITE_S, SqlitePassageIndex
from prompts.adapters.weaviate.calls import WeaviateCalls
from prompts.adapters.weaviate.connection import WeaviateConnection
from prompts.adapters.weaviate.passage_index import WeaviatePassageIndex
from prompts.domain import ids
from prompts.domain.passages import Attributes, Stretch
from prompts.ports.embedder import Embedder
from prompts.ports.observer import UNOBSERVED, Observer
from prompts.ports.passage_index import Indexed
from tests.support.servers import WeaviateAddress

EMBEDDING_MODEL = "stand-in-embedding"


def new_store() -> str:
    """The id of a vector store that nobody has filled."""
    return ids.new_id(ids.VECTOR_STORE, ids.new_partition())


def new_file() -> str:
    """The id of a file."""
    return ids.new_id(ids.FILE, ids.new_partition())


def a_file(
    file_id: str, *texts: str, attributes: Attributes | None = None, filename: str = "notes.md", heading: str = ""
) -> Indexed:
    """A file with these passages."""
    stretches = [Stretch(number=number, text=text, heading=heading) for number, text in enumerate(texts)]
    return Indexed(file_id=file_id, filename=filename, attributes=attributes or {}, stretches=stretches)


@asynccontextmanager
async def open_sqlite_index(
    path: Path, *, search_s: float = SEARCH_S, write_s: float = WRITE_S
) -> AsyncIterator[SqlitePassageIndex]:
    """The embedded index in this file, prepared."""
    index = SqlitePassageIndex(path, search_s=search_s, write_s=write_s)
    try:
        await index.prepare()
        yield index
    finally:
        await index.close()


@asynccontextmanager
async def open_weaviate_index(
    address: WeaviateAddress,
    embedder: Embedder | None = None,
    *,
    collection: str,
    model: str = EMBEDDING_MODEL,
    observer: Observer = UNOBSERVED,
) -> AsyncIterator[WeaviatePassageIndex]:
    """The index in this collection, not prepared; without an embedder it searches words alone."""
    connection = WeaviateConnection(address.url, grpc_port=address.grpc_port, observer=observer)
    try:
        yield WeaviatePassageIndex(
            WeaviateCalls(connection, observer),
            embedder,
            model=None if embedder is None else model,
            collection=collection,
        )
    finally:
        await connection.close()


@asynccontextmanager
async def open_embedder(base_url: str) -> AsyncIterator[OpenAIEmbedder]:
    """The embedder on the stand-in."""
    async with AsyncOpenAI(base_url=base_url, api_key="key", http_client=ModelServerClient()) as client:
        yield OpenAIEmbedder(client, model=EMBEDDING_MODEL, connect_s=2, answer_s=5)
