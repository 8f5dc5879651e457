"""A Responses request: `decode_responses` returns it, or raises a 400 in OpenAI's envelope.

The stand-in keeps nothing between requests: each request brings its whole window as input items. An unknown parameter
is refused, as at OpenAI. A parameter that does not change the answer (temperature, metadata, service_tier …) is echoed.
"""

from typing import Annotated, Any, Literal

import msgspec

from standin.errors import StandInError
from standin.json_body import convert_body, decode_body
from standin.responses.input_items import Item, add_message_type

Choice = Literal["none", "auto", "required"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Summary = Literal["auto", "concise", "detailed"]
Tier = Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"]
Include = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Short = Annotated[str, msgspec.Meta(max_length=64)]


ToolName = Annotated[str, msgspec.Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]


class FunctionTool(msgspec.Struct, frozen=True, tag_field="type", tag="function", forbid_unknown_fields=True):
    """A function the model may call."""

    name: ToolName
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class FreeText(msgspec.Struct, frozen=True, tag_field="type", tag="text", forbid_unknown_fields=True):
    """Input of any form."""


class Grammar(msgspec.Struct, frozen=True, tag_field="type", tag="grammar", forbid_unknown_fields=True):
    """Input of a form that nobody checks here."""

    syntax: Literal["lark", "regex"]
    definition: str


class CustomTool(msgspec.Struct, frozen=True, tag_field="type", tag="custom", forbid_unknown_fields=True):
    """A tool that is given text, not JSON."""

    name: ToolName
    description: str | None = None
    format: FreeText | Grammar | None = None


class NamespaceTool(msgspec.Struct, frozen=True, tag_field="type", tag="namespace", forbid_unknown_fields=True):
    """Tools that belong together; a call of one has the namespace beside its name."""

    name: ToolName
    description: str
    tools: Annotated[list[FunctionTool | CustomTool], msgspec.Meta(min_length=1)]


Tool = FunctionTool | CustomTool | NamespaceTool


class NamedTool(msgspec.Struct, frozen=True, tag_field="type", tag="function", forbid_unknown_fields=True):
    """`tool_choice` that forces one function; also one allowed tool."""

    name: str


class NamedCustomTool(msgspec.Struct, frozen=True, tag_field="type", tag="custom", forbid_unknown_fields=True):
    """The same of a custom tool."""

    name: str


class AllowedTools(msgspec.Struct, frozen=True, tag_field="type", tag="allowed_tools", forbid_unknown_fields=True):
    """`tool_choice` that allows some of the tools only."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool | NamedCustomTool], msgspec.Meta(min_length=1, max_length=128)]


class PlainFormat(msgspec.Struct, frozen=True, tag_field="type", tag="text", forbid_unknown_fields=True):
    """Plain text."""


class ObjectFormat(msgspec.Struct, frozen=True, tag_field="type", tag="json_object", forbid_unknown_fields=True):
    """Any JSON object."""


class SchemaFormat(msgspec.Struct, frozen=True, tag_field="type", tag="json_schema", forbid_unknown_fields=True):
    """A document that is valid for a schema."""

    name: Name
    schema: dict[str, Any]
    strict: bool | None = None
    description: str | None = None


class TextConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: PlainFormat | ObjectFormat | SchemaFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class Reasoning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    effort: Effort | None = None
    summary: Summary | None = None
    generate_summary: Summary | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None


class StreamOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of a stream. Nothing is obfuscated here, whatever they say."""

    include_obfuscation: bool | None = None


class ResponsesRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/responses`."""

    model: str
    input: str | Annotated[list[Item], msgspec.Meta(min_length=1)]
    instructions: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    prompt: Any = None
    include: list[Include] | None = None
    tools: list[Tool] | None = None
    tool_choice: Choice | NamedTool | NamedCustomTool | AllowedTools | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, msgspec.Meta(ge=1)] | None = None
    text: TextConfig | None = None
    reasoning: Reasoning | None = None
    max_output_tokens: Annotated[int, msgspec.Meta(ge=16)] | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, msgspec.Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, msgspec.Meta(ge=-2, le=2)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    metadata: (
        Annotated[dict[Short, Annotated[str, msgspec.Meta(max_length=512)]], msgspec.Meta(max_length=16)] | None
    ) = None
    service_tier: Tier | None = None
    safety_identifier: Short | None = None
    prompt_cache_key: Short | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    user: str | None = None

    def includes(self, what: Include) -> bool:
        return what in (self.include or ())

    def list_tools(self) -> list[tuple[str | None, FunctionTool | CustomTool]]:
        """Every tool that can be called, with its namespace."""
        groups = [
            (tool.name, tool.tools) if isinstance(tool, NamespaceTool) else (None, [tool]) for tool in self.tools or ()
        ]
        return [(namespace, tool) for namespace, tools in groups for tool in tools]


def decode_responses(body: bytes) -> ResponsesRequest:
    """The request in a body. Raises a 400 that names the field."""
    fields = decode_body(body, dict[str, Any])
    request = convert_body(
        {**fields, "input": add_message_type(fields["input"])} if "input" in fields else fields, ResponsesRequest
    )
    _refuse_stored_state(request)
    return request


def _refuse_stored_state(request: ResponsesRequest) -> None:
    """Raise a 400 for what needs a server that stores responses."""
    if request.store:
        raise _unsupported("store", "The stand-in keeps nothing: send store: false, and the whole window as input.")
    if request.background:
        raise _unsupported("background", "A response in the background must be stored, and the stand-in keeps nothing.")
    if request.previous_response_id is not None:
        message = f"Previous response with id '{request.previous_response_id}' not found."
        raise StandInError(400, message, code="previous_response_not_found", param="previous_response_id")
    for name in ("conversation", "prompt"):
        if getattr(request, name) is not None:
            raise _unsupported(name, f"The stand-in keeps nothing, so there is no {name} it could know.")


def _unsupported(param: str, message: str) -> StandInError:
    return StandInError(400, message, code="unsupported_parameter", param=param)
