"""A replica prepares its search index by itself, serves meanwhile, and uses the embedding model that is set."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import NoneType

import httpx
import pytest
from django.test import override_settings
from openai import AsyncOpenAI
from redis.asyncio import Redis

from config.knowledge import SQLITE_FILE, build_embedder, open_passage_index
from prompts.adapters.openai.http_client import ModelServerClient
from prompts.adapters.redis.vector_cache import CachedEmbedder
from prompts.adapters.sqlite.passage_index import SqlitePassageIndex
from prompts.adapters.weaviate.connection import WeaviateConnection
from prompts.adapters.weaviate.passage_index import WeaviatePassageIndex
from prompts.adapters.weaviate.schema import COLLECTION
from tests.support.knowledge import a_file, new_file, new_store
from tests.support.server_fixtures import StartReplica, StartValkey, StartWeaviate
from tests.support.servers import StandinServer, ValkeyServer, WeaviateAddress, eventually, get_status
from tests.support.service import service_environment


@asynccontextmanager
async def open_clients(valkey: ValkeyServer, standin: StandinServer) -> AsyncIterator[tuple[Redis, AsyncOpenAI]]:
    async with (
        Redis.from_url(f"redis://127.0.0.1:{valkey.port}/5") as redis,
        AsyncOpenAI(base_url=standin.base_url, api_key="key", http_client=ModelServerClient()) as openai,
    ):
        yield redis, openai


def has_collection(weaviate: WeaviateAddress) -> bool:
    return httpx.get(f"{weaviate.url}/v1/schema/{COLLECTION}").status_code == 200


async def test_an_index_that_comes_late_is_prepared_and_keeps_nobody_waiting(
    start_weaviate: StartWeaviate,
    start_valkey: StartValkey,
    start_replica: StartReplica,
    standin: StandinServer,
    tmp_path: Path,
) -> None:
    weaviate = start_weaviate()
    weaviate.stop()
    address = weaviate.address
    environment = service_environment(start_valkey(), standin, tmp_path)
    replica = start_replica(
        {**environment, "WEAVIATE_URL": address.url, "WEAVIATE_GRPC_PORT": str(address.grpc_port), "WORKERS": "2"}
    )
    assert get_status(replica.port, "/healthz") == 200
    assert get_status(replica.port, "/readyz") == 503  # which says that Weaviate is required
    weaviate.start()
    await eventually(lambda: has_collection(address), within_s=60)
    await eventually(lambda: get_status(replica.port, "/readyz") == 200, within_s=30)


async def test_sqlite_is_the_index_where_no_weaviate_is_set(
    valkey: ValkeyServer, standin: StandinServer, tmp_path: Path
) -> None:
    with override_settings(DATA_DIR=tmp_path):
        async with (
            open_clients(valkey, standin) as (redis, openai),
            open_passage_index(redis, openai, None) as index,
        ):
            assert isinstance(index, SqlitePassageIndex)
            await index.prepare()
    assert (tmp_path / SQLITE_FILE).exists()


@pytest.mark.parametrize("model", ["stand-in-embedding", None])
async def test_weaviate_has_vectors_where_there_is_an_embedding_model(
    weaviate: WeaviateAddress,
    valkey: ValkeyServer,
    standin: StandinServer,
    model: str | None,
) -> None:
    connection = WeaviateConnection(weaviate.url, grpc_port=weaviate.grpc_port)
    try:
        async with AsyncExitStack() as stack:
            redis, openai = await stack.enter_async_context(open_clients(valkey, standin))
            with override_settings(KNOWLEDGE_MODEL=model):
                index = await stack.enter_async_context(open_passage_index(redis, openai, connection))
                assert isinstance(build_embedder(redis, openai), CachedEmbedder if model else NoneType)
            assert isinstance(index, WeaviatePassageIndex)
            await index.prepare()
            store = new_store()
            await index.put(store, a_file(new_file(), "the harbour opens at six", "bread is baked"))
            found = await index.search(store, ["harbour"], limit=5)
            assert len(found) == (1 if model is None else 2)  # vectors have all, words those that have them
            await index.remove_store(store)
    finally:
        await connection.close()
