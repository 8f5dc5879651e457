"""The judge of what leaves the service: the specification's own models, and the rules of API.md that no schema can say.

`openresponses-types` is the open specification as pydantic models; what it does not know (conversations, lists, errors)
is held against the official SDK's types or checked by hand.
"""

from collections import Counter
from typing import Any

import httpx
import msgspec
from openai.types import Model
from openai.types.conversations import Conversation
from openresponses_types import types as spec
from pydantic import BaseModel, TypeAdapter

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
}
TERMINAL = {"response.completed", "response.incomplete", "response.failed"}
# Every key present, always (API.md, "The response object").
RESPONSE_KEYS = set(spec.ResponseResource.model_fields)
ITEM: TypeAdapter[Any] = TypeAdapter(spec.Message)


async def check_answer(response: httpx.Response) -> None:
    """An httpx hook: hold a JSON answer of the API against the specification."""
    assert response.headers.get("x-request-id"), "every answer carries x-request-id"
    if not response.url.path.startswith("/v1/") or response.url.path in ("/v1/docs", "/v1/openapi.json"):
        return
    if response.headers["content-type"].startswith("text/event-stream"):
        return
    await response.aread()
    check_object(response.json(), status=response.status_code)


def check_object(body: dict[str, Any], *, status: int) -> None:
    """One object of the API."""
    if status >= 400:
        check_error(body)
        return
    match body["object"]:
        case "response" | "conversation.deleted" if "deleted" in body:
            assert body == {"id": body["id"], "object": body["object"], "deleted": True}
        case "response":
            check_response(body)
        case "conversation":
            Conversation.model_validate(body, strict=True)
            assert {"eps:title", "eps:active_response_id", "eps:forked_from"} <= set(body)
        case "list":
            check_list(body)
        case "model":
            Model.model_validate(body, strict=True)
        case other:
            raise AssertionError(f"no rule for an object {other!r}")


def check_error(body: dict[str, Any]) -> None:
    """The envelope: message, type and code set, param there."""
    error = body["error"]
    assert set(error) >= {"message", "type", "param", "code"}, error
    assert error["message"], error
    assert error["type"], error
    assert error["code"], error


def check_list(body: dict[str, Any]) -> None:
    """A page: its ends are its first and last entry."""
    assert isinstance(body["data"], list)
    if not body["data"] or body["data"][0]["object" if "object" in body["data"][0] else "type"] == "model":
        return
    assert body["first_id"] == body["data"][0]["id"]
    assert body["last_id"] == body["data"][-1]["id"]
    assert isinstance(body["has_more"], bool)
    for entry in body["data"]:
        check_item(entry) if "object" not in entry else check_object(entry, status=200)


def check_item(item: dict[str, Any]) -> None:
    """An item: id, type and status everywhere, content parts, never null where the specification leaves out."""
    ITEM.validate_python(item)
    assert {"id", "type", "status"} <= set(item), item
    for part in item["content"]:
        if part["type"] == "output_text":
            assert isinstance(part["annotations"], list)
            assert isinstance(part["logprobs"], list)


def check_response(response: dict[str, Any]) -> None:
    """The response object: every key, a legal status, items that fit it."""
    spec.ResponseResource.model_validate(response)
    assert set(response) >= RESPONSE_KEYS, RESPONSE_KEYS - set(response)
    status = response["status"]
    assert status in {"queued", "in_progress", "completed", "incomplete", "failed", "cancelled"}
    assert (response["completed_at"] is not None) == (status == "completed")
    assert (response["error"] is not None) == (status == "failed")
    assert (response["incomplete_details"] is not None) == (status == "incomplete")
    for item in response["output"]:
        check_item(item)
        assert (item["status"] == "completed") == (status == "completed")


def read_frames(raw: bytes) -> list[dict[str, Any]]:
    """The events of a whole stream, its framing checked to the byte."""
    *frames, rest = raw.split(b"\n\n")
    assert rest == b"", f"the stream ends in the middle of a frame: {rest!r}"
    frames = [frame for frame in frames if not frame.startswith(b":")]
    assert frames[-1] == b"data: [DONE]"
    return [read_frame(frame) for frame in frames[:-1]]


def read_frame(frame: bytes) -> dict[str, Any]:
    """The event of one frame, without the empty line that ends it."""
    first, second = frame.split(b"\n")
    assert first.startswith(b"event: ")
    assert second.startswith(b"data: ")
    event: dict[str, Any] = msgspec.json.decode(second[6:])
    assert first[7:].decode() == event["type"]
    return event


def check_events(events: list[dict[str, Any]]) -> dict[str, Any]:
    """A whole sequence of events, against the schema and the rules of API.md; gives back the final response."""
    for event in events:
        EVENTS[event["type"]].model_validate(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [event["type"] for event in events]
    assert [kind for kind in kinds if kind in TERMINAL] == [kinds[-1]]
    final: dict[str, Any] = events[-1]["response"]
    opening = ["created", "queued", "in_progress"] if final["background"] else ["created", "in_progress"]
    assert kinds[: len(opening)] == [f"response.{kind}" for kind in opening]
    for event in (*events[: len(opening)], events[-1]):
        check_response(event["response"])
    statuses = [event["response"]["status"] for event in events[: len(opening)]]
    assert statuses == ["queued"] * (2 * final["background"]) + ["in_progress"] * (2 - final["background"])
    # The specification has no event for a cancelled response (API.md).
    assert kinds[-1] == f"response.{'incomplete' if final['status'] == 'cancelled' else final['status']}"
    _check_output(events, final)
    return final


def _check_output(events: list[dict[str, Any]], final: dict[str, Any]) -> None:
    """Deltas sum to the done text, the part's, the item's; the final output is the items as streamed."""
    kinds = Counter(event["type"] for event in events)
    assert kinds["response.output_item.added"] == kinds["response.output_item.done"]
    assert kinds["response.content_part.added"] == kinds["response.content_part.done"]
    assert final["output"] == [event["item"] for event in events if event["type"] == "response.output_item.done"]
    for item in final["output"]:
        for index, part in enumerate(item["content"]):
            _check_part(events, item["id"], index, part)


def _check_part(events: list[dict[str, Any]], item_id: str, index: int, part: dict[str, Any]) -> None:
    mine = [event for event in events if event.get("item_id") == item_id and event.get("content_index") == index]
    key = "refusal" if part["type"] == "refusal" else "text"
    name = "refusal" if key == "refusal" else "output_text"
    deltas = [event["delta"] for event in mine if event["type"] == f"response.{name}.delta"]
    assert "".join(deltas) == part[key]
    assert [event[key] for event in mine if event["type"] == f"response.{name}.done"] == [part[key]]
    assert [event["part"] for event in mine if event["type"] == "response.content_part.done"] == [part]
