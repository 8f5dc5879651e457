"""The tools of agents, over both protocols of models: offered, called, answered, stored, told again, exported."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from tests.support.model_calls import ModelCalls
from tests.support.server_fixtures import StartReplica
from tests.support.servers import Replica
from tests.support.service import Service
from tests.support.turns import Stream, ask, check_stored, get_text, make_conversation, open_client, wait_until_known

PATCH: dict[str, Any] = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Changes files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'},
}
NOTE = {"type": "custom", "name": "note"}
FIND: dict[str, Any] = {
    "type": "function",
    "name": "find",
    "parameters": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
}
CRM = {"type": "namespace", "name": "crm", "description": "Customers.", "tools": [FIND]}
SEARCH = {"type": "tool_search", "execution": "client", "description": "Finds tools."}
LATER = {"type": "function", "name": "later", "defer_loading": True}
TOOLS: list[dict[str, Any]] = [PATCH, NOTE, CRM, SEARCH, {"type": "local_shell"}, LATER]
PLACE = {"type": "function", "name": "get_place", "parameters": {"type": "object", "properties": {}}}
# What makes the model call, its call, and an output of it.
CALLS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        'Call apply_patch input="*** Begin é"',
        {"type": "custom_tool_call", "name": "apply_patch", "input": "*** Begin é"},
        {"type": "custom_tool_call_output", "output": "The patch is in."},
    ),
    (
        'Call note input="tea"',
        {"type": "custom_tool_call", "name": "note", "input": "tea"},
        {"type": "custom_tool_call_output", "output": [{"type": "input_text", "text": "The note is kept."}]},
    ),
    (
        "Call crm__find name=Ada",
        {"type": "function_call", "name": "find", "namespace": "crm", "arguments": '{"name":"Ada"}'},
        {"type": "function_call_output", "output": "Ada is found."},
    ),
    (
        "Call tool_search",
        {"type": "tool_search_call", "execution": "client", "arguments": {"query": "Call tool_search"}},
        {"type": "tool_search_output", "execution": "client", "tools": [PLACE]},
    ),
    (
        "Call local_shell",
        {"type": "local_shell_call"},
        {"type": "local_shell_call_output", "output": '{"output":"a.txt"}'},
    ),
]
EVERY_CALL = pytest.mark.parametrize(("question", "call", "output"), CALLS, ids=[call["type"] for _, call, _ in CALLS])


@pytest.fixture(scope="module")
def native(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A replica whose model speaks Responses, with a Redis of its own."""
    redis_url = service.environment["REDIS_URL"].removesuffix("/0") + "/3"
    environment = {**service.environment, "REDIS_URL": redis_url, "MODEL_PROTOCOL": "responses"}
    with Replica(tmp_path_factory.mktemp("native"), environment) as running:
        yield running


@pytest.fixture(params=["chat_completions", pytest.param("responses", marks=pytest.mark.long)])
async def client(
    request: pytest.FixtureRequest, http: httpx.AsyncClient, native: Replica
) -> AsyncIterator[httpx.AsyncClient]:
    """Alice at a replica of each protocol."""
    if request.param == "chat_completions":
        yield http
        return
    async with open_client(http, native) as opened:
        await wait_until_known(opened)
        yield opened


@EVERY_CALL
@pytest.mark.parametrize("stream", [False, True])
async def test_it_is_called_answered_stored_and_told_again(
    client: httpx.AsyncClient, question: str, call: dict[str, Any], output: dict[str, Any], stream: bool
) -> None:
    conversation_id = await make_conversation(client)
    body: dict[str, Any] = {"conversation": conversation_id, "tools": TOOLS}
    answer = await ask(client, question, **body, stream=stream)
    first = (await check_stored(client, answer)) if stream else answer.json()
    assert first["status"] == "completed"
    [made] = first["output"]
    assert call.items() <= made.items()
    assert "eps:ignored" not in first

    given = {**output, "call_id": made["call_id"]}
    second = (await ask(client, "", **{**body, "input": [given]})).json()
    assert second["status"] == "completed"
    shown = (await client.get(f"/v1/responses/{second['id']}/input_items")).json()["data"]
    assert [given.items() <= item.items() for item in shown] == [True]
    items = (await client.get(f"/v1/conversations/{conversation_id}/items", params={"order": "asc"})).json()["data"]
    assert items[1] == made
    assert [item["type"] for item in items] == ["message", call["type"], output["type"], "message"]

    again = await ask(client, "count to 2", **body)
    assert get_text(again.json()) == "1 2"
    exported = await client.get(f"/v1/conversations/{conversation_id}/export", params={"format": "markdown"})
    assert "### Called" in exported.text
    assert "### It gave" in exported.text


