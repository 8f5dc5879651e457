"""Tools that a model is offered, and which of them it may call.

The client runs all of them but `FileSearchTool`. `parameters` are JSON schemas.
"""

from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from prompts.domain.passages import Comparison, Compound, Filter


class FunctionTool(Struct, frozen=True, tag_field="type", tag="function", kw_only=True):
    """A function: the model writes its arguments as JSON.

    One with `defer_loading` is offered only after a search for tools has found it.
    """

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    defer_loading: bool | UnsetType = UNSET


class FreeText(Struct, frozen=True, tag_field="type", tag="text"):
    """Input of any form."""


class Grammar(Struct, frozen=True, tag_field="type", tag="grammar"):
    """Input that a grammar describes."""

    syntax: Literal["lark", "regex"]
    definition: str


CustomFormat: TypeAlias = FreeText | Grammar


class CustomTool(Struct, frozen=True, tag_field="type", tag="custom", kw_only=True):
    """A tool whose input is text as the model writes it, and not JSON."""

    name: str
    description: str | None = None
    format: CustomFormat = FreeText()
    defer_loading: bool | UnsetType = UNSET


class NamespaceTool(Struct, frozen=True, tag_field="type", tag="namespace", kw_only=True):
    """Tools that belong together; a call of one says the namespace beside the tool's own name."""

    name: str
    description: str
    tools: list[FunctionTool | CustomTool]


class ToolSearchTool(Struct, frozen=True, tag_field="type", tag="tool_search", kw_only=True):
    """A search for tools that the model is not offered yet; the client searches."""

    execution: Literal["client"] = "client"
    description: str | None = None
    parameters: dict[str, Any] | None = None


class LocalShellTool(Struct, frozen=True, tag_field="type", tag="local_shell"):
    """A shell on the client's machine."""


class HybridWeights(Struct, frozen=True):
    """What the two halves of a hybrid search weigh."""

    embedding_weight: float = 1.0
    text_weight: float = 1.0


class RankingOptions(Struct, frozen=True, kw_only=True):
    """How what is found is weighed."""

    ranker: str = "auto"
    score_threshold: float = 0.0
    hybrid_search: HybridWeights | UnsetType = UNSET


class FileSearchTool(Struct, frozen=True, tag_field="type", tag="file_search", kw_only=True):
    """A search in vector stores, which the service makes.

    `when` is "always" where it is made before the model is asked, and the model is not offered it.
    """

    vector_store_ids: list[str]
    filters: dict[str, Any] | None = None
    """As the client wrote it; `build_filter` reads it."""
    max_num_results: int = 20
    ranking_options: RankingOptions = RankingOptions()
    when: Literal["auto", "always"] | UnsetType = field(default=UNSET, name="eps:when")


def build_filter(written: dict[str, Any] | None) -> Filter | None:
    """The filter of a tool whose request was checked. Raises msgspec.ValidationError for one that was not."""
    if written is None:
        return None
    if written.get("type") not in ("and", "or"):
        return msgspec.convert(written, Comparison)
    compound = msgspec.convert(written, Compound)
    return Compound(type=compound.type, filters=[build_filter(each) for each in compound.filters])


CallKind: TypeAlias = Literal["function", "custom", "local_shell", "tool_search"]
"""What a call can be a call of."""
Tool: TypeAlias = FunctionTool | CustomTool | NamespaceTool | ToolSearchTool | LocalShellTool | FileSearchTool


class FunctionChoice(Struct, frozen=True, tag_field="type", tag="function"):
    """This function and no other."""

    name: str
    namespace: str | UnsetType = UNSET


class CustomChoice(Struct, frozen=True, tag_field="type", tag="custom"):
    """This custom tool and no other."""

    name: str
    namespace: str | UnsetType = UNSET


class NamespaceChoice(Struct, frozen=True, tag_field="type", tag="namespace"):
    """The tools of this namespace."""

    name: str


class ToolSearchChoice(Struct, frozen=True, tag_field="type", tag="tool_search"):
    """The search for tools."""


class LocalShellChoice(Struct, frozen=True, tag_field="type", tag="local_shell"):
    """The shell."""


class FileSearchChoice(Struct, frozen=True, tag_field="type", tag="file_search"):
    """The search in vector stores."""


ToolMode: TypeAlias = Literal["none", "auto", "required"]
OneTool: TypeAlias = (
    FunctionChoice | CustomChoice | NamespaceChoice | ToolSearchChoice | LocalShellChoice | FileSearchChoice
)


class AllowedTools(Struct, frozen=True, tag_field="type", tag="allowed_tools"):
    """Only these of the tools."""

    tools: list[OneTool]
    mode: ToolMode = "auto"


ToolChoice: TypeAlias = ToolMode | OneTool | AllowedTools


def is_chosen(tool: Tool, choice: OneTool, namespace: str | UnsetType = UNSET) -> bool:
    """Whether the choice is about this tool; `namespace` is where the tool stands, if in one."""
    match choice:
        case NamespaceChoice(name):
            return name == (tool.name if isinstance(tool, NamespaceTool) else namespace)
        case FunctionChoice(name, where):
            return isinstance(tool, FunctionTool) and (tool.name, namespace) == (name, where)
        case CustomChoice(name, where):
            return isinstance(tool, CustomTool) and (tool.name, namespace) == (name, where)
        case ToolSearchChoice():
            return isinstance(tool, ToolSearchTool)
        case LocalShellChoice():
            return isinstance(tool, LocalShellTool)
        case FileSearchChoice():
            return isinstance(tool, FileSearchTool)


def pick_tools(tools: list[Tool], choices: list[OneTool]) -> list[Tool]:
    """The tools that any of the choices is about; of a namespace, what is left of it."""
    picked: list[Tool] = []
    for tool in tools:
        if any(is_chosen(tool, choice) for choice in choices):
            picked.append(tool)
        elif isinstance(tool, NamespaceTool):
            inner = [one for one in tool.tools if any(is_chosen(one, choice, tool.name) for choice in choices)]
            picked += [NamespaceTool(name=tool.name, description=tool.description, tools=inner)] if inner else []
    return picked
