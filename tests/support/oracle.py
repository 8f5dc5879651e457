"""The oracle: checks everything the service sends with the specification's models, and the rules of docs/api.md.

`openresponses-types` is the open specification as pydantic models. What it does not know (conversations, lists, errors)
is checked with the official SDK's types or by hand.
"""

from collections import Counter
from typing import Any

import httpx
import msgspec
from openai.types import (
    CreateEmbeddingResponse,
    FileObject,
    Model,
    VectorStore,
    VectorStoreDeleted,
    VectorStoreSearchResponse,
)
from openai.types import responses as sdk
from openai.types.chat import ChatCompletion
from openai.types.conversations import Conversation
from openai.types.responses import response_item
from openai.types.responses.response_output_text import AnnotationFileCitation
from openai.types.vector_stores import (
    FileContentResponse,
    VectorStoreFile,
    VectorStoreFileBatch,
    VectorStoreFileDeleted,
)
from openresponses_types import types as spec
from pydantic import BaseModel, TypeAdapter

from prompts.domain.item_kinds import KINDS_BY_TYPE

EVENTS: dict[str, type[BaseModel]] = {
    "response.created": spec.ResponseCreatedStreamingEvent,
    "response.queued": spec.ResponseQueuedStreamingEvent,
    "response.in_progress": spec.ResponseInProgressStreamingEvent,
    "response.completed": spec.ResponseCompletedStreamingEvent,
    "response.failed": spec.ResponseFailedStreamingEvent,
    "response.incomplete": spec.ResponseIncompleteStreamingEvent,
    "response.output_item.added": spec.ResponseOutputItemAddedStreamingEvent,
    "response.output_item.done": spec.ResponseOutputItemDoneStreamingEvent,
    "response.content_part.added": spec.ResponseContentPartAddedStreamingEvent,
    "response.content_part.done": spec.ResponseContentPartDoneStreamingEvent,
    "response.output_text.delta": spec.ResponseOutputTextDeltaStreamingEvent,
    "response.output_text.done": spec.ResponseOutputTextDoneStreamingEvent,
    "response.refusal.delta": spec.ResponseRefusalDeltaStreamingEvent,
    "response.refusal.done": spec.ResponseRefusalDoneStreamingEvent,
    "response.function_call_arguments.delta": spec.ResponseFunctionCallArgumentsDeltaStreamingEvent,
    "response.function_call_arguments.done": spec.ResponseFunctionCallArgumentsDoneStreamingEvent,
    "response.reasoning.delta": spec.ResponseReasoningDeltaStreamingEvent,
    "response.reasoning.done": spec.ResponseReasoningDoneStreamingEvent,
    "response.reasoning_summary_part.added": spec.ResponseReasoningSummaryPartAddedStreamingEvent,
    "response.reasoning_summary_part.done": spec.ResponseReasoningSummaryPartDoneStreamingEvent,
    "response.reasoning_summary_text.delta": spec.ResponseReasoningSummaryDeltaStreamingEvent,
    "response.reasoning_summary_text.done": spec.ResponseReasoningSummaryDoneStreamingEvent,
    # The specification has no custom and no hosted tools: these are the official SDK's types.
    "response.custom_tool_call_input.delta": sdk.ResponseCustomToolCallInputDeltaEvent,
    "response.custom_tool_call_input.done": sdk.ResponseCustomToolCallInputDoneEvent,
    "response.file_search_call.in_progress": sdk.ResponseFileSearchCallInProgressEvent,
    "response.file_search_call.searching": sdk.ResponseFileSearchCallSearchingEvent,
    "response.file_search_call.completed": sdk.ResponseFileSearchCallCompletedEvent,
    "response.output_text.annotation.added": sdk.ResponseOutputTextAnnotationAddedEvent,
}
TERMINAL = {"response.completed", "response.incomplete", "response.failed"}
# Every key present, always (docs/api.md, "The response object").
_TOOLS: TypeAdapter[sdk.Tool] = TypeAdapter(sdk.Tool)
RESPONSE_KEYS = set(spec.ResponseResource.model_fields)
ITEMS: dict[str, type[BaseModel]] = {
    "message": spec.Message,
    "function_call": spec.FunctionCall,
    "function_call_output": spec.FunctionCallOutput,
    "reasoning": spec.ReasoningBody,
    "compaction": spec.CompactionBody,
}
# Kinds that the specification has not: these are the official SDK's types.
AGENTS_CALLS: dict[str, type[BaseModel]] = {
    "custom_tool_call": sdk.ResponseCustomToolCallItem,
    "local_shell_call": response_item.LocalShellCall,
    "tool_search_call": sdk.ResponseToolSearchCall,
}
UNSPECIFIED: dict[str, type[BaseModel]] = {
    **AGENTS_CALLS,
    "file_search_call": sdk.ResponseFileSearchToolCall,
    "custom_tool_call_output": sdk.ResponseCustomToolCallOutputItem,
    "local_shell_call_output": response_item.LocalShellCallOutput,
    "tool_search_output": sdk.ResponseToolSearchOutputItem,
    "additional_tools": response_item.AdditionalTools,
    "web_search_call": sdk.ResponseFunctionWebSearch,
    "image_generation_call": response_item.ImageGenerationCall,
    "code_interpreter_call": sdk.ResponseCodeInterpreterToolCall,
    "computer_call": sdk.ResponseComputerToolCall,
    "computer_call_output": sdk.ResponseComputerToolCallOutputItem,
    "mcp_call": response_item.McpCall,
    "mcp_list_tools": response_item.McpListTools,
    "mcp_approval_request": response_item.McpApprovalRequest,
    "mcp_approval_response": response_item.McpApprovalResponse,
    "shell_call": sdk.ResponseFunctionShellToolCall,
    "shell_call_output": sdk.ResponseFunctionShellToolCallOutput,
    "apply_patch_call": sdk.ResponseApplyPatchToolCall,
    "apply_patch_call_output": sdk.ResponseApplyPatchToolCallOutput,
    "program": response_item.Program,
    "program_output": response_item.ProgramOutput,
    "configuration_update": sdk.ResponseConfigurationUpdateItem,
}
KNOWLEDGE: dict[str, type[BaseModel]] = {
    "vector_store": VectorStore,
    "vector_store.deleted": VectorStoreDeleted,
    "vector_store.file": VectorStoreFile,
    "vector_store.file.deleted": VectorStoreFileDeleted,
    "vector_store.files_batch": VectorStoreFileBatch,
}
# Calls that the model makes and the client runs: several stay open side by side.
CALLS = {"function_call", *AGENTS_CALLS}
NO_STATUS = {
    *("compaction", "additional_tools", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response"),
    *("program", "configuration_update"),
}
# The kinds of an answer that are not the client's to run, and say nothing.
HOSTED = {"file_search_call"}
# Whether the last release may have written what is checked: then what is new since then may be missing. Tests with both
# releases on one database say so (the fixture `answers_of_the_release`).
MAY_BE_OF_RELEASE = False


async def check_answer(response: httpx.Response) -> None:
    """An httpx hook: check a JSON answer of the API against the specification."""
    assert response.headers.get("x-request-id"), "every answer carries x-request-id"
    if not response.url.path.startswith("/v1/") or response.url.path in ("/v1/docs", "/v1/openapi.json"):
        return
    if response.headers["content-type"].startswith(("text/event-stream", "text/markdown")):
        return
    if response.status_code < 400 and response.url.path.endswith("/content"):  # a file's bytes
        return
    await response.aread()
    check_object(response.json(), status=response.status_code)


def check_object(body: dict[str, Any], *, status: int) -> None:
    """Check one object of the API."""
    if status >= 400:
        check_error(body)
        return
    if "object" not in body:
        check_item(body)
        return
    match body["object"]:
        case "response" | "conversation.deleted" | "file" if "deleted" in body:
            assert body == {"id": body["id"], "object": body["object"], "deleted": True}
        case "response":
            check_response(body)
        case "conversation":
            Conversation.model_validate(body, strict=True)
            assert {"eps:title", "eps:active_response_id", "eps:forked_from"} <= set(body)
        case "model":
            Model.model_validate(body, strict=True)
        case other:
            RULES[other](body)


def check_error(body: dict[str, Any]) -> None:
    """Check the error envelope: message, type and code are set, param is present."""
    error = body["error"]
    assert set(error) >= {"message", "type", "param", "code"}, error
    assert error["message"], error
    assert error["type"], error
    assert error["code"], error


def check_list(body: dict[str, Any]) -> None:
    """Check a page: `first_id` and `last_id` are those of its entries."""
    assert isinstance(body["data"], list)
    if body["data"] and body["data"][0].get("object") == "embedding":
        CreateEmbeddingResponse.model_validate(body)
        return
    if body["data"] and body["data"][0].get("object") == "response.passage":
        check_passages(body)
        return
    if body["data"] and body["data"][0].get("object") == "prompt":
        check_prompts(body)
        return
    if not body["data"] or body["data"][0]["object" if "object" in body["data"][0] else "type"] == "model":
        return
    assert body["first_id"] == body["data"][0]["id"]
    assert body["last_id"] == body["data"][-1]["id"]
    assert isinstance(body["has_more"], bool)
    for entry in body["data"]:
        check_item(entry) if "object" not in entry else check_object(entry, status=200)


def check_prompts(body: dict[str, Any]) -> None:
    """Check a page of templates, or of the versions of one, whose places are their numbers."""
    is_of_one = body["first_id"] == str(body["data"][0]["version"])
    places = [str(entry["version"]) if is_of_one else entry["id"] for entry in body["data"]]
    assert (body["first_id"], body["last_id"]) == (places[0], places[-1])
    assert len(set(places)) == len(places)
    assert isinstance(body["has_more"], bool)
    for entry in body["data"]:
        check_prompt(entry)


def check_passages(body: dict[str, Any]) -> None:
    """Check the passages of a response: numbered from 1, each with all that is known of it."""
    assert set(body) == {"object", "data"}
    assert [passage["index"] for passage in body["data"]] == [*range(1, len(body["data"]) + 1)]
    names = ("index", "file_id", "filename", "vector_store_id", "page", "heading", "score", "text", "attributes")
    assert all(set(passage) == {"object", *names} for passage in body["data"])
    assert all(type(passage["score"]) in (int, float) and passage["text"] for passage in body["data"])


def check_item(item: dict[str, Any]) -> None:
    """Check an item: id, type and status; content parts; no null where the specification omits a key."""
    if not (KINDS_BY_TYPE[item["type"]].is_record or "tools" in item):  # which are kept as they came
        (UNSPECIFIED | ITEMS)[item["type"]].model_validate(_without_citations(item))
    # Some have no status, neither in the specification nor in docs/api.md.
    assert {"id", "type", "status"} <= set(item) | ({"status"} if item["type"] in NO_STATUS else set()), item
    assert item.get("phase", "final_answer") is not None
    for part in item.get("content") or []:
        if part["type"] == "output_text":
            assert isinstance(part["annotations"], list)
            assert isinstance(part["logprobs"], list)


def check_client_secret(body: dict[str, Any]) -> None:
    """Check a client secret: as OpenAI's, without a session, and with what it opens."""
    assert {"object", "value", "expires_at", "scopes", "conversation"} == set(body) - {"eps:ignored"}
    assert isinstance(body["expires_at"], int)
    assert body["value"].startswith("ek_")


def check_compaction(body: dict[str, Any]) -> None:
    """Check a compaction: the user messages, then exactly one compaction item."""
    spec.CompactResource.model_validate(body)
    assert MAY_BE_OF_RELEASE or body["status"] == "completed"
    check_usage(body["usage"])
    for item in body["output"]:
        check_item(item)
    *messages, last = body["output"]
    assert [(item["type"], item["role"]) for item in messages] == [("message", "user")] * len(messages)
    assert set(last) == {"type", "id", "encrypted_content"}
    assert last["type"] == "compaction"


def check_count(body: dict[str, Any]) -> None:
    """Check the answer of `input_tokens`."""
    assert set(body) - {"eps:ignored"} == {"object", "input_tokens"}
    assert type(body["input_tokens"]) is int


def check_extension(body: dict[str, Any]) -> None:
    """Check an object of our own extensions."""
    match body["object"]:
        case "response.follow_ups":
            assert set(body) - {"eps:notices"} == {"object", "response_id", "data"}
            assert all(type(question) is str and question.endswith("?") for question in body["data"])
        case "response.feedback":
            assert set(body) - {"eps:ignored"} == {"object", "response_id", "score", "comment", "created_at"}
            assert body["score"] in (-1, 0, 1)
            assert type(body["created_at"]) is int
        case _:
            assert set(body) == {"object", "conversation", "items"}
            check_object(body["conversation"], status=200)
            for item in body["items"]:
                check_item(item)


def check_response(response: dict[str, Any]) -> None:
    """Check a response object: every key, a legal status, and items that fit the status."""
    spec.ResponseResource.model_validate(_as_specified(response))
    assert set(response) >= RESPONSE_KEYS, RESPONSE_KEYS - set(response)
    check_usage(response["usage"])
    status = response["status"]
    assert MAY_BE_OF_RELEASE or (response["usage"] is not None) == (status not in {"queued", "in_progress"})
    assert response.get("eps:usage_estimated", True) is True
    assert status in {"queued", "in_progress", "completed", "incomplete", "failed", "cancelled"}
    assert (response["completed_at"] is not None) == (status == "completed")
    assert (response["error"] is not None) == (status == "failed")
    assert (response["incomplete_details"] is not None) == (status == "incomplete")
    for item in response["output"]:
        check_item(item)
    if "prompt" in response:
        sdk.ResponsePrompt.model_validate(response["prompt"], strict=True)
        assert set(response["prompt"]) == {"id", "version", "variables"}
    statuses = [item["status"] for item in response["output"] if "status" in item]
    # A search that could not be made is no end of the answer.
    over = ("completed", "failed") if has_notice(response, "knowledge_unavailable") else ("completed",)
    cut = [item for item in response["output"][:-1] if item.get("status", "completed") not in over]
    assert all(item["type"] in CALLS for item in cut), "only the last item can be cut, and calls beside it"
    is_unspoken_last = bool(response["output"]) and response["output"][-1]["type"] in (
        "reasoning",
        "compaction",
        *HOSTED,
    )
    if statuses and not (is_unspoken_last and status != "completed"):  # reasoning may end before the answer begins
        assert (statuses[-1] == "completed") == (status == "completed")


def has_notice(response: dict[str, Any], code: str) -> bool:
    """Whether the response says this of itself."""
    return any(notice["code"] == code and notice["message"] for notice in response.get("eps:notices") or [])


def check_usage(usage: dict[str, Any] | None) -> None:
    """Check that every count is there: SDKs that validate refuse a usage that lacks one."""
    if usage is not None:
        details = {**({"cache_write_tokens": 0} if MAY_BE_OF_RELEASE else {}), **usage["input_tokens_details"]}
        sdk.ResponseUsage.model_validate({**usage, "input_tokens_details": details}, strict=True)
        assert {"cached_tokens", "cache_write_tokens"} <= set(details)


def _as_specified(response: dict[str, Any]) -> dict[str, Any]:
    """The object without what only OpenAI's reference has: tools that are no functions, the effort `minimal`.

    Also without its JSON schema, which `openresponses-types` allows as null only.
    """
    shown = dict(response)
    text_format = response["text"]["format"]
    if text_format["type"] == "json_schema":
        assert isinstance(text_format["schema"], dict)
        shown["text"] = {**response["text"], "format": {**text_format, "schema": None}}
    if response["reasoning"] is not None and response["reasoning"]["effort"] == "minimal":
        shown["reasoning"] = {**response["reasoning"], "effort": "low"}
    shown["output"] = [_without_citations(item) for item in response["output"] if item["type"] not in UNSPECIFIED]
    for tool in response["tools"]:
        _TOOLS.validate_python(tool)
    shown["tools"] = [tool for tool in response["tools"] if tool["type"] == "function"]
    choice = response["tool_choice"]
    if isinstance(choice, dict) and any(each["type"] != "function" for each in choice.get("tools", [choice])):
        shown["tool_choice"] = "auto"
    return shown


def _without_citations(value: dict[str, Any]) -> dict[str, Any]:
    """A message, or a part of one, as the specification has it: its only citations are of addresses."""
    if isinstance(content := value.get("content"), list):
        return {**value, "content": [_without_citations(part) for part in content]}
    cited = [note for note in value.get("annotations") or [] if isinstance(note, dict) and "file_id" in note]
    for note in cited:
        AnnotationFileCitation.model_validate(note, strict=True)
    return {**value, "annotations": []} if cited else value


def check_completion(body: dict[str, Any]) -> None:
    """Check a whole answer of Chat Completions."""
    ChatCompletion.model_validate(body)


def check_prompt(body: dict[str, Any]) -> None:
    """Check a version of a template: OGX's fields, and ours."""
    assert (body["prompt_id"], body["id"][:5]) == (body["id"], "pmpt_")
    assert type(body["version"]) is int
    assert body["version"] >= 1
    assert all(type(name) is str for name in body["variables"])
    assert body["variables"] == [detail["name"] for detail in body["variable_details"]]
    assert set(body["unused_variables"]) <= set(body["variables"])
    assert body["is_default"] is (body["version"] == body["default_version"])
    assert body["latest_version"] >= max(body["version"], body["default_version"])
    assert body["owner"] in ("you", "everybody")
    assert {"prompt", "name", "created_at", "model", "parameters", "knowledge", "follow_ups", "history_tokens"} <= set(
        body
    )


def check_deleted_prompt(body: dict[str, Any]) -> None:
    """Check what is left of a template."""
    assert body == {"id": body["id"], "object": "prompt.deleted", "deleted": True}


def check_file(body: dict[str, Any]) -> None:
    """Check a file. OpenAI takes the purpose `evals`, and its own type of a file does not know it."""
    shown = {**body, "purpose": "user_data"} if body["purpose"] == "evals" else body
    FileObject.model_validate(shown, strict=True)
    assert "/" not in body["filename"]


def check_knowledge(body: dict[str, Any]) -> None:
    """Check an object of vector stores; OpenAI shows one without a name as null, which its SDK's type does not say."""
    named = body if body.get("name", "") is not None else {**body, "name": ""}
    KNOWLEDGE[body["object"]].model_validate(named, strict=True)


def check_results(body: dict[str, Any]) -> None:
    """Check what a search of a vector store has found, or the text of a file: one page."""
    assert (body["has_more"], body["next_page"]) == (False, None)
    for entry in body["data"]:
        if body["object"] == "vector_store.search_results.page":
            found = VectorStoreSearchResponse.model_validate(entry, strict=True)
            assert 0 <= found.score <= 1
        else:
            FileContentResponse.model_validate(entry, strict=True)
    scores = [entry.get("score", 0) for entry in body["data"]]
    assert scores == sorted(scores, reverse=True)


RULES = {
    **dict.fromkeys(KNOWLEDGE, check_knowledge),
    "vector_store.search_results.page": check_results,
    "vector_store.file_content.page": check_results,
    "chat.completion": check_completion,
    "file": check_file,
    "prompt": check_prompt,
    "prompt.deleted": check_deleted_prompt,
    "list": check_list,
    "client_secret": check_client_secret,
    "response.compaction": check_compaction,
    "response.input_tokens": check_count,
    "response.follow_ups": check_extension,
    "response.feedback": check_extension,
    "conversation.export": check_extension,
}


# It comes and goes with the time, and is no part of the sequence.
KEEPALIVE = b'event: keepalive\ndata: {"type":"keepalive"}'


def read_frames(raw: bytes) -> list[dict[str, Any]]:
    """The events of a whole stream, without what keeps it alive. Its framing is checked to the byte."""
    *frames, rest = raw.split(b"\n\n")
    assert rest == b"", f"the stream ends in the middle of a frame: {rest!r}"
    frames = [frame for frame in frames if not frame.startswith(b":") and frame != KEEPALIVE]
    assert frames[-1] == b"data: [DONE]"
    return [read_frame(frame) for frame in frames[:-1]]


def read_frame(frame: bytes) -> dict[str, Any]:
    """The event of one frame, without its empty line."""
    first, second = frame.split(b"\n")
    assert first.startswith(b"event: ")
    assert second.startswith(b"data: ")
    event: dict[str, Any] = msgspec.json.decode(second[6:])
    assert first[7:].decode() == event["type"]
    return event


def check_events(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Check a whole sequence of events: the schema and the rules of docs/api.md. Returns the final response."""
    for event in events:
        known = {**event, "response": _as_specified(event["response"])} if "response" in event else event
        if event.get("item", {}).get("type") in UNSPECIFIED:
            check_item(event["item"])
            known = {**event, "item": None}
        for name in {"item", "part"} & set(known):
            known = {**known, name: known[name] and _without_citations(known[name])}
        EVENTS[event["type"]].model_validate(known)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [event["type"] for event in events]
    assert [kind for kind in kinds if kind in TERMINAL] == [kinds[-1]]
    final: dict[str, Any] = events[-1]["response"]
    opening = ["created", "queued", "in_progress"] if final["background"] else ["created", "in_progress"]
    assert kinds[: len(opening)] == [f"response.{kind}" for kind in opening]
    for event in (*events[: len(opening)], events[-1]):
        check_response(event["response"])
    new = {"response_id": final["id"]} if MAY_BE_OF_RELEASE else {}
    assert {{**new, **event}["response_id"] for event in events if "content_part" in event["type"]} <= {final["id"]}
    statuses = [event["response"]["status"] for event in events[: len(opening)]]
    assert statuses == ["queued"] * (2 * final["background"]) + ["in_progress"] * (2 - final["background"])
    # The specification has no event for a cancelled response (docs/api.md).
    assert kinds[-1] == f"response.{'incomplete' if final['status'] == 'cancelled' else final['status']}"
    _check_output(events, final)
    return final


def _check_output(events: list[dict[str, Any]], final: dict[str, Any]) -> None:
    """Deltas add up to the `done` text, the part and the item; the final output has the streamed items."""
    kinds = Counter(event["type"] for event in events)
    assert kinds["response.output_item.added"] == kinds["response.output_item.done"]
    assert kinds["response.content_part.added"] == kinds["response.content_part.done"]
    assert final["output"] == [event["item"] for event in events if event["type"] == "response.output_item.done"]
    for output_index, item in enumerate(final["output"]):
        mine = [event for event in events if event.get("item_id") == item["id"]]
        assert {event["output_index"] for event in mine} <= {output_index}
        if item["type"] == "function_call":
            _check_text(mine, "function_call_arguments", "arguments", item["arguments"])
        if item["type"] == "custom_tool_call":
            _check_text(mine, "custom_tool_call_input", "input", item["input"])
        for index, part in enumerate(item.get("content") or []):
            _check_part([event for event in mine if event.get("content_index") == index], part)


def _check_part(mine: list[dict[str, Any]], part: dict[str, Any]) -> None:
    match part["type"]:
        case "refusal":
            _check_text(mine, "refusal", "refusal", part["refusal"])
        case "reasoning_text":
            _check_text(mine, "reasoning", "text", part["text"])
            return  # the specification does not say whether reasoning has content_part events
        case _:
            _check_text(mine, "output_text", "text", part["text"])
            _check_annotations(mine, part["annotations"])
    assert [event["part"] for event in mine if event["type"] == "response.content_part.done"] == [part]


def _check_annotations(mine: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> None:
    """Each is told once, when the text has come to its place, or to its end where it is told at once."""
    said = 0
    told: list[dict[str, Any]] = []
    for event in mine:
        match event["type"]:
            case "response.output_text.delta":
                said += len(event["delta"])
            case "response.output_text.annotation.added":
                assert event["annotation_index"] == len(told)
                assert event["annotation"].get("index", 0) <= said
                told.append(event["annotation"])
    assert told == annotations


def _check_text(mine: list[dict[str, Any]], name: str, key: str, text: str) -> None:
    deltas = [event["delta"] for event in mine if event["type"] == f"response.{name}.delta"]
    assert "".join(deltas) == text
    assert [event[key] for event in mine if event["type"] == f"response.{name}.done"] == [text]
