"""Vector stores on a real Weaviate: filled, searched by words and vectors, changed and erased."""

import pytest
from openai import AsyncOpenAI

from tests.integration.test_vector_stores_http import HOLIDAY, TRAVEL, fill, search
from tests.support.server_fixtures import StartValkey
from tests.support.servers import StandinServer, WeaviateAddress
from tests.support.service import ALICE_KEY, start_service


async def test_a_vector_store_on_weaviate(
    start_valkey: StartValkey,
    standin: StandinServer,
    weaviate: WeaviateAddress,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    where = {"WEAVIATE_URL": weaviate.url, "WEAVIATE_GRPC_PORT": str(weaviate.grpc_port)}
    with start_service(start_valkey(), standin, tmp_path_factory.mktemp("weaviate"), **where) as service:
        async with AsyncOpenAI(base_url=service.api_url, api_key=ALICE_KEY, max_retries=0) as client:
            store, [holiday, travel] = await fill(client, HOLIDAY, TRAVEL, team="people")
            assert (await search(client, store.id, "days of holiday"))[0] == holiday
            await client.vector_stores.files.update(travel, vector_store_id=store.id, attributes={"team": "sales"})
            by_team = {"type": "eq", "key": "team", "value": "sales"}
            assert await search(client, store.id, "train", filters=by_team) == [travel]
            page = await client.vector_stores.files.content(holiday, vector_store_id=store.id)
            assert "thirty days" in (page.data[0].text or "")
            await client.vector_stores.files.delete(travel, vector_store_id=store.id)
            assert travel not in await search(client, store.id, "train")
            await client.vector_stores.delete(store.id)
