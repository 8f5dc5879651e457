"""What this server has sent is valid input, however the official SDK writes it down.

The client is not typed here: its types of what is sent know nothing of what it has dumped.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from tests.support.function_tools import WEATHER

Dump = Callable[[BaseModel], dict[str, Any]]
DUMPS: dict[str, Dump] = {
    "model_dump": lambda item: item.model_dump(),
    "by_alias": lambda item: item.model_dump(by_alias=True),
    "without_nulls": lambda item: item.model_dump(exclude_none=True),
    "json": lambda item: item.model_dump(mode="json"),
    "to_dict": lambda item: item.to_dict(),  # type: ignore[attr-defined]  # the SDK's models have it, pydantic's have not
}
EVERY_DUMP = pytest.mark.parametrize("dump", DUMPS.values(), ids=DUMPS)
# The one with all nulls and the one without: the others differ in what the first test has tried.
TWO_DUMPS = pytest.mark.parametrize("dump", [DUMPS["model_dump"], DUMPS["to_dict"]], ids=["model_dump", "to_dict"])
PATCH: dict[str, Any] = {"type": "custom", "name": "apply_patch", "description": "Changes files."}
SHELL: dict[str, Any] = {"type": "local_shell"}
SEARCH: dict[str, Any] = {"type": "tool_search", "execution": "client"}
SPACE: dict[str, Any] = {"type": "namespace", "name": "mcp__files", "description": "Files.", "tools": [WEATHER]}
ASKED: dict[str, dict[str, Any]] = {
    "text": {"input": "count to 3"},
    "logprobs": {"input": "count to 3", "include": ["message.output_text.logprobs"], "top_logprobs": 1},
    "refusal": {"input": "Hello [[standin refuse]]"},
    "thought": {
        "input": 'My name is Ada. [[standin reason="Ada it is"]]',
        "reasoning": {"effort": "low"},
        "include": ["reasoning.encrypted_content"],
    },
    "function": {"input": "get_weather city=Paris", "tools": [WEATHER]},
    "namespace": {"input": "get_weather city=Paris", "tools": [SPACE]},
    "custom": {"input": 'apply_patch "*** Begin Patch"', "tools": [PATCH]},
    "local_shell": {"input": 'local_shell command="ls"', "tools": [SHELL]},
    "tool_search": {"input": 'tool_search query="mail"', "tools": [SEARCH]},
    "compaction": {"input": [{"role": "user", "content": "My name is Ada."}, {"type": "compaction_trigger"}]},
    "json": {
        "input": "Name a city.",
        "text": {"format": {"type": "json_schema", "name": "city", "schema": WEATHER["parameters"]}},
    },
}
OUTPUTS: dict[str, dict[str, Any]] = {
    "function_call": {"type": "function_call_output", "output": "sunny"},
    "custom_tool_call": {"type": "custom_tool_call_output", "output": "Done"},
    "local_shell_call": {"type": "local_shell_call_output", "output": "{}"},
    "tool_search_call": {"type": "tool_search_output", "execution": "client", "tools": []},
}


def answer_calls(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The outputs of the calls among these items."""
    return [OUTPUTS[item["type"]] | {"call_id": item["call_id"]} for item in items if item["type"] in OUTPUTS]


@EVERY_DUMP
@pytest.mark.parametrize("name", ASKED)
async def test_a_response_comes_back(alice: Any, name: str, dump: Dump) -> None:
    response = await alice.responses.create(**ASKED[name])
    items = [dump(item) for item in response.output]
    given = [*items, *answer_calls(items), {"role": "user", "content": "count to 2"}]
    again = await alice.responses.create(input=given, tools=[dump(tool) for tool in response.tools])
    assert again.output_text == "1 2"
    assert "eps:ignored" not in (again.model_extra or {}), again.model_extra
    conversation = await alice.conversations.create(items=items)
    listed = await alice.conversations.items.list(conversation.id, order="asc")
    assert [_compare(dump(item)) for item in listed.data] == [_compare(item) for item in items]
    compacted = await alice.responses.compact(model="stand-in", input=given)
    assert compacted.output[-1].type == "compaction"


@TWO_DUMPS
@pytest.mark.parametrize("name", ASKED)
async def test_what_was_streamed_comes_back(alice: Any, name: str, dump: Dump) -> None:
    events = await alice.responses.create(**ASKED[name], stream=True)
    done = [dump(event.item) async for event in events if event.type == "response.output_item.done"]
    given = [*done, *answer_calls(done), {"role": "user", "content": "count to 2"}]
    again = await alice.responses.create(input=given)
    assert again.output_text == "1 2"
    assert "eps:ignored" not in (again.model_extra or {}), again.model_extra


@TWO_DUMPS
@pytest.mark.parametrize("name", ["text", "function", "json"])
async def test_what_was_parsed_comes_back(alice: Any, name: str, dump: Dump) -> None:
    async with alice.responses.stream(model="stand-in", **ASKED[name]) as stream:
        parsed = await stream.get_final_response()
    items = [dump(item) for item in parsed.output]
    again = await alice.responses.create(
        input=[*items, *answer_calls(items), {"role": "user", "content": "count to 2"}]
    )
    assert again.output_text == "1 2"
    named = (again.model_extra or {}).get("eps:ignored", [])
    assert all(place.endswith((".parsed", ".parsed_arguments")) for place in named)


@TWO_DUMPS
async def test_input_items_and_items_of_conversations_come_back(alice: Any, dump: Dump) -> None:
    first = await alice.responses.create(input="My name is Ada.")
    asked = [dump(item) for item in (await alice.responses.input_items.list(first.id)).data]
    conversation = await alice.conversations.create(items=asked)
    kept = [dump(item) for item in (await alice.conversations.items.list(conversation.id)).data]
    again = await alice.responses.create(input=[*kept, {"role": "user", "content": "What is my name?"}])
    assert again.output_text == "Your name is Ada."


def _compare(item: dict[str, Any]) -> dict[str, Any]:
    """The item without what a stored one has of its own, or has not."""
    plain = {name: value for name, value in item.items() if name not in ("id", "status") and value is not None}
    if isinstance(content := plain.get("content"), list):
        plain["content"] = [_strip(part) for part in content]
    return plain


def _strip(part: Any) -> Any:
    """A part without what is empty, and without what the SDK has made of it."""
    return {name: value for name, value in part.items() if name != "parsed" and value}
