"""Calls of every kind, and their outputs, as a protocol has them that knows functions only."""

from typing import TypeAlias, assert_never

import msgspec

from prompts.adapters.openai.tool_names import ToolNames
from prompts.domain.call_arguments import write_action, write_arguments
from prompts.domain.callees import LOCAL_SHELL, TOOL_SEARCH, as_callee
from prompts.domain.item_words import write_tools
from prompts.domain.items import (
    Call,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    GivenPart,
    InputText,
    Item,
    LocalShellCall,
    LocalShellCallOutput,
    ToolSearchCall,
    ToolSearchOutput,
)

encode = msgspec.json.Encoder().encode

CallOutput: TypeAlias = FunctionCallOutput | CustomToolCallOutput | LocalShellCallOutput | ToolSearchOutput

# The one parameter of a custom tool's function.
INPUT = "input"
_FOUND_NONE = "No tools were found."


def flatten_call(call: Call, names: ToolNames) -> tuple[str, str]:
    """The function's name, and its arguments as JSON; some servers want JSON where there are none."""
    match call:
        case FunctionCall(name=name, namespace=namespace, arguments=arguments):
            return names.get_name(as_callee("function", name, namespace)), arguments if arguments.strip() else "{}"
        case CustomToolCall(name=name, namespace=namespace, input=written):
            return names.get_name(as_callee("custom", name, namespace)), encode({INPUT: written}).decode()
        case LocalShellCall(action=action):
            return names.get_name(LOCAL_SHELL), write_action(action)
        case ToolSearchCall(arguments=arguments):
            return names.get_name(TOOL_SEARCH), write_arguments(arguments)
        case _:
            assert_never(call)


def flatten(item: Item, names: ToolNames) -> Item:
    """The item; a call, or the output of one, as a function's."""
    match item:
        case FunctionCall() | CustomToolCall() | LocalShellCall() | ToolSearchCall() if item.call_id:
            return FunctionCall(item.id, item.status, item.call_id, *flatten_call(item, names))
        case CustomToolCallOutput() | LocalShellCallOutput() | ToolSearchOutput() if item.call_id:
            return FunctionCallOutput(item.id, item.status, item.call_id, list_given(item))
    return item


def list_given(output: CallOutput) -> list[GivenPart]:
    """What the model is told of a call's output."""
    if isinstance(output, ToolSearchOutput):
        return [InputText(write_tools(output.tools) or _FOUND_NONE)]
    return [InputText(output.output)] if isinstance(output.output, str) else output.output
