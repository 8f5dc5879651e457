"""Pure: which of a request's tools can be called now: what is deferred waits until a search has found it.

https://developers.openai.com/api/docs/guides/tools-tool-search
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from prompts.domain.items import AdditionalTools, Item, ToolSearchOutput
from prompts.domain.model_request import ModelRequest
from prompts.domain.tools import CustomTool, FunctionTool, NamespaceTool, Tool, ToolSearchTool

# More than anybody's: what a history has found must not grow a request without end.
MAX_FOUND_TOOLS = 256
_WITH_TOOLS = frozenset({ToolSearchOutput, AdditionalTools})


def with_found_tools(request: ModelRequest, items: Sequence[Item]) -> ModelRequest:
    """The request with the tools that can be called: none that are deferred, and all that were found.

    Where nothing searches for tools, the deferred ones are offered as all others are: nobody could find them.
    """
    has_search = bool(request.tools) and any(isinstance(tool, ToolSearchTool) for tool in request.tools)
    offered = [tool for tool in map(_without_deferred, request.tools) if tool] if has_search else request.tools
    found = _list_found(items)
    if not found and offered == request.tools:
        return request
    return replace(request, tools=_merge([*offered, *found]))


def with_additional_tools(request: ModelRequest, items: Sequence[Item]) -> ModelRequest:
    """The request as a server takes it that knows searches for tools: the deferred ones are its own affair."""
    added = _list_found([item for item in items if isinstance(item, AdditionalTools)])
    if any(isinstance(tool, ToolSearchTool) for tool in request.tools):
        return replace(request, tools=_merge([*request.tools, *added])) if added else request
    return replace(request, tools=_merge([*map(_at_once, request.tools), *added]))


def _at_once(tool: Tool) -> Tool:
    """The tool, not deferred: nothing could find it."""
    match tool:
        case FunctionTool() | CustomTool():
            return replace(tool, defer_loading=UNSET)
        case NamespaceTool(tools=inner):
            return replace(tool, tools=[replace(one, defer_loading=UNSET) for one in inner])
    return tool


def _without_deferred(tool: Tool) -> Tool | None:
    match tool:
        case FunctionTool(defer_loading=True) | CustomTool(defer_loading=True):
            return None
        case NamespaceTool(tools=inner):
            ready = [one for one in inner if one.defer_loading is not True]
            return replace(tool, tools=ready) if ready else None
    return tool


def _list_found(items: Sequence[Item]) -> list[Tool]:
    """The last that were found; no more are looked at, whatever a client has put there."""
    if _WITH_TOOLS.isdisjoint(map(type, items)):  # nearly always, and looked for several times a turn
        return []
    given = [tool for item in items if isinstance(item, (ToolSearchOutput, AdditionalTools)) for tool in item.tools]
    return [] if not given else [tool for one in given[-MAX_FOUND_TOOLS:] if (tool := _read_tool(one)) is not None]


def _read_tool(given: Any) -> Tool | None:
    """A found tool; None for one that nobody runs here, or that is none."""
    try:
        tool = msgspec.convert(_readable(given), FunctionTool | CustomTool | NamespaceTool)
    except (msgspec.ValidationError, RecursionError):
        return None
    return _at_once(tool)


def _readable(given: Any) -> Any:
    """The same without null for what is not there, and without what of a namespace is no tool of a known kind."""
    if not isinstance(given, dict):
        return given
    shown = {name: value for name, value in given.items() if value is not None}
    if isinstance(inner := shown.get("tools"), list):
        known = [one for one in inner if isinstance(one, dict) and one.get("type") in ("function", "custom")]
        return {"description": "", **shown, "tools": [_readable(one) for one in known]}
    return shown


def _merge(tools: Sequence[Tool]) -> list[Tool]:
    """Each tool once: the tools of a namespace together, and of several with one name the first."""
    merged: dict[tuple[type[Tool], str], Tool] = {}
    for tool in tools:
        key = type(tool), getattr(tool, "name", "")
        known = merged.get(key)
        if isinstance(known, NamespaceTool) and isinstance(tool, NamespaceTool):
            names = {(type(one), one.name) for one in known.tools}
            new = [one for one in tool.tools if (type(one), one.name) not in names]
            merged[key] = replace(known, tools=[*known.tools, *new])
        elif known is None:
            merged[key] = tool
    return [*merged.values()]
