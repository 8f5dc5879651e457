"""Translates a Responses request into the Chat Completions request that asks the same.

Instructions become a system message. Calls join the assistant's message before them. Reasoning is checked and left out.
What OpenAI refuses is refused here too: calls without results, results without calls, reasoning that no output follows,
item references, and the wrong kind of content for a role.
"""

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from standin.chat_completions import content
from standin.chat_completions import request as chat
from standin.errors import StandInError
from standin.responses.input_items import (
    CallItem,
    CustomCallItem,
    CustomResultItem,
    InputFile,
    InputImage,
    InputText,
    Item,
    MessageItem,
    OutputRefusal,
    OutputText,
    ReasoningItem,
    ReferenceItem,
    ResultItem,
)
from standin.responses.request import (
    AllowedTools,
    CustomTool,
    FunctionTool,
    NamedCustomTool,
    NamedTool,
    ObjectFormat,
    ResponsesRequest,
    SchemaFormat,
)
from standin.responses.sealing import unseal

_SentPart = InputText | InputImage | InputFile | OutputText | OutputRefusal


def compose_chat_request(request: ResponsesRequest) -> chat.ChatRequest:
    """The same request in the other protocol. Raises a 400 for an input that is not valid."""
    wants_logprobs = request.includes("message.output_text.logprobs")
    composed = chat.ChatRequest(
        model=request.model,
        messages=_list_messages(request),
        stream=request.stream,
        tools=[_compose_tool(tool) for _, tool in request.list_tools()],
        tool_choice=_compose_choice(request),
        parallel_tool_calls=request.parallel_tool_calls,
        response_format=_compose_format(request),
        logprobs=wants_logprobs,
        top_logprobs=request.top_logprobs if wants_logprobs else None,
        max_completion_tokens=request.max_output_tokens,
    )
    chat.refuse_contradictions(composed)
    return composed


def _compose_tool(tool: FunctionTool | CustomTool) -> chat.Tool:
    if isinstance(tool, CustomTool):
        return chat.TextTool(chat.Function(tool.name))
    return chat.Tool(chat.Function(tool.name, tool.parameters))


def _compose_choice(request: ResponsesRequest) -> chat.Choice | None:
    match request.tool_choice:
        case NamedTool(name) | NamedCustomTool(name):
            return chat.NamedChoice(chat.NamedFunction(name))
        case AllowedTools(mode, tools):
            named = [chat.NamedChoice(chat.NamedFunction(tool.name)) for tool in tools]
            return chat.AllowedChoice(chat.AllowedTools(mode, named))
    return request.tool_choice


def _compose_format(request: ResponsesRequest) -> chat.ResponseFormat | None:
    match request.text.format if request.text else None:
        case SchemaFormat() as form:
            return chat.ResponseFormat("json_schema", chat.JsonSchema(form.name, form.schema))
        case ObjectFormat():
            return chat.ResponseFormat("json_object")
    return None


def _list_messages(request: ResponsesRequest) -> list[chat.Message]:
    messages = [chat.Message("system", request.instructions)] if request.instructions else []
    if isinstance(request.input, str):
        return [*messages, chat.Message("user", request.input)]
    _check_pairs(request.input)
    for place, item in enumerate(request.input):
        _append(messages, item, f"input[{place}]")
    return messages


def _append(messages: list[chat.Message], item: Item, path: str) -> None:
    match item:
        case MessageItem():
            messages.append(chat.Message(item.role, _read_message(item, path)))
        case CallItem() | CustomCallItem():
            written = item.input if isinstance(item, CustomCallItem) else item.arguments
            call = chat.Call(item.call_id, chat.CalledFunction(item.name, written))
            if not messages or messages[-1].role != "assistant":
                messages.append(chat.Message("assistant"))
            messages[-1] = msgspec.structs.replace(messages[-1], tool_calls=[*(messages[-1].tool_calls or ()), call])
        case ResultItem() | CustomResultItem():
            said = _read_content(item.output, f"{path}.output")
            messages.append(chat.Message("tool", said, tool_call_id=item.call_id))
        case ReasoningItem():
            _check_reasoning(item, path)
        case ReferenceItem():
            raise _not_found(item.id)


def _read_message(item: MessageItem, path: str) -> str | list[content.Part]:
    written = (OutputText, OutputRefusal)
    supported = (
        "'output_text' and 'refusal'" if item.role == "assistant" else "'input_text', 'input_image' and 'input_file'"
    )
    for place, part in enumerate(item.content if isinstance(item.content, list) else ()):
        if isinstance(part, written) != (item.role == "assistant"):
            message = f"Invalid value: '{part.__struct_config__.tag}'. Supported values are: {supported}."
            raise StandInError(400, message, code="invalid_value", param=f"{path}.content[{place}]")
    return _read_content(item.content, f"{path}.content")


def _read_content(given: str | Sequence[_SentPart], path: str) -> str | list[content.Part]:
    if isinstance(given, str):
        return given
    return [_read_part(part, f"{path}[{place}]") for place, part in enumerate(given)]


def _read_part(part: _SentPart, path: str) -> content.Part:
    match part:
        case InputText(text) | OutputText(text):
            return content.Text(text)
        case OutputRefusal(refusal):
            return content.Refusal(refusal)
        case InputImage():
            return _read_image(part, path)
        case InputFile():
            source = content.FileSource(part.file_data, part.filename, part.file_id, part.file_url)
            content.check_file(source, path)
            return content.File(source)


def _read_image(part: InputImage, path: str) -> content.Image:
    if part.file_id is not None:
        content.check_file(content.FileSource(file_id=part.file_id), path)
    if part.image_url is None:
        message = f"Missing required parameter: '{path}.image_url'."
        raise StandInError(400, message, code="missing_required_parameter", param=f"{path}.image_url")
    content.check_image(part.image_url, f"{path}.image_url", broken_code="invalid_base64_image")
    return content.Image(content.ImageSource(part.image_url, part.detail))


def _check_reasoning(item: ReasoningItem, path: str) -> None:
    """Accept our own sealed reasoning, and plain reasoning text; anything else we would have to have stored."""
    if item.encrypted_content is not None:
        unseal(item.encrypted_content, f"{path}.encrypted_content")
    elif not item.content:
        raise _not_found(item.id)


def _check_pairs(items: Sequence[Item]) -> None:
    called = {item.call_id for item in items if isinstance(item, CallItem | CustomCallItem)}
    answered = {item.call_id for item in items if isinstance(item, ResultItem | CustomResultItem)}
    for loose in sorted(answered - called):
        raise _refuse_input(f"No tool call found for function call output with call_id {loose}.")
    for loose in sorted(called - answered):
        raise _refuse_input(f"No tool output found for function call {loose}.")
    for item, follower in pairwise([*items, None]):
        if isinstance(item, ReasoningItem) and not _is_model_output(follower):
            raise _refuse_input(
                f"Item '{item.id}' of type 'reasoning' was provided without its required following item."
            )


def _is_model_output(item: Item | None) -> bool:
    return isinstance(item, ReasoningItem | CallItem | CustomCallItem) or (
        isinstance(item, MessageItem) and item.role == "assistant"
    )


def _refuse_input(message: str) -> StandInError:
    return StandInError(400, message, param="input")


def _not_found(item_id: str | None) -> StandInError:
    message = (
        f"Item with id '{item_id}' not found. Items are not persisted when `store` is set to false. "
        "Try again with `store` set to true, or remove this item from your input."
    )
    return StandInError(404, message, param="input")
