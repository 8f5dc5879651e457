"""Rows of the archive, as the archiver would write them, for tests of the pages that show them."""

import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction

from prompts.domain import ids
from tests.support.service import manage

BEGUN = datetime(2026, 11, 1, 9, tzinfo=UTC)
_numbers = itertools.count(1)


def new_conversation_id() -> str:
    return ids.new_id(ids.CONVERSATION, ids.new_partition())


def new_chain_id() -> str:
    return ids.new_id(ids.TIMELINE, ids.new_partition())


def say(role: str, *texts: str, **fields: Any) -> dict[str, Any]:
    """A message with these parts."""
    kind = "output_text" if role == "assistant" else "input_text"
    rest: dict[str, Any] = {"annotations": [], "logprobs": []} if role == "assistant" else {}
    content = [{"type": kind, "text": text, **rest} for text in texts]
    return {"type": "message", "status": "completed", "role": role, "content": content, **fields}


def answer(output: Sequence[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """A response with its output; `fields` are columns of its row."""
    return {"output": list(output), **fields}


def write_archive(environment: Mapping[str, str], *conversations: dict[str, Any]) -> None:
    """Write conversations in a process of the service's own.

    Each is `{id, owner, title, said: [item | response, …]}` and columns of its row; `forked_from` shares all of what
    that one said. One whose id is a timeline's is a chain.
    """
    told = json.dumps(conversations)
    manage(environment, "shell", "--command", f"from tests.support.archived import write_rows\nwrite_rows({told!r})")


def write_rows(told: str) -> None:
    """The same within that process."""
    with transaction.atomic():
        for conversation in json.loads(told):
            _Writer(conversation).write()


class _Writer:
    def __init__(self, told: dict[str, Any]) -> None:
        from prompts import models  # Django is not ready where tests import this module

        self._models = models
        self._told = dict(told)
        self._id: str = self._told.pop("id")
        self._owner: str = self._told.pop("owner", "alice")
        self._is_chain = ids.is_of_kind(self._id, ids.TIMELINE)
        self._timeline = self._id if self._is_chain else f"tl_{self._id.partition('_')[2]}"
        self._conversation_id = None if self._is_chain else self._id
        self._position = 0
        self._at = BEGUN + timedelta(minutes=next(_numbers))

    def write(self) -> None:
        said = self._told.pop("said", [])
        parent = self._find_parent()
        for entry in said:
            self._at += timedelta(seconds=3)
            if "type" not in entry:
                self._respond(dict(entry))
            else:
                self._add(entry)
        record = {"metadata": json.dumps(self._told.pop("metadata", {}))}
        self._models.ArchivedTimeline.objects.create(
            id=self._timeline,
            owner=self._owner,
            conversation_id=self._conversation_id or "",
            root=self._timeline,
            length=self._position,
            copied=self._position,
            record_json="{}",
            **parent,
        )
        columns = {"created_at": BEGUN, "last_used_at": self._at, **self._told}
        if self._is_chain:
            self._models.ArchivedChain.objects.create(id=self._id, owner=self._owner, head=self._position, **columns)
            return
        self._models.ArchivedConversation.objects.create(
            id=self._id,
            owner=self._owner,
            timeline=self._timeline,
            head=self._position,
            record_json=json.dumps(record),
            **columns,
        )

    def _find_parent(self) -> dict[str, Any]:
        origin = self._models.ArchivedConversation.objects.filter(pk=self._told.get("forked_from", "")).first()
        if origin is None:
            return {}
        self._position = origin.head
        return {"parent": origin.timeline, "origin": origin.timeline, "parent_position": origin.head}

    def _add(self, content: dict[str, Any], response_id: str = "") -> None:
        self._position += 1
        content = {"id": ids.new_id("msg", ids.get_partition(self._id)), **content}
        parts = content.get("content") or []
        text = parts if isinstance(parts, str) else "\n".join(part.get("text", "") for part in parts)
        self._models.ArchivedItem.objects.create(
            item_id=content["id"],
            owner=self._owner,
            conversation_id=self._conversation_id,
            timeline=self._timeline,
            position=self._position,
            response_id=response_id,
            type=content["type"],
            role=content.get("role", ""),
            text=text.replace("\0", "\N{REPLACEMENT CHARACTER}"),
            created_at=self._at,
            content_json=json.dumps(content),
        )

    def _respond(self, told: dict[str, Any]) -> None:
        output = told.pop("output")
        response_id = told.pop("id", ids.new_id(ids.RESPONSE, ids.get_partition(self._id)))
        asked_at = self._at
        if told.get("status") != "failed":
            for item in output:
                self._add(item, response_id)
        result = {"id": response_id, "object": "response", "output": output, **told.pop("result", {})}
        columns = {
            "model": "stand-in",
            "status": "completed",
            "created_at": asked_at,
            "first_token_ms": 320,
            "input_tokens": 120,
            "output_tokens": 40,
            "completed_at": asked_at + timedelta(seconds=2),
            **told,
        }
        for name in ("passages", "input"):
            if name in columns:
                columns[f"{name}_json"] = json.dumps(columns.pop(name))
        self._models.ArchivedResponse.objects.create(
            id=response_id,
            owner=self._owner,
            conversation_id=self._conversation_id,
            timeline=self._timeline,
            position=self._position,
            result_json=json.dumps(result),
            record_json="{}",
            **columns,
        )
        self._told.setdefault("last_model", columns["model"])
        self._told["last_status"] = columns["status"]
        if columns["status"] == "failed":
            self._told["has_error"] = True
        if columns.get("feedback_score") is not None:
            self._told["last_feedback"] = columns["feedback_score"]
