"""Answers from files, as the clients' own tools for them read them."""

import json
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, FileSearchTool, ModelSettings, OpenAIResponsesModel, RunConfig, Runner
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI

from tests.clients.scenario import MODEL
from tests.clients.test_ai_sdk import MAX_INSTALL_S, PACKAGE, run_script
from tests.support.npm import install_npm_packages
from tests.support.service import Service

CANTEEN = "# Canteen\n\nThe canteen opens at noon. Soup is free on Fridays."
QUESTION = "Use file_search: When does the canteen open?"
UNTRACED = RunConfig(tracing_disabled=True)
ANSWER = "The canteen opens at noon."


@pytest.fixture
async def store_id(alice: AsyncOpenAI) -> str:
    """A vector store with one file, indexed."""
    store = await alice.vector_stores.create()
    await alice.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("canteen.md", CANTEEN.encode()), poll_interval_ms=100
    )
    return store.id


async def test_openai_agents(alice: AsyncOpenAI, store_id: str) -> None:
    agent = Agent(
        name="Desk",
        tools=[FileSearchTool(vector_store_ids=[store_id], max_num_results=3, include_search_results=True)],
        model=OpenAIResponsesModel(MODEL, alice),
        model_settings=ModelSettings(tool_choice="file_search"),
    )
    ran = Runner.run_streamed(agent, QUESTION, run_config=UNTRACED)
    kinds = [event.type async for event in ran.stream_events()]
    assert "run_item_stream_event" in kinds
    assert ran.final_output == ANSWER
    again = await Runner.run(
        agent,
        [*ran.to_input_list(), {"role": "user", "content": QUESTION}],
        run_config=UNTRACED,
    )
    assert again.final_output == ANSWER


@pytest.mark.parametrize("version", ["v0", "responses/v1", "v1"])
async def test_langchain(settings: dict[str, Any], store_id: str, version: str) -> None:
    search = {"type": "file_search", "vector_store_ids": [store_id]}
    model = ChatOpenAI(**settings, output_version=version).bind_tools([search])
    whole: Any = None
    async for chunk in model.astream(QUESTION):
        whole = chunk if whole is None else whole + chunk
    assert whole.text == ANSWER
    [block] = [block for block in whole.content_blocks if block["type"] == "text"]
    assert len(block["annotations"]) == 1
    again = await model.ainvoke([HumanMessage(QUESTION), whole, HumanMessage(QUESTION)])
    assert again.text == ANSWER


async def test_ai_sdk(service: Service, store_id: str) -> None:
    node: Path = install_npm_packages(PACKAGE, within_s=MAX_INSTALL_S)
    argument: dict[str, Any] = {
        "baseURL": service.api_url,
        "apiKey": service.alice_key,
        "model": MODEL,
        "vectorStoreIds": [store_id],
        "question": QUESTION,
    }
    parts = await run_script(node, "search.mjs", argument)
    text = "".join(part["text"] for part in parts if part["type"] == "text-delta")
    assert text == ANSWER
    [source] = [part for part in parts if part["type"] == "source"]
    assert (source["sourceType"], source["filename"]) == ("document", "canteen.md")
    [result] = [part for part in parts if part["type"] == "tool-result"]
    assert "canteen.md" in json.dumps(result)
