"""A Chat Completions request: `decode_chat` returns it, or raises a 400 in OpenAI's envelope.

Fields that do not change the answer (temperature, seed, user …) are accepted and ignored, as model servers do.
"""

from typing import Annotated, Any, Literal

import msgspec

from standin.chat_completions.content import File, Image, Part, check_file, check_image
from standin.errors import StandInError
from standin.json_body import decode_body

Positive = Annotated[int, msgspec.Meta(ge=1)]


class CalledFunction(msgspec.Struct, frozen=True):
    name: str
    arguments: str = ""


class Call(msgspec.Struct, frozen=True):
    """A tool call: in a message of the request, or in our answer."""

    id: str
    function: CalledFunction
    type: str = "function"


class Message(msgspec.Struct, frozen=True):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None


class Function(msgspec.Struct, frozen=True):
    name: str
    parameters: dict[str, Any] | None = None


class Tool(msgspec.Struct, frozen=True):
    """A tool offered to the model. A request of this protocol has functions only."""

    function: Function
    type: Literal["function"] = "function"


class TextTool(Tool, frozen=True):
    """A tool that is given text, not JSON. Only the Responses protocol offers it."""


class NamedFunction(msgspec.Struct, frozen=True):
    name: str


class NamedChoice(msgspec.Struct, frozen=True, tag_field="type", tag="function"):
    """`tool_choice` that forces one function."""

    function: NamedFunction


class AllowedTools(msgspec.Struct, frozen=True):
    """The tools that may be called; with "required" one must be."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedChoice], msgspec.Meta(min_length=1)]


class AllowedChoice(msgspec.Struct, frozen=True, tag_field="type", tag="allowed_tools"):
    """`tool_choice` that allows some of the tools only."""

    allowed_tools: AllowedTools


Choice = Literal["none", "auto", "required"] | NamedChoice | AllowedChoice


class JsonSchema(msgspec.Struct, frozen=True):
    """The schema inside a `response_format`."""

    name: str
    schema: dict[str, Any] = {}


class ResponseFormat(msgspec.Struct, frozen=True):
    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchema | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool = False


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/chat/completions`."""

    model: str
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[Tool] | None = None
    tool_choice: Choice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    stop: str | Annotated[list[str], msgspec.Meta(max_length=4)] | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=1)] | None = None
    service_tier: str | None = None


def decode_chat(body: bytes) -> ChatRequest:
    """The request in a body. Raises a 400 that names the field."""
    request = decode_body(body, ChatRequest)
    refuse_contradictions(request)
    for place, message in enumerate(request.messages):
        _check_content(message, f"messages[{place}].content")
    return request


def refuse_contradictions(request: ChatRequest) -> None:
    """Raise a 400 for a field that needs another one that is missing."""
    if request.top_logprobs is not None and not request.logprobs:
        raise StandInError(400, "top_logprobs needs logprobs to be true.", param="top_logprobs")
    if request.tool_choice not in (None, "none", "auto") and not request.tools:
        raise StandInError(400, "tool_choice needs tools.", param="tool_choice")
    form = request.response_format
    if form is not None and form.type == "json_schema" and form.json_schema is None:
        raise StandInError(400, "A json_schema format needs a schema.", param="response_format.json_schema")
    names = {tool.function.name for tool in request.tools or ()}
    if not names.issuperset(list_chosen(request)):
        raise StandInError(400, "tool_choice names a function that is not in tools.", param="tool_choice")


def list_chosen(request: ChatRequest) -> list[str]:
    """The names of the functions in `tool_choice`."""
    match request.tool_choice:
        case NamedChoice(function):
            return [function.name]
        case AllowedChoice(allowed):
            return [tool.function.name for tool in allowed.tools]
    return []


def _check_content(message: Message, path: str) -> None:
    for place, part in enumerate(message.content if isinstance(message.content, list) else ()):
        if isinstance(part, Image):
            check_image(part.image_url.url, f"{path}[{place}].image_url.url", broken_code="invalid_base64")
        elif isinstance(part, File):
            check_file(part.file, f"{path}[{place}].file")
