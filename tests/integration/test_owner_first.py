"""Nothing of what belongs to another owner is read, so that the time of a 404 does not tell that it is there."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from prompts.errors import NotFound
from tests.support import builders
from tests.support.builders import Stores, admit, build_draft, commit, make_conversation, open_stores

LONG = "x" * 3_000_000
# What Redis sends besides: its word that there is none, and the scripts' replies.
FEW_BYTES = 500
STRANGER = "bob"
KINDS = ("get", "echo", "input", "follow-ups", "feedback", "delete", "cancel", "conversation", "items")


async def take_long_turn(stores: Stores) -> str:
    """A response whose request, input and answer are long."""
    draft = build_draft(LONG)
    draft = builders.replace_response(draft, replace(draft.response, instructions=LONG))
    await commit(stores, await admit(stores, draft), *draft.input)
    return draft.response.id


def list_calls(stores: Stores, response_id: str, conversation_id: str) -> dict[str, Callable[[], Awaitable[object]]]:
    """What a stranger may try."""
    responses, notes, conversations = stores.responses, stores.notes, stores.conversations
    page: dict[str, Any] = {"limit": 20, "order": "desc", "after": None}
    return {
        "get": lambda: responses.get(response_id, owner=STRANGER),
        "echo": lambda: stores.event_log.get_echo(response_id, owner=STRANGER),
        "input": lambda: notes.list_input(response_id, owner=STRANGER, **page),
        "follow-ups": lambda: notes.find_follow_ups(response_id, owner=STRANGER, history_tokens=8000),
        "feedback": lambda: notes.find_feedback(response_id, owner=STRANGER),
        "delete": lambda: responses.delete(response_id, owner=STRANGER),
        "cancel": lambda: responses.seize(response_id, owner=STRANGER, lease_s=10),
        "conversation": lambda: conversations.get(conversation_id, owner=STRANGER),
        "items": lambda: conversations.list_items(conversation_id, owner=STRANGER, **page),
    }


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stranger_has_nothing_read(redis: Redis, kind: str) -> None:
    stores = open_stores(redis)
    response_id, conversation_id = await take_long_turn(stores), await make_conversation(stores, LONG)
    call = list_calls(stores, response_id, conversation_id)[kind]
    await redis.config_resetstat()
    with pytest.raises(NotFound):
        await call()
    sent = await redis.info("stats")
    assert sent["total_net_output_bytes"] < FEW_BYTES
    found = await redis.info("commandstats")
    assert not {"cmdstat_xrange", "cmdstat_xrevrange"} & set(found)
