"""A Chat Completions request, checked: `decode_chat` returns it or raises a 400 in OpenAI's envelope.

Fields that do not change what the stand-in does (temperature, seed, user …) are accepted and ignored, as model servers
do.
"""

from typing import Annotated, Any, Literal

import msgspec

from embedded.standin.decoding import decode_body
from embedded.standin.errors import StandInError

Positive = Annotated[int, msgspec.Meta(ge=1)]


class CalledFunction(msgspec.Struct, frozen=True):
    """The function an assistant message called."""

    name: str
    arguments: str = ""


class Call(msgspec.Struct, frozen=True):
    """A tool call: in a message of the request, or in our answer."""

    id: str
    function: CalledFunction
    type: str = "function"


class Message(msgspec.Struct, frozen=True):
    """One message as it was sent."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None


class Function(msgspec.Struct, frozen=True):
    """A function the model may call."""

    name: str
    parameters: dict[str, Any] | None = None


class Tool(msgspec.Struct, frozen=True):
    """A tool offered to the model; only functions exist here."""

    function: Function
    type: Literal["function"] = "function"


class NamedFunction(msgspec.Struct, frozen=True):
    """The name inside a named tool choice."""

    name: str


class NamedChoice(msgspec.Struct, frozen=True):
    """`tool_choice` that forces one function."""

    function: NamedFunction
    type: Literal["function"] = "function"


class JsonSchema(msgspec.Struct, frozen=True):
    """The schema inside a `response_format`."""

    name: str
    schema: dict[str, Any] = {}


class ResponseFormat(msgspec.Struct, frozen=True):
    """What the answer must look like."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchema | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    """Options of a stream."""

    include_usage: bool = False


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/chat/completions`."""

    model: str
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    stop: str | Annotated[list[str], msgspec.Meta(max_length=4)] | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=1)] | None = None


def decode_chat(body: bytes) -> ChatRequest:
    """The request in a body. Raises a 400 that names the field."""
    request = decode_body(body, ChatRequest)
    _refuse_contradictions(request)
    return request


def _refuse_contradictions(request: ChatRequest) -> None:
    if request.top_logprobs is not None and not request.logprobs:
        raise StandInError(400, "top_logprobs needs logprobs to be true.", param="top_logprobs")
    if request.tool_choice not in (None, "none", "auto") and not request.tools:
        raise StandInError(400, "tool_choice needs tools.", param="tool_choice")
    form = request.response_format
    if form is not None and form.type == "json_schema" and form.json_schema is None:
        raise StandInError(400, "A json_schema format needs a schema.", param="response_format.json_schema")
    names = {tool.function.name for tool in request.tools or ()}
    if isinstance(request.tool_choice, NamedChoice) and request.tool_choice.function.name not in names:
        raise StandInError(400, "tool_choice names a function that is not in tools.", param="tool_choice")
