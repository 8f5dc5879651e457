"""What calls are for: each tool that can be called, whatever it stands in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from msgspec import UNSET, UnsetType

from prompts.domain.tools import (
    CallKind,
    CustomTool,
    FileSearchTool,
    FunctionTool,
    LocalShellTool,
    NamespaceTool,
    Tool,
    ToolSearchTool,
)


@dataclass(frozen=True, slots=True)
class Callee:
    """One tool."""

    kind: CallKind
    name: str
    namespace: str | None = None


TOOL_SEARCH = Callee("tool_search", "tool_search")
LOCAL_SHELL = Callee("local_shell", "local_shell")


def as_callee(kind: CallKind, name: str, namespace: str | UnsetType) -> Callee:
    """What an item's call is for."""
    return Callee(kind, name, None if namespace is UNSET else namespace)


def list_callees(tools: Sequence[Tool], namespace: str | None = None) -> Iterator[tuple[Callee, Tool]]:
    """Each of the tools that can be called."""
    for tool in tools:
        match tool:
            case FunctionTool(name=name):
                yield Callee("function", name, namespace), tool
            case CustomTool(name=name):
                yield Callee("custom", name, namespace), tool
            case NamespaceTool(name=name, tools=inner):
                yield from list_callees(inner, name)
            case ToolSearchTool():
                yield TOOL_SEARCH, tool
            case LocalShellTool():
                yield LOCAL_SHELL, tool
            case FileSearchTool():
                pass  # a model is offered a function in its place
            case _:
                assert_never(tool)
