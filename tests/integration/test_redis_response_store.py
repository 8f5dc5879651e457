"""Responses in a real Valkey: calls that the client sends again after a lost answer. `tests/contract` has the rest."""

import pytest
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.domain.signals import Text
from prompts.errors import ConversationLocked
from prompts.ports.responses import Admitted
from tests.support.builders import (
    RetryingRedis,
    Stores,
    admit,
    build_draft,
    commit,
    lose_lease,
    make_conversation,
    open_stores,
    write,
)


async def read_texts(stores: Stores, response_id: str) -> list[str]:
    """The texts of each group in the log."""
    entries = await stores.event_log.read(response_id, after=-1)
    return ["".join(signal.text for signal in entry.signals if isinstance(signal, Text)) for entry in entries[1:]]


# --- admission ---


@pytest.mark.parametrize("is_in_conversation", [True, False])
async def test_admitting_again_after_a_lost_answer_gives_the_same(
    redis: Redis, stores: Stores, is_in_conversation: bool
) -> None:
    conversation_id = await make_conversation(stores, "Earlier") if is_in_conversation else None
    draft = build_draft(conversation_id=conversation_id)

    first = await admit(stores, draft, history_tokens=100)
    again = await admit(stores, draft, history_tokens=100)

    assert again == first
    assert isinstance(first, Admitted)
    assert first.epoch == "1"
    assert len(first.window) == (1 if is_in_conversation else 0)
    assert await redis.xlen(keys.event_log(draft.response.id)) == 1
    if is_in_conversation:
        with pytest.raises(ConversationLocked):
            await admit(stores, build_draft(conversation_id=conversation_id))


async def test_a_conversation_stays_locked_while_its_response_is_lost(redis: Redis, stores: Stores) -> None:
    """Nothing may come between until another replica has continued it."""
    conversation_id = await make_conversation(stores, "Earlier")
    draft = build_draft(conversation_id=conversation_id)
    admitted = await admit(stores, draft)
    await lose_lease(redis, draft.response.id)
    with pytest.raises(ConversationLocked) as refused:
        await admit(stores, build_draft(conversation_id=conversation_id))
    assert refused.value.active_response_id == draft.response.id
    with pytest.raises(ConversationLocked):
        await stores.conversations.add_items(conversation_id, owner="alice", items=draft.input)
    await commit(stores, admitted, *draft.input)
    await admit(stores, build_draft(conversation_id=conversation_id))


# --- the log ---


async def test_a_hand_over_and_an_end_may_be_sent_twice(redis: Redis, stores: Stores) -> None:
    """The client retries when an answer is lost."""
    twice = open_stores(RetryingRedis.of(redis))
    conversation_id = await make_conversation(twice, "Earlier")
    draft = build_draft(conversation_id=conversation_id)
    admitted = await admit(twice, draft)
    narration = await write(stores, admitted, "One ", "two ")
    await twice.responses.release(draft.response.id, epoch="1", is_broken=False)
    await commit(twice, admitted, *draft.input, narration=narration)
    assert await read_texts(stores, draft.response.id) == ["One ", "two ", "Hi."]
    page = await stores.conversations.list_items(conversation_id, owner="alice", limit=9, order="asc", after=None)
    assert len(page.data) == 3
