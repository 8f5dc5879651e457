"""Tools as a client offers them."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, field

from prompts.api.wire.filters import FilterParam, read_filter
from prompts.api.wire.ids import VectorStoreId
from prompts.api.wire.items import NAME, Name, Namespace
from prompts.api.wire.marks import items_of
from prompts.api.wire.shapes import convert
from prompts.api.wire.unknown import Unknown
from prompts.api.wire.wording import shorten
from prompts.domain.tools import (
    CustomTool,
    FileSearchTool,
    FreeText,
    FunctionTool,
    Grammar,
    HybridWeights,
    LocalShellTool,
    NamespaceTool,
    RankingOptions,
    Tool,
    ToolSearchTool,
)
from prompts.errors import InvalidRequest
from prompts.ports.passage_index import MAX_FOUND

MAX_TOOLS = 128  # OpenAI's limit, of one list
# With those of namespaces. Agents with many servers of tools offer some hundreds.
MAX_TOOLS_IN_ALL = 1_000
# Of one search: each of them is asked.
MAX_STORES = 16
DEFAULT_RESULTS = 20  # OpenAI's


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


class HybridWeightsParam(Struct, forbid_unknown_fields=True):
    """What vectors and words weigh in a search that uses both."""

    embedding_weight: Annotated[float, Meta(ge=0)]
    text_weight: Annotated[float, Meta(ge=0)]


class RankingOptionsParam(Struct, forbid_unknown_fields=True):
    """How what is found is weighed, and from which score on it is taken."""

    ranker: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    score_threshold: Annotated[float, Meta(ge=0, le=1)] | None = None
    hybrid_search: HybridWeightsParam | None = None


class FileSearchToolParam(Struct, tag_field="type", tag="file_search", forbid_unknown_fields=True, kw_only=True):
    """A search in vector stores, which this server makes."""

    vector_store_ids: Annotated[list[VectorStoreId], Meta(min_length=1, max_length=MAX_STORES)]
    filters: FilterParam | None = None
    max_num_results: Annotated[int, Meta(ge=1, le=MAX_FOUND)] | None = None
    ranking_options: RankingOptionsParam | None = None
    when: (
        Annotated[
            Literal["auto", "always"],
            Meta(description="When the search is made: when the model wants it, or once before it is asked."),
        ]
        | None
    ) = field(default=None, name="eps:when")


ToolParam: TypeAlias = (
    InnerToolParam | NamespaceToolParam | ToolSearchToolParam | LocalShellToolParam | FileSearchToolParam
)

INNER_KINDS = ("function", "custom")
KINDS = (*INNER_KINDS, "namespace", "tool_search", "local_shell", "file_search")
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
        case FileSearchToolParam():
            return _build_search(read, param)


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


def _build_search(read: FileSearchToolParam, param: str) -> FileSearchTool:
    """Raises InvalidRequest for a filter that is none."""
    if read.filters is not None:
        read_filter(read.filters, f"{param}.filters")
    options = read.ranking_options or RankingOptionsParam()
    weights: HybridWeights | UnsetType = UNSET
    if hybrid := options.hybrid_search:
        if not hybrid.embedding_weight + hybrid.text_weight:
            place = f"{param}.ranking_options.hybrid_search"
            raise InvalidRequest(f"Invalid '{place}': one of its weights must be above 0.", param=place)
        weights = HybridWeights(hybrid.embedding_weight, hybrid.text_weight)
    return FileSearchTool(
        vector_store_ids=[*dict.fromkeys(read.vector_store_ids)],
        filters=read.filters,
        max_num_results=read.max_num_results or DEFAULT_RESULTS,
        ranking_options=RankingOptions(
            ranker=options.ranker or "auto",
            score_threshold=options.score_threshold or 0.0,
            hybrid_search=weights,
        ),
        when=read.when or UNSET,
    )


def _check_name(tool: dict[str, Any], param: str) -> None:
    """Raises InvalidRequest that tells the name: with many tools, a place does not say which one it is."""
    name = tool.get("name")
    if tool.get("type") in INNER_KINDS and isinstance(name, str) and not NAME.fullmatch(name):
        place = f"{param}.name"
        message = f"Invalid '{place}': must be 1 to 64 letters, digits, '_' or '-', not '{shorten(name)}'."
        raise InvalidRequest(message, param=place)
