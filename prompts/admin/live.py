"""What is being answered at this moment, from the event log, for the script of a transcript."""

from typing import Any, cast

import msgspec
from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from prompts.admin.history_rows import History, find_active
from prompts.admin.staff_actions import has_looked, note_action
from prompts.api.state import State, get_state
from prompts.domain.items import Item, Message, text_of
from prompts.errors import ServiceError
from prompts.run.ending import retell


def read_live(request: HttpRequest, row: History) -> str:
    """JSON: the id of the active response and its words so far; nothing in it when none is active, or Redis is away.

    A transcript asks again and again. So this is noted for whoever has not opened it: the words are the same.
    """
    state = get_state(cast(ASGIRequest, request).scope)
    heard_of = None if row.kind == "conversation" else find_active(row)
    try:
        told = async_to_sync(_read)(state, row, heard_of)
    except ServiceError:  # it ended a moment ago, or is not in Redis any more
        told = {}
    if told and not has_looked(request, row.kind, row.id):
        note_action(request, "followed", row.kind, row.id)
    return msgspec.json.encode(told).decode()


async def _read(state: State, row: History, response_id: str | None) -> dict[str, Any]:
    if row.kind == "conversation":
        response_id = (await state.conversations.get(row.id, owner=row.owner)).active_response_id
    if response_id is None:
        return {}
    echo = await state.turns.event_log.get_echo(response_id, owner=row.owner)
    narration = await retell(echo, event_log=state.turns.event_log)
    return {"response": echo.id, "text": "\n\n".join(filter(None, map(_tell, narration.list_said())))}


def _tell(item: Item) -> str:
    return text_of(item) if isinstance(item, Message) else ""
