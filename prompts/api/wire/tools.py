"""Tools, formats and thinking as a client asks for them."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from prompts.api.wire.items import NAME, Name
from prompts.api.wire.marks import items
from prompts.api.wire.shapes import convert
from prompts.api.wire.unknown import Unknown
from prompts.api.wire.wording import shorten
from prompts.domain.text import (
    JsonObject,
    JsonSchema,
    PlainText,
    ReasoningConfig,
    TextConfig,
)
from prompts.domain.tools import (
    AllowedTools,
    FunctionChoice,
    FunctionTool,
    Tool,
    ToolChoice,
    ToolMode,
)
from prompts.errors import InvalidRequest

MAX_TOOLS = 128  # OpenAI's limit
# A word of a newer model than this server: its server says whether it takes it.
Word = Annotated[str, Meta(min_length=1, max_length=64)]


class FunctionToolParam(Struct, forbid_unknown_fields=True, kw_only=True):
    """A function that the client can call for the model."""

    type: Literal["function"]
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


# Decoded one by one, so that a kind that this server does not know costs only that tool.
Tools = Annotated[
    list[dict[str, Any]],
    Meta(
        max_length=MAX_TOOLS,
        extra_json_schema=items(
            {
                "type": "object",
                "required": ["type", "name"],
                "properties": {
                    "type": {"const": "function"},
                    "name": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"},
                    "description": {"type": ["string", "null"]},
                    "parameters": {"type": ["object", "null"]},
                    "strict": {"type": ["boolean", "null"]},
                },
                "additionalProperties": False,
            }
        ),
    ),
]


class FunctionChoiceParam(Struct, tag_field="type", tag="function", forbid_unknown_fields=True):
    """This function and no other."""

    name: Name


class AllowedToolsParam(Struct, tag_field="type", tag="allowed_tools", forbid_unknown_fields=True):
    """Only these of the tools; a hard limit."""

    tools: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=MAX_TOOLS)]
    mode: ToolMode = "auto"


ToolChoiceParam: TypeAlias = ToolMode | FunctionChoiceParam | AllowedToolsParam


class PlainTextParam(Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    """Text as it comes."""


class JsonObjectParam(Struct, tag_field="type", tag="json_object", forbid_unknown_fields=True):
    """Any JSON object."""


class JsonSchemaParam(Struct, tag_field="type", tag="json_schema", forbid_unknown_fields=True, kw_only=True):
    """A JSON document that this schema describes."""

    name: Name
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class TextParam(Struct, forbid_unknown_fields=True):
    """How the text of the answer is to be formed."""

    format: PlainTextParam | JsonObjectParam | JsonSchemaParam | None = None
    verbosity: Word | None = None


class ReasoningParam(Struct, forbid_unknown_fields=True):
    """How much the model is to think, and whether it is to say so in short."""

    effort: Word | None = None
    summary: Word | None = None


def read_tools(tools: Sequence[dict[str, Any]] | None, unknown: Unknown) -> list[Tool]:
    """The tools that are offered; those of a kind that nobody runs here are left out. Raises InvalidRequest."""
    read = [_read_tool(tool, f"tools[{index}]", unknown) for index, tool in enumerate(tools or ())]
    return [tool for tool in read if tool is not None]


def read_tool_choice(choice: ToolChoiceParam | None, tools: Sequence[Tool], unknown: Unknown) -> ToolChoice:
    """Which of them the model may call. Raises InvalidRequest for what is not among them."""
    names = {tool.name for tool in tools if isinstance(tool, FunctionTool)}
    match choice:
        case None:
            return "auto"
        case FunctionChoiceParam(name):
            _check_known([name], names, "tool_choice.name")
            return FunctionChoice(name)
        case AllowedToolsParam(allowed, mode):
            return AllowedTools([*_read_allowed(allowed, names, unknown)], mode)
        case "required" if not names:
            message = "Invalid 'tool_choice': 'required' needs 'tools' to choose from."
            raise InvalidRequest(message, param="tool_choice")
    return choice


def _read_allowed(allowed: Sequence[dict[str, Any]], names: set[str], unknown: Unknown) -> list[FunctionChoice]:
    """The choices among tools; one of a kind that nobody runs here is left out, unless it is the only one."""
    chosen: list[FunctionChoice] = []
    for index, each in enumerate(allowed):
        place = f"tool_choice.tools[{index}]"
        if isinstance(kind := each.get("type"), str) and kind != "function":
            unknown.leave_out(place, "tool")
            continue
        chosen.append(FunctionChoice(convert(each, FunctionChoiceParam, place, unknown).name))
    _check_known([each.name for each in chosen], names, "tool_choice.tools")
    if not chosen:
        message = "Invalid 'tool_choice': this server runs none of the tools it names. Choose among functions."
        raise InvalidRequest(message, param="tool_choice.tools")
    return chosen


def read_text(text: TextParam | None) -> TextConfig:
    """The form of the answer."""
    if text is None:
        return TextConfig()
    verbosity = text.verbosity or msgspec.UNSET
    match text.format:
        case JsonSchemaParam(name=name, schema=schema, description=description, strict=strict):
            form = JsonSchema(name=name, schema=schema, description=description, strict=bool(strict))
            return TextConfig(form, verbosity)
        case JsonObjectParam():
            return TextConfig(JsonObject(), verbosity)
    return TextConfig(PlainText(), verbosity)


def read_reasoning(reasoning: ReasoningParam | None) -> ReasoningConfig | None:
    """What is asked of the model's thinking; None when nothing is."""
    if reasoning is None or reasoning == ReasoningParam():
        return None
    return ReasoningConfig(reasoning.effort, reasoning.summary)


def _read_tool(tool: dict[str, Any], param: str, unknown: Unknown) -> FunctionTool | None:
    kind = tool.get("type")
    if isinstance(kind, str) and kind != "function":
        unknown.leave_out(param, "tool")
        return None
    _check_name(tool, param)
    read = convert(tool, FunctionToolParam, param, unknown)
    return FunctionTool(name=read.name, description=read.description, parameters=read.parameters, strict=read.strict)


def _check_name(tool: dict[str, Any], param: str) -> None:
    """Raises InvalidRequest that tells the name: with many tools, a place does not say which one it is."""
    name = tool.get("name")
    if isinstance(name, str) and not NAME.fullmatch(name):
        place = f"{param}.name"
        message = f"Invalid '{place}': must be 1 to 64 letters, digits, '_' or '-', not '{shorten(name)}'."
        raise InvalidRequest(message, param=place)


def _check_known(chosen: Sequence[str], known: set[str], param: str) -> None:
    for name in chosen:
        if name not in known:
            message = f"Invalid '{param}': '{name}' is not among the 'tools'. Offer it there, or choose another one."
            raise InvalidRequest(message, param=param)
