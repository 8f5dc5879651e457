"""Vector stores on a real Weaviate: filled, searched by words and vectors, changed and erased; and its death."""

import asyncio
import time
from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.integration.test_vector_stores_http import HOLIDAY, TRAVEL, fill, search
from tests.support.server_fixtures import StartValkey, StartWeaviate
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


@pytest.mark.timed
@pytest.mark.long
async def test_weaviate_that_dies_in_the_middle_of_an_answer_costs_no_citation(
    start_valkey: StartValkey,
    standin: StandinServer,
    start_weaviate: StartWeaviate,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    server = start_weaviate()
    where = {"WEAVIATE_URL": server.address.url, "WEAVIATE_GRPC_PORT": str(server.address.grpc_port)}
    with start_service(start_valkey(), standin, tmp_path_factory.mktemp("weaviate"), **where) as service:
        async with AsyncOpenAI(base_url=service.api_url, api_key=ALICE_KEY, max_retries=0) as client:
            store, _ = await fill(client, HOLIDAY, TRAVEL)
            tool: Any = {"type": "file_search", "vector_store_ids": [store.id], "eps:when": "always"}
            question = "How many days of holiday are there? [[standin token_s=0.2]]"
            ended: Any = None
            async for event in await client.responses.create(input=question, tools=[tool], stream=True):
                if event.type == "response.output_text.delta" and server.is_running:
                    await asyncio.to_thread(server.kill)
                ended = event
            assert (ended.response.status, ended.response.output[-1].content[0].annotations != []) == (
                "completed",
                True,
            )
            for limit_s in (10.0, 2.0):  # the next one waits for no connection any more
                begun = time.monotonic()
                without = await client.responses.create(input="How many days of holiday are there?", tools=[tool])
                assert time.monotonic() - begun < limit_s
                assert (without.model_extra or {})["eps:notices"][0]["code"] == "knowledge_unavailable"
