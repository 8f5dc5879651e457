"""Rows from records: what stands in columns is taken from what is stored, which is kept beside it as it is."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from prompts.archive.said import clean, list_forms, tell_text
from prompts.domain import ids
from prompts.models.archive import ArchivedConversation, ArchivedItem, ArchivedResponse, ArchivedTimeline
from prompts.models.histories import MAX_ID_CHARACTERS, MAX_NAME_CHARACTERS
from prompts.ports.outbox import ItemRecord, Record

# The fields of a response that have a column as they are.
RESPONSE_COLUMNS = {
    "input": "input_json",
    "model_request": "request_json",
    "result": "result_json",
    "passages": "passages_json",
}


def build_conversation(record: Record) -> ArchivedConversation:
    """A conversation's row. Raises ValueError, KeyError for one that cannot be read."""
    fields = record.fields
    return ArchivedConversation(
        id=record.id,
        owner=_name(fields["owner"]),
        title=clean(fields.get("title", "")),
        forked_from=fields.get("forked_from", "")[:MAX_ID_CHARACTERS],
        timeline=fields["timeline"],
        head=int(fields["head"]),
        created_at=_time(fields["created_ms"]),
        last_used_at=_time(fields["used_ms"]),
        record_json=json.dumps(dict(fields)),
    )


def build_timeline(record: Record, *, owner: str, copied: int) -> ArchivedTimeline:
    """A timeline's row; only a root says its owner itself. Raises ValueError, KeyError."""
    fields = record.fields
    return ArchivedTimeline(
        id=record.id,
        owner=_name(owner),
        conversation_id=fields.get("conversation", ""),
        root=fields["root"],
        origin=fields.get("origin", ""),
        parent=fields.get("parent", ""),
        parent_position=int(fields.get("parent_position", 0)),
        length=int(fields.get("length", 0)),
        copied=copied,
        record_json=json.dumps(dict(fields)),
    )


def build_item(record: ItemRecord, *, timeline: str, conversation_id: str, owner: str) -> ArchivedItem:
    """An item's row. Raises ValueError, KeyError."""
    shown = msgspec.json.decode(record.json)
    text = tell_text(record.json)
    return ArchivedItem(
        item_id=record.id,
        owner=_name(owner),
        conversation_id=conversation_id or None,
        timeline=timeline,
        position=record.position,
        response_id=ids.find_response_id(record.id) or "",
        type=str(shown["type"])[:64],
        role=str(shown.get("role", ""))[:20],
        text=text,
        forms=list_forms(text),
        created_at=_find_time(record.id),
        tokens=record.tokens,
        content_json=record.json,
        kept_json=record.kept,
    )


def build_response(record: Record) -> ArchivedResponse:
    """A response's row; until it has ended, what is known of it. Raises ValueError, KeyError."""
    fields = record.fields
    told = msgspec.json.decode(fields.get("result") or fields.get("echo") or "{}")
    error, prompt = told.get("error") or {}, told.get("prompt") or {}
    rest = {field: value for field, value in fields.items() if field not in RESPONSE_COLUMNS}
    return ArchivedResponse(
        id=record.id,
        owner=_name(fields["owner"]),
        conversation_id=fields["anchor"] if fields["anchor_kind"] == "conversation" else None,
        timeline=fields["timeline"],
        position=int(fields["position"]),
        previous_response_id=str(told.get("previous_response_id") or "")[:MAX_ID_CHARACTERS],
        model=_name(str(told.get("model") or "")),
        status=fields["status"],
        error_code=clean(str(error.get("code") or ""))[:100],
        error_message=clean(str(error.get("message") or "")),
        prompt_id=str(prompt.get("id") or "")[:MAX_ID_CHARACTERS],
        prompt_version=str(prompt.get("version") or "")[:20],
        created_at=_time(fields["created_ms"]),
        completed_at=_time(fields["ended_ms"]) if "ended_ms" in fields else None,
        first_token_ms=int(fields["first_token_ms"]) if "first_token_ms" in fields else None,
        **_read_usage(told.get("usage") or {}),
        **_read_feedback(fields),
        **{column: fields.get(field, "") for field, column in RESPONSE_COLUMNS.items()},
        record_json=json.dumps(rest),
    )


def _read_usage(usage: Mapping[str, Any]) -> dict[str, int | None]:
    return {
        "input_tokens": usage.get("input_tokens"),
        "output_tokens": usage.get("output_tokens"),
        "cached_tokens": usage.get("input_tokens_details", {}).get("cached_tokens"),
        "reasoning_tokens": usage.get("output_tokens_details", {}).get("reasoning_tokens"),
    }


def _read_feedback(fields: Mapping[str, str]) -> dict[str, Any]:
    if "feedback_score" not in fields:
        return {}
    return {
        "feedback_score": int(fields["feedback_score"]),
        "feedback_comment": clean(fields.get("feedback_comment", "")),
        "feedback_at": _time(fields["feedback_ms"]),
    }


def _find_time(item_id: str) -> datetime:
    """When an item was made, as its id says; now when that says nothing, or the future."""
    now = datetime.now(UTC)
    if not ids.is_well_formed(item_id, item_id.partition("_")[0]):
        return now
    return datetime.fromtimestamp(min(ids.get_time_ms(item_id) / 1000, now.timestamp()), UTC)


def _time(milliseconds: str) -> datetime:
    return datetime.fromtimestamp(int(float(milliseconds)) / 1000, UTC)


def _name(text: str) -> str:
    return clean(text)[:MAX_NAME_CHARACTERS]
