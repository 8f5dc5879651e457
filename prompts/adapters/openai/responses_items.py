"""Items as the input of a Responses request: the whole window, since nothing is kept at the model's side.

An item goes without its id and status: they are ours, and a server that keeps nothing would look for them. OpenAI even
ties a thought's seal to the id it gave itself (BerriAI/litellm#15782), and takes no status of a thought.
"""

from collections.abc import Sequence
from typing import Any, assert_never

import msgspec
from msgspec import UNSET

from prompts.adapters.openai.files import as_data_uri
from prompts.adapters.openai.flat_calls import CallOutput, list_given
from prompts.adapters.openai.kept_thoughts import is_kept_here
from prompts.adapters.openai.told_records import tell_record
from prompts.domain.hosted_records import HostedRecord
from prompts.domain.item_kinds import find_answered_call, find_made_call, find_speaker
from prompts.domain.items import (
    AdditionalTools,
    Call,
    Compaction,
    CustomToolCall,
    CustomToolCallOutput,
    FileSearchCall,
    FunctionCall,
    FunctionCallOutput,
    GivenPart,
    InputFile,
    InputImage,
    InputText,
    Item,
    LocalShellCall,
    LocalShellCallOutput,
    Message,
    OutputText,
    Part,
    Reasoning,
    Refusal,
    ToolSearchCall,
    ToolSearchOutput,
    words_of,
)

# Many chat templates know no developer; OpenAI's newer models take the one for the other.
_ROLES = {"developer": "system"}
# OpenAI refuses a file's data without a name (langchain-ai/langchainjs#10614).
_UNNAMED = "file"


def compose_input(items: Sequence[Item]) -> list[dict[str, Any]]:
    """The items as `compose_items` gives them, each seal of a thought the model's own, each compaction opened."""
    composed: list[dict[str, Any]] = []
    is_models_next = False  # a thought that nothing of the model's follows is refused
    for item, call in zip(reversed(items), reversed(_find_calls(items)), strict=True):
        sent = _compose(item, call)
        if sent is not None and (is_models_next or not isinstance(item, Reasoning)):
            composed.append(sent)
            is_models_next = find_speaker(item) == "model"
    composed.reverse()
    return composed


def compose_said(text: str) -> dict[str, Any]:
    """A message of the model's."""
    return {"type": "message", "role": "assistant", "content": [_output_text(text)]}


def _find_calls(items: Sequence[Item]) -> list[Item | None]:
    """For each item the call whose output it is."""
    made: dict[str, Item] = {}
    calls: list[Item | None] = []
    for item in items:
        if call_id := find_made_call(item):
            made[call_id] = item
        calls.append(made.get(find_answered_call(item) or ""))
    return calls


def _compose(item: Item, call: Item | None) -> dict[str, Any] | None:
    """One item; None when there is nothing to send of it."""
    match item:
        case Message():
            return _message(item)
        case FunctionCall() | CustomToolCall() | LocalShellCall() | ToolSearchCall():
            return _call(item)
        case FunctionCallOutput() | CustomToolCallOutput() | LocalShellCallOutput() | ToolSearchOutput():
            return _output(item, call)
        case Reasoning():
            return _thought(item)
        case HostedRecord():
            told = tell_record(item)
            return _message(told) if told is not None else None
        case FileSearchCall() | AdditionalTools():
            return None  # what it gave stands in the answer; tools are offered
        case Compaction():
            raise AssertionError("a compaction is opened before a model is asked")
        case _:
            assert_never(item)


def _call(item: Call) -> dict[str, Any] | None:
    """A call as its kind has it."""
    match item:
        case FunctionCall(call_id=call_id, name=name, arguments=arguments, namespace=namespace):
            called = {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
        case CustomToolCall(call_id=call_id, name=name, input=written, namespace=namespace):
            called = {"type": "custom_tool_call", "call_id": call_id, "name": name, "input": written}
        case LocalShellCall(call_id=call_id, action=action):
            shown = msgspec.to_builtins(action)
            return {"type": "local_shell_call", "call_id": call_id, "status": "completed", "action": shown}
        case ToolSearchCall(call_id=call_id, arguments=arguments):
            if not call_id:
                return None  # another server has searched by itself
            return {"type": "tool_search_call", "execution": "client", "call_id": call_id, "arguments": arguments}
        case _:
            assert_never(item)
    return called if namespace is UNSET else {**called, "namespace": namespace}


def _output(item: CallOutput, call: Item | None) -> dict[str, Any] | None:
    """An output in the form that its call's kind has, whichever form it came in: servers take no other."""
    given = list_given(item)
    text = "".join(map(words_of, given))
    has_text_only = all(isinstance(part, InputText) for part in given)
    output = text if has_text_only and len(given) == 1 else [_given(part) for part in given]
    match call, item:
        case ToolSearchCall(call_id=call_id), ToolSearchOutput(tools=tools):
            return {"type": "tool_search_output", "execution": "client", "call_id": call_id, "tools": tools}
        case ToolSearchCall(call_id=call_id), _:
            return {"type": "tool_search_output", "execution": "client", "call_id": call_id, "tools": []}
        case LocalShellCall(call_id=call_id), LocalShellCallOutput():
            return {"type": "local_shell_call_output", "id": call_id, "output": text}
        case CustomToolCall(call_id=call_id), _:
            return {"type": "custom_tool_call_output", "call_id": call_id, "output": output}
    return {"type": "function_call_output", "call_id": item.call_id, "output": output} if item.call_id else None


def _message(item: Message) -> dict[str, Any] | None:
    if not item.content:
        return None  # cut off before its first word
    if item.role != "assistant":
        content = [_given(part) for part in item.content]
        return {"type": "message", "role": _ROLES.get(item.role, item.role), "content": content}
    phase = {"phase": item.phase} if item.phase else {}
    return {"type": "message", "role": "assistant", "content": [_said(part) for part in item.content], **phase}


def _thought(item: Reasoning) -> dict[str, Any] | None:
    """Only what the model's server has sealed: other thoughts it would look up by their id, or refuse."""
    if not item.encrypted_content or is_kept_here(item.encrypted_content):
        return None
    summary = [{"type": "summary_text", "text": part.text} for part in item.summary]
    return {"type": "reasoning", "summary": summary, "encrypted_content": item.encrypted_content}


def _said(part: Part) -> dict[str, Any]:
    match part:
        case OutputText(text) | InputText(text):
            return _output_text(text)
        case Refusal(refusal):
            return {"type": "refusal", "refusal": refusal}
        case InputImage() | InputFile():
            return _given(part)  # no model made it: its server is to say so
        case _:
            assert_never(part)


def _given(part: Part | GivenPart) -> dict[str, Any]:
    match part:
        case InputText(text) | OutputText(text) | Refusal(text):
            return {"type": "input_text", "text": text}
        case InputImage(url, detail):
            return {"type": "input_image", "image_url": url, "detail": detail}
        case InputFile():
            return {"type": "input_file", **_source(part)}
        case _:
            assert_never(part)


def _source(part: InputFile) -> dict[str, Any]:
    """Where a file is; OpenAI refuses a name beside an address (langchain-ai/langchainjs#9887)."""
    if part.file_data is UNSET:
        return {"file_url": part.file_url}
    filename = part.filename or _UNNAMED
    return {"filename": filename, "file_data": as_data_uri(part.file_data, filename)}


def _output_text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}
