"""A whole request of the Codex CLI, as it was recorded: read, answered and compacted."""

from typing import Any

import httpx
import pytest

from tests.support.model_calls import ModelCalls
from tests.support.oracle import check_events, read_frames
from tests.support.recorded_requests import read_codex_request


@pytest.fixture
def body() -> dict[str, Any]:
    return read_codex_request()


def said(text: str) -> dict[str, Any]:
    """A question as Codex sends it."""
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


async def ask(http: httpx.AsyncClient, body: dict[str, Any], *more: dict[str, Any]) -> dict[str, Any]:
    """The response to a body with more items at the end of its input."""
    answer = await http.post("/v1/responses", json={**body, "input": [*body["input"], *more]})
    assert answer.status_code == 200, answer.text
    response = check_events(read_frames(answer.content))
    assert response["status"] == "completed"
    return response


async def test_it_is_answered_and_what_is_not_known_is_named(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    response = await ask(http, body)
    assert response["output"][-1]["content"][0]["text"].startswith("apply_patch returned: Exit code: 0")
    assert "client_metadata" in response["eps:ignored"]
    web_search = next(place for place, tool in enumerate(body["tools"]) if tool["type"] == "web_search")
    assert f"tools[{web_search}]" in response["eps:ignored"]


async def test_its_tools_are_called_by_their_kind(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    patch = "*** Begin Patch\n*** Delete File: made.txt\n*** End Patch"
    words = f'exec_command cmd="ls", then apply_patch input=<<END\n{patch}\nEND'
    response = await ask(http, body, said(words))
    command, change = response["output"]
    assert (command["type"], command["name"], command["arguments"]) == ("function_call", "exec_command", '{"cmd":"ls"}')
    assert (change["type"], change["name"], change["input"]) == ("custom_tool_call", "apply_patch", patch)


async def test_a_tool_of_a_namespace_is_called_with_its_namespace(
    http: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    response = await ask(http, body, said("multi_agent_v1__close_agent target=ada"))
    (call,) = response["output"]
    assert (call["namespace"], call["name"]) == ("multi_agent_v1", "close_agent")


async def test_its_history_becomes_one_compaction_and_goes_on(
    http: httpx.AsyncClient, body: dict[str, Any], model_calls: ModelCalls
) -> None:
    compacted = await ask(http, body, {"type": "compaction_trigger"})
    (compaction,) = compacted["output"]
    assert compaction["type"] == "compaction"
    short = {**body, "input": [body["input"][1], compaction]}
    response = await ask(http, short, said("What is the secret word?"))
    assert response["output"][0]["content"][0]["text"] == "The secret word is heliotrope."
    assert "apply_patch returned" in str(await model_calls.get_messages("What is the secret word?"))
