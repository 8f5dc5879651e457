"""Responses in a real Valkey, at the level of the scripts."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from prompts import ids
from prompts.adapters import redis_names as names
from prompts.adapters.redis_conversation_store import RedisConversationStore
from prompts.adapters.redis_response_store import RedisResponseStore, Retention
from prompts.domain import InputText, Message, ModelRequest, Response
from prompts.errors import ConversationLocked
from prompts.ports import Admitted, Claim, Draft
from tests.servers import ValkeyServer


@pytest.fixture
async def redis(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    """A client of the shared server."""
    async with Redis.from_url(valkey.url) as client:
        yield client


def build_draft(conversation_id: str | None = None) -> Draft:
    """A turn that says hello."""
    partition = ids.get_partition(conversation_id) if conversation_id else ids.new_partition()
    response_id = ids.new_id(ids.RESPONSE, partition)
    hello = Message(
        id=ids.new_id(ids.MESSAGE, partition), status="completed", role="user", content=[InputText("Hello")]
    )
    return Draft(
        response=Response(id=response_id, created_at=0, status="in_progress", model="m"),
        model_request=ModelRequest(model="m"),
        input=[hello],
        conversation_id=conversation_id,
        previous_response_id=None,
        claim=Claim(body_hash="hello"),
        last_opening_number=1,
    )


@pytest.mark.parametrize("is_in_conversation", [True, False])
async def test_admitting_again_after_a_lost_answer_gives_the_same(redis: Redis, is_in_conversation: bool) -> None:
    conversations = RedisConversationStore(redis, retention_s=60)
    responses = RedisResponseStore(redis, replica_id="rep_1", retention=Retention(log_s=60, history_s=60))
    conversation_id = None
    if is_in_conversation:
        conversation_id = ids.new_id(ids.CONVERSATION, ids.new_partition())
        said = Message(
            id=ids.new_id(ids.MESSAGE, ids.get_partition(conversation_id)),
            status="completed",
            role="user",
            content=[InputText("Earlier")],
        )
        await conversations.create(conversation_id, owner="alice", metadata={}, items=[said])
    draft = build_draft(conversation_id)

    first = await responses.admit(draft, owner="alice", history_tokens=100, lease_s=10)
    again = await responses.admit(draft, owner="alice", history_tokens=100, lease_s=10)

    assert again == first
    assert isinstance(first, Admitted)
    assert len(first.window) == (1 if is_in_conversation else 0)
    assert await redis.xlen(names.event_log(draft.response.id)) == 1
    if is_in_conversation:
        with pytest.raises(ConversationLocked):
            await responses.admit(build_draft(conversation_id), owner="alice", history_tokens=100, lease_s=10)
