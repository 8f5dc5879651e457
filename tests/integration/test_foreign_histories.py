"""Histories that were made elsewhere: every kind of item that the specification knows is taken, kept and told."""

from typing import Any

import httpx
import pytest

from tests.support.model_calls import ModelCalls
from tests.support.turns import ask, get_text, make_conversation

USER = {"role": "user", "content": "count to 2"}
RECORDS: list[dict[str, Any]] = [
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "fjords"}},
    {"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["fjords"], "results": None},
    {"type": "computer_call", "id": "cu_1", "call_id": "c1", "status": "completed", "action": {"type": "screenshot"}},
    {
        "type": "computer_call_output",
        "call_id": "c1",
        "output": {"type": "computer_screenshot", "image_url": "https://example.com/a.png"},
    },
    {"type": "image_generation_call", "id": "ig_1", "status": "generating", "result": "aGk="},
    {
        "type": "code_interpreter_call",
        "id": "ci_1",
        "status": "completed",
        "code": "1+1",
        "container_id": "x",
        "outputs": [{"type": "logs", "logs": "2"}],
    },
    {
        "type": "mcp_list_tools",
        "id": "mcpl_1",
        "server_label": "deepwiki",
        "tools": [{"name": "ask", "input_schema": {}}],
    },
    {"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "x", "name": "files.read", "arguments": "{}"},
    {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": False},
    {
        "type": "mcp_call",
        "id": "mcp_1",
        "status": "failed",
        "server_label": "x",
        "name": "files.read",
        "arguments": '{"path": "notes.txt"}',
        "output": None,
        "error": "not found",
    },
    {"type": "shell_call", "call_id": "s1", "action": {"commands": ["ls"], "timeout_ms": 5}},
    {
        "type": "shell_call_output",
        "call_id": "s1",
        "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "exit"}}],
    },
    {
        "type": "apply_patch_call",
        "call_id": "p1",
        "status": "completed",
        "operation": {"type": "delete_file", "path": "x"},
    },
    {"type": "apply_patch_call_output", "call_id": "p1", "status": "completed", "output": "Done"},
    {
        "type": "local_shell_call",
        "call_id": "l1",
        "action": {"type": "exec", "command": ["ls"], "env": {}, "user": None},
    },
    {"type": "local_shell_call_output", "id": "l1", "output": '{"output": "a"}'},
    {"type": "custom_tool_call", "call_id": "t1", "name": "apply_patch", "input": "*** Begin Patch"},
    {"type": "custom_tool_call_output", "call_id": "t1", "output": [{"type": "input_text", "text": "Done"}]},
    {"type": "function_call", "call_id": "f1", "name": "read", "namespace": "mcp__files", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "f1", "output": "hello", "caller": None},
    {"type": "tool_search_call", "call_id": "q1", "execution": "client", "arguments": {"query": "mail"}},
    {"type": "tool_search_output", "call_id": "q1", "execution": "client", "tools": []},
    {"type": "reasoning", "summary": [], "content": None, "encrypted_content": None},
]


@pytest.mark.parametrize("stream", [False, True])
async def test_it_works(http: httpx.AsyncClient, stream: bool) -> None:
    answer = await ask(http, "", input=[{"role": "user", "content": "Hello"}, *RECORDS, USER], stream=stream)
    assert answer.status_code == 200, answer.text
    if not stream:
        assert get_text(answer.json()) == "1 2"
        assert "eps:ignored" not in answer.json()


async def test_what_was_sent_comes_back(http: httpx.AsyncClient) -> None:
    http.event_hooks = {}  # a record is kept as it came, whatever it lacks
    answer = await ask(http, "", input=[*RECORDS, USER])
    page = await http.get(f"/v1/responses/{answer.json()['id']}/input_items", params={"order": "asc", "limit": 100})
    shown = page.json()["data"]
    assert [item["type"] for item in shown] == [*(record["type"] for record in RECORDS), "message"]
    for record, item in zip(RECORDS, shown, strict=False):
        kept = {name: value for name, value in record.items() if value is not None and name not in ("id", "caller")}
        kept.get("action", {}).pop("user", None)
        assert kept.items() <= item.items(), record


async def test_a_conversation_takes_them_and_the_next_turn_tells_them(
    http: httpx.AsyncClient, model_calls: ModelCalls
) -> None:
    http.event_hooks = {}  # a record is kept as it came, whatever it lacks
    conversation_id = await make_conversation(http)
    answer = await http.post(f"/v1/conversations/{conversation_id}/items", json={"items": [*RECORDS]})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["data"]) == len(RECORDS)
    text = "Hello after all that"
    assert (await ask(http, text, conversation=conversation_id)).status_code == 200
    told = str((await model_calls.get_body(text))["messages"])
    assert all(word in told for word in ("fjords", "files.read", "not found", "*** Begin Patch", "hello"))
    assert "aGk=" not in told


async def test_a_reference_may_leave_out_its_type(http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    items = (await http.post(f"/v1/conversations/{conversation_id}/items", json={"items": [USER]})).json()["data"]
    assert get_text((await ask(http, "", input=[{"id": items[0]["id"]}])).json()) == "1 2"


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "local_shell_call", "call_id": "l1", "action": {"type": "exec"}}, "input[0].action.command"),
        ({"type": "local_shell_call_output", "output": "x"}, "input[0].call_id"),
        ({"type": "custom_tool_call", "call_id": "t1", "name": "a b", "input": ""}, "input[0].name"),
        ({"type": "custom_tool_call", "call_id": "t1", "name": "a"}, "input[0].input"),
        ({"type": "custom_tool_call_output", "call_id": "t1", "output": [{"type": "x"}]}, "input[0].output[0].type"),
        ({"type": "tool_search_output", "call_id": "q1", "tools": "x"}, "input[0].tools"),
        ({"type": "function_call", "call_id": "f", "name": "f", "arguments": {}}, "input[0].arguments"),
        ({"type": "compaction_trigger"}, "input[0].type"),
        ({"type": "something_new"}, "input[0].type"),
    ],
)
async def test_what_is_known_and_wrong_is_refused_with_its_place(
    http: httpx.AsyncClient, item: dict[str, Any], param: str
) -> None:
    answer = await ask(http, "", input=[item, USER])
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("status", ["searching", "failed"])
async def test_a_search_of_files_may_have_any_status_of_its_kind(http: httpx.AsyncClient, status: str) -> None:
    search = {"type": "file_search_call", "id": "fs_1", "status": status, "queries": ["fjords"]}
    response = (await ask(http, "", input=[search, USER])).json()
    assert response.get("status") == "completed", response
