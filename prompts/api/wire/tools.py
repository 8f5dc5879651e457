"""Tools as a client offers them."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct

from prompts.api.wire.items import NAME, Name, Namespace
from prompts.api.wire.marks import items_of
from prompts.api.wire.shapes import convert
from prompts.api.wire.unknown import Unknown
from prompts.api.wire.wording import shorten
from prompts.domain.tools import (
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


class FunctionToolParam(Struct, tag_field="type", tag="function", forbid_unknown_fields=True, kw_only=True):
    """A function that the client can call for the model."""

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


class CustomToolParam(Struct, tag_field="type", tag="custom", forbid_unknown_fields=True, kw_only=True):
    """A tool of the client's whose input is text, and not JSON."""

    name: Name
    description: str | None = None
    format: FreeTextParam | GrammarParam | None = None
    defer_loading: bool | None = None


InnerToolParam: TypeAlias = FunctionToolParam | CustomToolParam


class NamespaceToolParam(Struct, tag_field="type", tag="namespace", forbid_unknown_fields=True, kw_only=True):
    """Functions and custom tools that belong together."""

    name: Namespace
    description: str | None = None
    tools: Annotated[
        list[dict[str, Any]], Meta(min_length=1, max_length=MAX_TOOLS, extra_json_schema=items_of("InnerToolParam"))
    ]


class ToolSearchToolParam(Struct, tag_field="type", tag="tool_search", forbid_unknown_fields=True, kw_only=True):
    """A search for more tools, which the client makes."""

    execution: Literal["client"]
    description: str | None = None
    parameters: dict[str, Any] | None = None


class LocalShellToolParam(Struct, tag_field="type", tag="local_shell", forbid_unknown_fields=True):
    """A shell on the client's machine."""


ToolParam: TypeAlias = InnerToolParam | NamespaceToolParam | ToolSearchToolParam | LocalShellToolParam

INNER_KINDS = ("function", "custom")
KINDS = (*INNER_KINDS, "namespace", "tool_search", "local_shell")
# Decoded one by one, so that a kind that this server does not know costs only that tool.
Tools = Annotated[list[dict[str, Any]], Meta(max_length=MAX_TOOLS, extra_json_schema=items_of("ToolParam"))]


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
    if _is_left_out(tool, KINDS, param, unknown):
        return None
    _check_name(tool, param)
    read: ToolParam = convert(tool, ToolParam, param, unknown)
    match read:
        case FunctionToolParam() | CustomToolParam():
            return _build_inner(read)
        case NamespaceToolParam():
            return _build_namespace(read, param, unknown)
        case ToolSearchToolParam(description=description, parameters=parameters):
            return ToolSearchTool(description=description, parameters=parameters)
        case LocalShellToolParam():
            return LocalShellTool()


def _is_left_out(tool: dict[str, Any], kinds: Sequence[str], param: str, unknown: Unknown) -> bool:
    """Whether nobody runs the tool here; then it is named."""
    kind = tool.get("type")
    is_hosted = kind == "tool_search" and tool.get("execution") in (None, "server")
    if not isinstance(kind, str) or (kind in kinds and not is_hosted):
        return False
    unknown.leave_out(param, "tool")
    return True


def _build_inner(read: InnerToolParam) -> FunctionTool | CustomTool:
    deferred = UNSET if read.defer_loading is None else read.defer_loading
    if isinstance(read, CustomToolParam):
        form = (
            Grammar(read.format.syntax, read.format.definition) if isinstance(read.format, GrammarParam) else FreeText()
        )
        return CustomTool(name=read.name, description=read.description, format=form, defer_loading=deferred)
    return FunctionTool(
        name=read.name,
        description=read.description,
        parameters=read.parameters,
        strict=read.strict,
        defer_loading=deferred,
    )


def _build_namespace(read: NamespaceToolParam, param: str, unknown: Unknown) -> NamespaceTool | None:
    """A namespace whose tools all are of kinds that nobody runs here is left out with them."""
    inner: list[FunctionTool | CustomTool] = []
    for index, tool in enumerate(read.tools):
        place = f"{param}.tools[{index}]"
        if not _is_left_out(tool, INNER_KINDS, place, unknown):
            _check_name(tool, place)
            inner.append(_build_inner(convert(tool, InnerToolParam, place, unknown)))
    return NamespaceTool(name=read.name, description=read.description or "", tools=inner) if inner else None


def _check_name(tool: dict[str, Any], param: str) -> None:
    """Raises InvalidRequest that tells the name: with many tools, a place does not say which one it is."""
    name = tool.get("name")
    if tool.get("type") in INNER_KINDS and isinstance(name, str) and not NAME.fullmatch(name):
        place = f"{param}.name"
        message = f"Invalid '{place}': must be 1 to 64 letters, digits, '_' or '-', not '{shorten(name)}'."
        raise InvalidRequest(message, param=place)
