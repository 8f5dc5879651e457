"""Conversations of the archive as a file: written in slices, each in a thread with a connection of its own.

A client that reads slowly holds no connection, and a long conversation no memory.
"""

import csv
import io
import json
import unicodedata
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from threading import BoundedSemaphore
from typing import Any, cast

import msgspec
from asgiref.sync import sync_to_async
from django.http import HttpResponse, StreamingHttpResponse
from django.utils import timezone

from prompts.admin.history_rows import History, find_history
from prompts.archive.histories import Stretch, read_slices, walk_history
from prompts.domain.conversations import Conversation
from prompts.domain.items import Item
from prompts.models import ArchivedItem, ArchivedResponse
from prompts.sql_calls import call_and_close
from prompts.usecases.markdown import render_item, render_title

decode_item = msgspec.json.Decoder(Item).decode

FORMS: Mapping[str, str] = {"json": "JSON", "markdown": "Markdown", "csv": "CSV"}
CONTENT_TYPES = {
    "json": "application/json",
    "markdown": "text/markdown; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
}
SUFFIXES = {"json": "json", "markdown": "md", "csv": "csv"}
MAX_EXPORTED = 500
ITEMS_A_SLICE = 50
# Of a process: each reads from the database at most every now and then.
EXPORTS_AT_ONCE = 2
COLUMNS = (
    "conversation",
    "owner",
    "title",
    "at",
    "item",
    "type",
    "role",
    "text",
    "response",
    "model",
    "prompt",
    "prompt_version",
    "status",
)
# A spreadsheet takes a cell that begins so for a formula, which can send what is in others somewhere. The full-width
# forms too: some read them as the plain ones.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

_gate = BoundedSemaphore(EXPORTS_AT_ONCE)


def export_conversations(conversation_ids: Sequence[str], form: str) -> HttpResponse:
    """The conversations one after another, in one of `FORMS`."""
    response = StreamingHttpResponse(_write(conversation_ids, form), content_type=CONTENT_TYPES[form])
    name = conversation_ids[0] if len(conversation_ids) == 1 else f"conversations-{timezone.now():%Y%m%d-%H%M}"
    response["Content-Disposition"] = f'attachment; filename="{name}.{SUFFIXES[form]}"'
    response["Cache-Control"] = "no-store"
    return cast(HttpResponse, response)


async def _write(conversation_ids: Sequence[str], form: str) -> AsyncIterator[str]:
    write = {"json": _list_json, "markdown": _list_markdown, "csv": _list_csv}[form]
    pieces = write(conversation_ids)
    take = sync_to_async(_take, thread_sensitive=False)
    while (piece := await take(pieces)) is not None:
        yield piece


def _take(pieces: Iterator[str]) -> str | None:
    """The next piece, read in a thread of its own."""
    with _gate:
        return call_and_close(lambda: next(pieces, None))


def _find(conversation_ids: Sequence[str]) -> Iterator[tuple[History, list[Stretch]]]:
    """Those that are still there."""
    for conversation_id in conversation_ids:
        row = find_history(conversation_id)
        if row is not None:
            yield row, list(walk_history(row.timeline, row.head))


def _list_json(conversation_ids: Sequence[str]) -> Iterator[str]:
    """Of each what the API's own export gives, in one array."""
    separator = "["
    for row, stretches in _find(conversation_ids):
        head = json.dumps(_show(row), ensure_ascii=False)
        yield f'{separator}{{"object":"conversation.export","conversation":{head},"items":['
        comma = ""
        for items in read_slices(stretches, items_a_slice=ITEMS_A_SLICE):
            yield comma + ",".join(item.content_json for item in items)
            comma = ","
        yield "]}"
        separator = ","
    yield "[]" if separator == "[" else "]"


def _show(row: History) -> dict[str, Any]:
    return {
        "id": row.id,
        "owner": row.owner,
        "title": row.title or None,
        "created_at": int(row.created_at.timestamp()),
        "last_used_at": int(row.last_used_at.timestamp()),
        "forked_from": row.forked_from or None,
        "metadata": row.metadata,
    }


def _list_markdown(conversation_ids: Sequence[str]) -> Iterator[str]:
    between = ""
    for row, stretches in _find(conversation_ids):
        created_at = int(row.created_at.timestamp())
        yield between + render_title(Conversation(id=row.id, title=row.title or None, created_at=created_at))
        for items in read_slices(stretches, items_a_slice=ITEMS_A_SLICE):
            yield "".join(line for item in items for line in _render(item))
        between = "\n---\n\n"


def _render(item: ArchivedItem) -> Iterator[str]:
    try:
        decoded = decode_item(item.content_json)
    except msgspec.ValidationError:  # a newer release may know more kinds
        yield f"\n### {item.type.replace('`', '')}: only the export as JSON shows it\n"
        return
    yield from render_item(decoded)


def _list_csv(conversation_ids: Sequence[str]) -> Iterator[str]:
    yield "\ufeff" + _write_rows([COLUMNS])  # spreadsheets know by this mark that it is UTF-8
    for row, stretches in _find(conversation_ids):
        for items in read_slices(stretches, items_a_slice=ITEMS_A_SLICE):
            wanted = {item.response_id for item in items} - {""}
            found = ArchivedResponse.objects.filter(pk__in=wanted).defer("result_json", "request_json", "input_json")
            responses = {response.pk: response for response in found}
            yield _write_rows([_list_cells(row, item, responses.get(item.response_id)) for item in items])


def _list_cells(row: History, item: ArchivedItem, response: ArchivedResponse | None) -> list[str]:
    told = response and (response.model, response.prompt_id, response.prompt_version, response.status)
    return [
        row.id,
        row.owner,
        row.title,
        item.created_at.isoformat(),
        item.item_id,
        item.type,
        item.role,
        item.text,
        item.response_id,
        *(told or ("", "", "", "")),
    ]


def _write_rows(rows: Sequence[Sequence[str]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows([guard_cell(cell) for cell in row] for row in rows)
    return written.getvalue()


def guard_cell(text: str) -> str:
    """The text as a cell that no spreadsheet runs: an apostrophe stands before what could be a formula."""
    text = text.replace("\0", "")
    # Spreadsheets may leave out what nobody sees before it: spaces of all kinds, and marks without a width.
    seen = next((place for place, letter in enumerate(text) if unicodedata.category(letter)[0] not in "ZC"), 0)
    is_formula = text.startswith(_FORMULA) or text.startswith(_FORMULA, seen)
    return f"'{text}" if is_formula else text
