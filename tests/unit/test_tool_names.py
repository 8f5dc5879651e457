"""`ToolNames` gives every tool a flat name that fits, and finds the tool that a model means."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts.adapters.openai.tool_names import ToolNames
from prompts.domain.callees import LOCAL_SHELL, TOOL_SEARCH, Callee, list_callees
from prompts.domain.tools import CustomTool, FunctionTool, LocalShellTool, NamespaceTool, Tool, ToolSearchTool

FIT = re.compile(r"[a-zA-Z0-9_-]{1,64}")
PATCH = CustomTool(name="apply_patch")
NAMES = st.text(st.sampled_from("ab_.é "), min_size=1, max_size=80)
TOOLS = st.one_of(
    st.builds(FunctionTool, name=NAMES),
    st.builds(CustomTool, name=NAMES),
    st.builds(
        NamespaceTool,
        name=NAMES,
        description=st.just(""),
        tools=st.lists(st.builds(FunctionTool, name=NAMES) | st.builds(CustomTool, name=NAMES), max_size=3),
    ),
    st.just(ToolSearchTool()),
    st.just(LocalShellTool()),
)


def namespace(name: str, *functions: str) -> NamespaceTool:
    """A namespace of functions."""
    return NamespaceTool(name=name, description="", tools=[FunctionTool(name=each) for each in functions])


def test_plain_tools_keep_their_names() -> None:
    names = ToolNames([FunctionTool(name="get_time"), PATCH, ToolSearchTool(), LocalShellTool()])
    assert [name for name, _, _ in names.functions] == ["get_time", "apply_patch", "tool_search", "local_shell"]
    assert names.find("apply_patch") == Callee("custom", "apply_patch")
    assert names.find("tool_search") == TOOL_SEARCH
    assert names.get_name(LOCAL_SHELL) == "local_shell"
    assert names.find("get_place") is None


@pytest.mark.parametrize(
    ("space", "flat"),
    [("crm", "crm__find"), ("mcp__files__", "mcp__files__find"), ("a b", "a_b__find_"), ("n" * 80, "n" * 55 + "_")],
)
def test_a_namespace_stands_in_front(space: str, flat: str) -> None:
    [(name, callee, _)] = ToolNames([namespace(space, "find")]).functions
    assert name.startswith(flat)
    assert FIT.fullmatch(name)
    assert callee == Callee("function", "find", space)
    assert ToolNames().get_name(callee) == name, "a history's call has it when the tool is offered no more"


@pytest.mark.parametrize("said", ["crm__find", "find", "crm.find", "crm/find", "crm:find", "crm_find", "crmfind"])
def test_a_model_may_say_it_otherwise(said: str) -> None:
    names = ToolNames([namespace("crm", "find"), FunctionTool(name="list")])
    assert names.find(said) == Callee("function", "find", "crm")


def test_a_name_that_two_tools_have_is_nobodys() -> None:
    assert ToolNames([namespace("crm", "find"), namespace("shop", "find")]).find("find") is None
    both = ToolNames([namespace("crm", "find"), FunctionTool(name="find")])
    assert both.find("find") == Callee("function", "find")


@settings(deadline=None)  # the machine is shared
@given(st.lists(TOOLS, max_size=6))
def test_any_tools_have_different_names_that_fit(tools: list[Tool]) -> None:
    names = ToolNames(tools)
    flat = [name for name, _, _ in names.functions]
    assert len(set(flat)) == len(flat)
    assert all(map(FIT.fullmatch, flat))
    callees = {callee for callee, _ in list_callees(tools)}
    assert {names.find(names.get_name(callee)) for callee in callees} == callees
    assert flat == [name for name, _, _ in ToolNames(tools).functions]
