"""Which of the tools a client lets the model call."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

from msgspec import UNSET, Meta, Struct

from prompts.api.wire.items import Name, Namespace
from prompts.api.wire.marks import items_of
from prompts.api.wire.shapes import convert
from prompts.api.wire.tools import KINDS, MAX_TOOLS
from prompts.api.wire.unknown import Unknown
from prompts.api.wire.wording import shorten
from prompts.domain.tools import (
    AllowedTools,
    CustomChoice,
    FileSearchChoice,
    FileSearchTool,
    FunctionChoice,
    LocalShellChoice,
    NamespaceChoice,
    OneTool,
    Tool,
    ToolChoice,
    ToolMode,
    ToolSearchChoice,
    pick_tools,
)
from prompts.errors import InvalidRequest


class FunctionChoiceParam(Struct, tag_field="type", tag="function", forbid_unknown_fields=True):
    """This function and no other."""

    name: Name
    namespace: Namespace | None = None


class CustomChoiceParam(Struct, tag_field="type", tag="custom", forbid_unknown_fields=True):
    """This custom tool and no other."""

    name: Name
    namespace: Namespace | None = None


class NamespaceChoiceParam(Struct, tag_field="type", tag="namespace", forbid_unknown_fields=True):
    """The tools of this namespace."""

    name: Namespace


class ToolSearchChoiceParam(Struct, tag_field="type", tag="tool_search", forbid_unknown_fields=True):
    """The search for tools."""


class LocalShellChoiceParam(Struct, tag_field="type", tag="local_shell", forbid_unknown_fields=True):
    """The shell on the client's machine."""


class FileSearchChoiceParam(Struct, tag_field="type", tag="file_search", forbid_unknown_fields=True):
    """The search in vector stores."""


OneToolParam: TypeAlias = (
    FunctionChoiceParam
    | CustomChoiceParam
    | NamespaceChoiceParam
    | ToolSearchChoiceParam
    | LocalShellChoiceParam
    | FileSearchChoiceParam
)


class AllowedToolsParam(Struct, tag_field="type", tag="allowed_tools", forbid_unknown_fields=True):
    """Only these of the tools; a hard limit."""

    tools: Annotated[
        list[dict[str, Any]], Meta(min_length=1, max_length=MAX_TOOLS, extra_json_schema=items_of("OneToolParam"))
    ]
    mode: ToolMode = "auto"


ToolChoiceParam: TypeAlias = ToolMode | OneToolParam | AllowedToolsParam


def read_tool_choice(
    choice: ToolChoiceParam | None, tools: Sequence[Tool], unknown: Unknown, *, has_prompt: bool = False
) -> ToolChoice:
    """Which of the tools the model may call. Raises InvalidRequest for what is not among them.

    A prompt may bring a search in files: whether it does is looked at when it is known.
    """
    if has_prompt:
        tools = [*tools, FileSearchTool(vector_store_ids=[])]
    match choice:
        case None:
            return "auto"
        case AllowedToolsParam(allowed, mode):
            return AllowedTools(_read_allowed(allowed, tools, unknown), mode)
        case "required" if not tools:
            message = "Invalid 'tool_choice': 'required' needs 'tools' to choose from."
            raise InvalidRequest(message, param="tool_choice")
        case "none" | "auto" | "required":
            return choice
    return _read_one(choice, tools, "tool_choice")


def _read_allowed(allowed: Sequence[dict[str, Any]], tools: Sequence[Tool], unknown: Unknown) -> list[OneTool]:
    """The choices among the tools; one of a kind that nobody runs here is left out, unless it is the only one."""
    chosen: list[OneTool] = []
    for index, each in enumerate(allowed):
        place = f"tool_choice.tools[{index}]"
        if isinstance(kind := each.get("type"), str) and kind not in KINDS:
            unknown.leave_out(place, "tool")
        else:
            chosen.append(_read_one(convert(each, OneToolParam, place, unknown), tools, "tool_choice.tools"))
    if not chosen:
        message = "Invalid 'tool_choice': this server runs none of the tools it names. Choose among the client's own."
        raise InvalidRequest(message, param="tool_choice.tools")
    return chosen


def _read_one(choice: OneToolParam, tools: Sequence[Tool], param: str) -> OneTool:
    one = _build_choice(choice)
    if not pick_tools(list(tools), [one]):
        name = str(getattr(one, "name", one.__struct_config__.tag))
        place = f"{param}.name" if param == "tool_choice" and hasattr(one, "name") else param
        message = (
            f"Invalid '{place}': '{shorten(name)}' is not among the 'tools'. Offer it there, or choose another one."
        )
        raise InvalidRequest(message, param=place)
    return one


def _build_choice(choice: OneToolParam) -> OneTool:
    match choice:
        case FunctionChoiceParam(name, namespace):
            return FunctionChoice(name, namespace or UNSET)
        case CustomChoiceParam(name, namespace):
            return CustomChoice(name, namespace or UNSET)
        case NamespaceChoiceParam(name):
            return NamespaceChoice(name)
        case ToolSearchChoiceParam():
            return ToolSearchChoice()
        case FileSearchChoiceParam():
            return FileSearchChoice()
    return LocalShellChoice()
