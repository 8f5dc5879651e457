"""Tools as a client offers them."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct

from prompts.api.wire.items import NAME, Name, Namespace
from prompts.api.wire.marks import items
from prompts.api.wire.parts import missing
from prompts.api.wire.shapes import convert
from prompts.api.wire.unknown import Unknown
from prompts.api.wire.wording import shorten
from prompts.domain.tools import (
    CustomFormat,
    CustomTool,
    FreeText,
    FunctionTool,
    Grammar,
    LocalShellTool,
    NamespaceTool,
    Tool,
    ToolSearchTool,
)
from prompts.errors import InvalidRequest

MAX_TOOLS = 128  # OpenAI's limit, of one list
# With those of namespaces. Agents with many servers of tools offer some hundreds.
MAX_TOOLS_IN_ALL = 1_000
# What the list may hold, for the document.
TOOLS_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {
            "type": "object",
            "required": ["type", "name"],
            "properties": {
                "type": {"const": kind},
                "name": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"},
                "description": {"type": ["string", "null"]},
                "defer_loading": {"type": ["boolean", "null"]},
                **more,
            },
            "additionalProperties": False,
        }
        for kind, more in (
            ("function", {"parameters": {"type": ["object", "null"]}, "strict": {"type": ["boolean", "null"]}}),
            ("custom", {}),
        )
    ]
}


class FunctionToolParam(Struct, forbid_unknown_fields=True, kw_only=True):
    """A function that the client can call for the model."""

    type: Literal["function"]
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    defer_loading: bool | None = None


class FreeTextParam(Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    """Input of any form."""


class GrammarParam(Struct, tag_field="type", tag="grammar", forbid_unknown_fields=True):
    """Input that a grammar describes."""

    syntax: Literal["lark", "regex"]
    definition: str


class CustomToolParam(Struct, forbid_unknown_fields=True, kw_only=True):
    """A tool of the client's whose input is text, and not JSON."""

    type: Literal["custom"]
    name: Name
    description: str | None = None
    format: FreeTextParam | GrammarParam | None = None
    defer_loading: bool | None = None


class NamespaceToolParam(Struct, forbid_unknown_fields=True, kw_only=True):
    """Functions and custom tools that belong together."""

    type: Literal["namespace"]
    name: Namespace
    description: str | None = None
    tools: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=MAX_TOOLS)]


class ToolSearchToolParam(Struct, forbid_unknown_fields=True, kw_only=True):
    """A search for more tools, which the client makes."""

    type: Literal["tool_search"]
    execution: Literal["client"]
    description: str | None = None
    parameters: dict[str, Any] | None = None


class LocalShellToolParam(Struct, forbid_unknown_fields=True):
    """A shell on the client's machine."""

    type: Literal["local_shell"]


ToolParam: TypeAlias = (
    FunctionToolParam | CustomToolParam | NamespaceToolParam | ToolSearchToolParam | LocalShellToolParam
)

# Decoded one by one, so that a kind that this server does not know costs only that tool.
Tools = Annotated[list[dict[str, Any]], Meta(max_length=MAX_TOOLS, extra_json_schema=items(TOOLS_SCHEMA))]


def read_tools(tools: Sequence[dict[str, Any]] | None, unknown: Unknown) -> list[Tool]:
    """The tools that are offered; those of a kind that nobody runs here are left out. Raises InvalidRequest."""
    read = [_read_tool(tool, f"tools[{index}]", unknown) for index, tool in enumerate(tools or ())]
    offered = [tool for tool in read if tool is not None]
    if sum(len(tool.tools) if isinstance(tool, NamespaceTool) else 1 for tool in offered) > MAX_TOOLS_IN_ALL:
        message = (
            f"Invalid 'tools': has more than {MAX_TOOLS_IN_ALL:,} tools, those of namespaces included. Offer fewer."
        )
        raise InvalidRequest(message, param="tools")
    return offered


def _read_tool(tool: dict[str, Any], param: str, unknown: Unknown) -> Tool | None:
    """The tool; None for one that nobody runs here, which is named."""
    match tool.get("type"):
        case "function":
            return _read_function(tool, param, unknown)
        case "custom":
            return _read_custom(tool, param, unknown)
        case "namespace":
            return _read_namespace(tool, param, unknown)
        case "tool_search" if tool.get("execution") == "client":
            search: ToolSearchToolParam = convert(tool, ToolSearchToolParam, param, unknown)
            return ToolSearchTool(description=search.description, parameters=search.parameters)
        case "local_shell":
            convert(tool, LocalShellToolParam, param, unknown)
            return LocalShellTool()
        case str():
            unknown.leave_out(param, "tool")
            return None
    if tool.get("type") is None:
        raise missing(f"{param}.type")
    raise InvalidRequest(f"Invalid '{param}.type': must be a string.", param=f"{param}.type")


def _read_function(tool: dict[str, Any], param: str, unknown: Unknown) -> FunctionTool:
    _check_name(tool, param)
    read: FunctionToolParam = convert(tool, FunctionToolParam, param, unknown)
    return FunctionTool(
        name=read.name,
        description=read.description,
        parameters=read.parameters,
        strict=read.strict,
        defer_loading=UNSET if read.defer_loading is None else read.defer_loading,
    )


def _read_custom(tool: dict[str, Any], param: str, unknown: Unknown) -> CustomTool:
    _check_name(tool, param)
    read: CustomToolParam = convert(tool, CustomToolParam, param, unknown)
    match read.format:
        case GrammarParam(syntax, definition):
            form: CustomFormat = Grammar(syntax, definition)
        case _:
            form = FreeText()
    return CustomTool(
        name=read.name,
        description=read.description,
        format=form,
        defer_loading=UNSET if read.defer_loading is None else read.defer_loading,
    )


def _read_namespace(tool: dict[str, Any], param: str, unknown: Unknown) -> NamespaceTool | None:
    """A namespace whose tools all are of kinds that nobody runs here is left out with them."""
    read: NamespaceToolParam = convert(tool, NamespaceToolParam, param, unknown)
    inner: list[FunctionTool | CustomTool] = []
    for index, each in enumerate(read.tools):
        place = f"{param}.tools[{index}]"
        match each.get("type"):
            case "function":
                inner.append(_read_function(each, place, unknown))
            case "custom":
                inner.append(_read_custom(each, place, unknown))
            case _:
                unknown.leave_out(place, "tool")
    return NamespaceTool(name=read.name, description=read.description or "", tools=inner) if inner else None


def _check_name(tool: dict[str, Any], param: str) -> None:
    """Raises InvalidRequest that tells the name: with many tools, a place does not say which one it is."""
    name = tool.get("name")
    if isinstance(name, str) and not NAME.fullmatch(name):
        place = f"{param}.name"
        message = f"Invalid '{place}': must be 1 to 64 letters, digits, '_' or '-', not '{shorten(name)}'."
        raise InvalidRequest(message, param=place)
