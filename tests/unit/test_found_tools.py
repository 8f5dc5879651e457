"""Deferred tools are offered when a search has found them."""

from typing import Any

import pytest

from prompts.domain.callees import Callee, list_callees
from prompts.domain.items import AdditionalTools, Item, ToolSearchOutput
from prompts.domain.model_request import ModelRequest
from prompts.domain.tools import (
    AllowedTools,
    CustomTool,
    FunctionChoice,
    FunctionTool,
    NamespaceChoice,
    NamespaceTool,
    Tool,
    ToolSearchTool,
)
from prompts.history.found_tools import MAX_FOUND_TOOLS, with_additional_tools, with_found_tools

SEARCH = ToolSearchTool()
TIME = FunctionTool(name="get_time")
LATER = FunctionTool(name="get_place", defer_loading=True)
CRM = NamespaceTool(name="crm", description="Customers.", tools=[FunctionTool(name="list"), LATER])
FOUND: dict[str, Any] = {
    "type": "function",
    "name": "get_place",
    "description": None,
    "defer_loading": True,
    "parameters": {},
}


def found(*tools: Any) -> ToolSearchOutput:
    """What a search gave."""
    return ToolSearchOutput("", "completed", list(tools), "call_1")


def offer(tools: list[Tool], *items: Item) -> list[tuple[str | None, str]]:
    """The tools that can be called then, with their namespaces."""
    request = with_found_tools(ModelRequest(model="m", tools=tools), items)
    return [(callee.namespace, callee.name) for callee, _ in list_callees(request.offered)]


def test_a_deferred_tool_waits_for_a_search_that_finds_it() -> None:
    assert offer([TIME, LATER, SEARCH]) == [(None, "get_time"), (None, "tool_search")]
    assert offer([TIME, LATER, SEARCH], found(FOUND))[2:] == [(None, "get_place")]
    assert offer([CRM, SEARCH]) == [("crm", "list"), (None, "tool_search")]


def test_where_nothing_searches_all_tools_are_offered() -> None:
    assert offer([TIME, LATER, CRM]) == [
        (None, "get_time"),
        (None, "get_place"),
        ("crm", "list"),
        ("crm", "get_place"),
    ]


def test_found_tools_of_a_namespace_join_it() -> None:
    given = {"type": "namespace", "name": "crm", "description": "Customers.", "tools": [FOUND, {"type": "mcp"}]}
    assert offer([CRM, SEARCH], found(given)) == [("crm", "list"), ("crm", "get_place"), (None, "tool_search")]
    assert offer([SEARCH], found({**given, "description": None})) == [(None, "tool_search"), ("crm", "get_place")]


def test_additional_tools_are_offered() -> None:
    assert offer([], AdditionalTools("", [FOUND])) == [(None, "get_place")]
    request = with_additional_tools(
        ModelRequest(model="m", tools=[LATER, SEARCH]), [AdditionalTools("", [{"type": "custom", "name": "patch"}])]
    )
    assert request.tools == [LATER, SEARCH, CustomTool(name="patch")]
    assert with_additional_tools(ModelRequest(model="m", tools=[LATER]), []).tools == [FunctionTool(name="get_place")]


@pytest.mark.parametrize(
    "tool", [{}, {"type": "mcp"}, {"type": "function"}, "get_place", {"type": "function", "name": 1}]
)
def test_what_is_no_tool_is_left_out(tool: Any) -> None:
    assert offer([TIME], found(tool, FOUND)) == [(None, "get_time"), (None, "get_place")]


def test_the_latest_are_kept_of_very_many() -> None:
    many = [{"type": "function", "name": f"f{number}"} for number in range(MAX_FOUND_TOOLS + 1)]
    assert offer([], found(*many))[0] == (None, "f1")


def test_a_choice_is_a_limit_for_found_tools_too() -> None:
    chosen = ModelRequest(model="m", tools=[CRM, SEARCH], tool_choice=AllowedTools([FunctionChoice("list", "crm")]))
    offered = with_found_tools(chosen, [found(FOUND)]).offered
    assert [callee for callee, _ in list_callees(offered)] == [Callee("function", "list", "crm")]
    whole = ModelRequest(model="m", tools=[CRM, TIME], tool_choice=NamespaceChoice("crm")).offered
    assert whole == [CRM]


def test_what_is_no_tool_is_not_looked_through_without_end() -> None:
    tools: list[dict[str, Any]] = [FOUND, *({} for _ in range(MAX_FOUND_TOOLS))]
    items: list[Item] = [ToolSearchOutput(id="tso_1", status="completed", tools=tools)]
    assert with_found_tools(ModelRequest(model="m"), items).tools == []
    items = [ToolSearchOutput(id="tso_1", status="completed", tools=tools[:-1])]
    assert [
        tool.name for tool in with_found_tools(ModelRequest(model="m"), items).tools if isinstance(tool, FunctionTool)
    ]
