"""Tools of every kind as functions, for a protocol that knows nothing else."""

from typing import assert_never

from msgspec import UNSET
from msgspec.structs import replace

from prompts.adapters.openai.flat_calls import INPUT
from prompts.adapters.openai.tool_names import ToolNames
from prompts.domain.tools import (
    AllowedTools,
    CustomTool,
    FileSearchTool,
    FunctionChoice,
    FunctionTool,
    Grammar,
    LocalShellTool,
    NamespaceChoice,
    NamespaceTool,
    Tool,
    ToolChoice,
    ToolSearchTool,
)

_RAW = "The whole input as it is: raw text, and no JSON of its own."
_INPUT_PARAMETERS = {
    "type": "object",
    "properties": {INPUT: {"type": "string", "description": _RAW}},
    "required": [INPUT],
    "additionalProperties": False,
}
_SEARCH = "Searches for more tools. Those that it finds can be called afterwards."
_SEARCH_PARAMETERS = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "description": "What the tool is to do, in a few words."},
        "limit": {"type": "number", "description": "How many tools to find at most."},
    },
    "required": ["query"],
    "additionalProperties": False,
}
_SHELL = "Runs a command on the user's machine and returns its output."
# The form that models know from OpenAI's agents (openai/codex, `shell`).
_SHELL_PARAMETERS = {
    "type": "object",
    "properties": {
        "command": {
            "type": "array",
            "items": {"type": "string"},
            "description": 'The program and its arguments, for example ["bash", "-lc", "ls"].',
        },
        "workdir": {"type": "string", "description": "The directory to run it in."},
        "timeout_ms": {"type": "number", "description": "After how many milliseconds it is stopped."},
    },
    "required": ["command"],
    "additionalProperties": False,
}


def as_function(name: str, tool: Tool) -> FunctionTool:
    """The tool as a function, under its flat name."""
    match tool:
        case FunctionTool():
            return replace(tool, name=name, defer_loading=UNSET)
        case CustomTool():
            return FunctionTool(name=name, description=_describe(tool), parameters=_INPUT_PARAMETERS)
        case ToolSearchTool(description=description, parameters=parameters):
            about, form = description or _SEARCH, parameters or _SEARCH_PARAMETERS
            return FunctionTool(name=name, description=about, parameters=form)
        case LocalShellTool():
            return FunctionTool(name=name, description=_SHELL, parameters=_SHELL_PARAMETERS)
        case NamespaceTool():
            raise AssertionError("a namespace is offered as its tools")
        case FileSearchTool():
            raise AssertionError("a hosted tool is offered as a function")
        case _:
            assert_never(tool)


def flatten_choice(choice: ToolChoice, names: ToolNames) -> ToolChoice:
    """The choice among functions of which nothing is offered that was not chosen."""
    match choice:
        case "none" | "auto" | AllowedTools(mode="none" | "auto"):
            return "auto"
        case "required" | AllowedTools() | NamespaceChoice():
            return "required"
    return FunctionChoice(names.functions[0][0]) if names.functions else "auto"


def _describe(tool: CustomTool) -> str:
    """What it is for, and how its input must look: no server can be relied on to hold the model to the grammar."""
    about = [tool.description] if tool.description else []
    match tool.format:
        case Grammar(syntax="lark", definition=definition):
            about.append(f"The input must match this Lark grammar:\n{definition}")
        case Grammar(definition=definition):
            about.append(f"The input must match this regular expression:\n{definition}")
    return "\n\n".join([*about, f"Write the input as the string '{INPUT}'."])
