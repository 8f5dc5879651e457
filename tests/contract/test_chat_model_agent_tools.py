"""`ChatModel`: the tools of agents are called and answered, whichever protocol the model's server speaks."""

import json

import pytest

from prompts.domain.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    LocalShellCall,
    LocalShellCallOutput,
    ShellAction,
    ToolSearchCall,
    ToolSearchOutput,
)
from prompts.domain.signals import CalledTool
from prompts.domain.tools import (
    CustomChoice,
    CustomTool,
    FunctionTool,
    Grammar,
    LocalShellTool,
    NamespaceTool,
    Tool,
    ToolSearchTool,
)
from tests.support.items import said
from tests.support.model_asker import Asker

PATCH = CustomTool(name="apply_patch", format=Grammar("lark", 'start: "*"'))
FIND = FunctionTool(name="find", parameters={"type": "object", "properties": {"name": {"type": "string"}}})
CRM = NamespaceTool(name="crm", description="Customers.", tools=[FIND])
PLACE = {"type": "function", "name": "get_place", "parameters": {"type": "object", "properties": {}}}
TOOLS: list[Tool] = [PATCH, CRM, ToolSearchTool(), LocalShellTool(), FunctionTool(name="later", defer_loading=True)]


async def test_a_custom_tool_is_called_with_text(asker: Asker) -> None:
    heard = await asker.ask('Call apply_patch input="*** Begin: a b, 😀"', tools=TOOLS)
    [called] = heard.called
    assert (called.name, getattr(called, "kind", "")) == ("apply_patch", "custom")
    assert heard.calls == [("apply_patch", "*** Begin: a b, 😀")]
    assert len(heard.signals) > 4, "its input comes in pieces"
    assert heard.finished.reason == "stop"
    forced = await asker.ask("Hello there", tools=TOOLS, tool_choice=CustomChoice("apply_patch"))
    assert forced.calls == [("apply_patch", "Hello there")]


@pytest.mark.parametrize(
    ("question", "callee", "argument"),
    [
        ("Call crm__find name=Ada", ("function", "crm", "find"), "Ada"),
        ("Call tool_search query=place", ("tool_search", None, "tool_search"), "place"),
    ],
)
async def test_a_tool_of_another_kind_is_called(
    asker: Asker, question: str, callee: tuple[str, str | None, str], argument: str
) -> None:
    heard = await asker.ask(question, tools=TOOLS)
    [called] = heard.called
    assert isinstance(called, CalledTool)
    assert (called.kind, called.namespace, called.name) == callee
    [(_, written)] = heard.calls
    assert argument in json.loads(written).values()


async def test_the_shell_is_called(asker: Asker) -> None:
    heard = await asker.ask("Call local_shell", tools=TOOLS)
    [(name, written)] = heard.calls
    assert name == "local_shell"
    assert json.loads(written)["command"]


async def test_a_deferred_tool_is_called_when_a_search_has_found_it(asker: Asker) -> None:
    assert (await asker.ask("Call later", tools=TOOLS)).calls == []
    found = ToolSearchOutput("", "completed", [PLACE], "c1")
    heard = await asker.ask(
        said("user", "Search"), ToolSearchCall("", "completed", {"query": "x"}, "c1"), found, "Call get_place",
        tools=TOOLS,
    )  # fmt: skip
    assert heard.calls == [("get_place", "{}")]


@pytest.mark.parametrize(
    ("call", "output"),
    [
        (
            CustomToolCall("", "completed", "c1", "apply_patch", "x"),
            CustomToolCallOutput("", "completed", "c1", "It is blue."),
        ),
        (
            FunctionCall("", "completed", "c1", "find", "{}", "crm"),
            FunctionCallOutput("", "completed", "c1", "It is blue."),
        ),
        (
            LocalShellCall("", "completed", "c1", ShellAction(["ls"])),
            LocalShellCallOutput("", "completed", "c1", "It is blue."),
        ),
        (
            LocalShellCall("", "completed", "c1", ShellAction(["ls"])),
            FunctionCallOutput("", "completed", "c1", "It is blue."),
        ),
        (
            CustomToolCall("", "completed", "c1", "apply_patch", "x"),
            FunctionCallOutput("", "completed", "c1", "It is blue."),
        ),
    ],
)
async def test_what_a_call_gave_is_told(asker: Asker, call: Item, output: Item) -> None:
    heard = await asker.ask(said("user", "Do it."), call, output, tools=TOOLS)
    assert "It is blue." in heard.text