async def test_the_tools_are_echoed_as_they_were_sent(client: httpx.AsyncClient) -> None:
    shown = (await ask(client, "count to 2", tools=TOOLS)).json()["tools"]
    for sent, tool in zip(TOOLS, shown, strict=True):
        expected = {name: value for name, value in sent.items() if name != "tools"}
        assert expected.items() <= tool.items()
    assert FIND.items() <= shown[2]["tools"][0].items()


async def test_a_tool_that_was_found_can_be_called(client: httpx.AsyncClient) -> None:
    body: dict[str, Any] = {"conversation": await make_conversation(client), "tools": TOOLS}
    assert (await ask(client, "Call get_place", **body)).json()["output"][0]["type"] == "message"
    [call] = (await ask(client, "Call tool_search", **body)).json()["output"]
    found = {"type": "tool_search_output", "call_id": call["call_id"], "execution": "client", "tools": [PLACE]}
    await ask(client, "", **{**body, "input": [found]})
    [called] = (await ask(client, "Call get_place", **body)).json()["output"]
    assert (called["type"], called["name"]) == ("function_call", "get_place")


async def test_another_kind_of_output_answers_the_shell(client: httpx.AsyncClient) -> None:
    """So does Codex."""
    first = (await ask(client, "Call local_shell", tools=TOOLS)).json()
    [call] = first["output"]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "a.txt"}
    second = (await ask(client, "", input=[output], previous_response_id=first["id"], tools=TOOLS)).json()
    assert "a.txt" in get_text(second)


async def test_an_output_without_its_call_is_refused(client: httpx.AsyncClient) -> None:
    output = {"type": "custom_tool_call_output", "call_id": "call_nobody_made", "output": "x"}
    answer = await ask(client, "", input=[output])
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input[0].call_id")


async def test_a_history_with_them_is_compacted(client: httpx.AsyncClient) -> None:
    first = (await ask(client, 'Call note input="tea"', tools=TOOLS)).json()
    [call] = first["output"]
    output = {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "kept"}
    items = [{"role": "user", "content": "Note it."}, call, output]
    compacted = await client.post("/v1/responses/compact", json={"model": "stand-in", "input": items})
    assert compacted.status_code == 200, compacted.text
    assert [item["type"] for item in compacted.json()["output"]] == ["message", "compaction"]


async def test_function_calls_are_never_dropped(client: httpx.AsyncClient) -> None:
    answer = await ask(client, "Call crm__find name=Ada and note", tools=TOOLS, max_tool_calls=1)
    assert [item["type"] for item in answer.json()["output"]] == ["function_call", "custom_tool_call"]


async def test_chat_completions_is_sent_functions(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    await ask(http, "count to 2 for the tools", tools=TOOLS)
    body = await model_calls.get_body("count to 2 for the tools")
    names = [tool["function"]["name"] for tool in body["tools"]]
    assert sorted(names) == ["apply_patch", "crm__find", "local_shell", "note", "tool_search"]


@pytest.mark.parametrize(
    ("question", "call", "output"),
    [CALLS[0], *(pytest.param(*each, marks=pytest.mark.long) for each in CALLS[1:])],
    ids=[call["type"] for _, call, _ in CALLS],
)
async def test_a_call_that_was_not_begun_is_made_by_the_replica_that_takes_over(
    *,
    service: Service,
    http: httpx.AsyncClient,
    start_replica: StartReplica,
    question: str,
    call: dict[str, Any],
    output: dict[str, Any],
) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "LEASE_S": "1"})
    async with open_client(http, replica) as victim:
        text = f"{question} [[standin headers_s=2]]"
        creator = Stream(victim, "POST", "/v1/responses", json={"input": text, "tools": TOOLS, "stream": True})
        follower = Stream.of_response(http, await creator.get_id())
        await follower.get_id()
        await asyncio.to_thread(replica.kill)
        final = await follower.read_final()
    [made] = final["output"]
    assert final["status"] == made["status"] == "completed"
    assert {name: value for name, value in call.items() if name != "arguments"}.items() <= made.items()
    answer = await ask(
        http, "", input=[{**output, "call_id": made["call_id"]}], tools=TOOLS, previous_response_id=final["id"]
    )
    assert answer.json()["status"] == "completed"


async def test_a_call_that_was_begun_is_not_gone_on_with(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "LEASE_S": "1"})
    async with open_client(http, replica) as victim:
        text = f'Call apply_patch input="{"more " * 40}" [[standin token_s=0.2]]'
        creator = Stream(victim, "POST", "/v1/responses", json={"input": text, "tools": TOOLS, "stream": True})
        follower = Stream.of_response(http, await creator.get_id())
        await follower.see("event: response.custom_tool_call_input.delta")
        await asyncio.to_thread(replica.kill)
        final = await follower.read_final()
    assert (final["status"], final["error"]["code"]) == ("failed", "replica_lost")
    [made] = final["output"]
    assert (made["type"], made["status"]) == ("custom_tool_call", "incomplete")
    assert made["input"]
