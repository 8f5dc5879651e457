"""Deletion over HTTP: what is deleted is gone everywhere, and nothing else is."""

from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, NotFoundError
from openai.types.responses import Response
from redis.asyncio import Redis

from tests.support.servers import eventually
from tests.support.service import Service

SLOW = "count to 400 [[standin token_s=0.05]]"


async def say(client: AsyncOpenAI, text: str, **where: Any) -> str:
    """One turn. Returns the id of its response."""
    response: Response = await client.responses.create(model="stand-in", input=text, **where)
    return response.id


async def test_a_deleted_response_is_gone_and_what_it_said_stays(alice: AsyncOpenAI) -> None:
    conversation = await alice.conversations.create()
    response = await say(alice, "My name is Ada.", conversation=conversation.id)
    await alice.responses.delete(response)
    with pytest.raises(NotFoundError):
        await alice.responses.retrieve(response)
    with pytest.raises(NotFoundError):
        await alice.responses.delete(response)
    with pytest.raises(NotFoundError, match="Previous response"):
        await say(alice, "Hi", previous_response_id=response)
    answer = await alice.responses.create(model="stand-in", input="What is my name?", conversation=conversation.id)
    assert answer.output_text == "Your name is Ada."


async def test_deleting_answers_as_the_api_says(http: httpx.AsyncClient) -> None:
    response = (await http.post("/v1/responses", json={"input": "Hi"})).json()["id"]
    http.event_hooks = {}  # the specification knows neither answer
    deleted = await http.delete(f"/v1/responses/{response}")
    assert deleted.json() == {"id": response, "object": "response", "deleted": True}
    conversation = (await http.post("/v1/conversations", json={})).json()["id"]
    deleted = await http.delete(f"/v1/conversations/{conversation}")
    assert deleted.json() == {"id": conversation, "object": "conversation.deleted", "deleted": True}


async def test_a_deleted_conversation_takes_everything_below_it_along(alice: AsyncOpenAI, service: Service) -> None:
    conversation = await alice.conversations.create(items=[{"role": "user", "content": "a lilac elephant"}])
    response = await say(alice, "repeat: a lilac elephant", conversation=conversation.id)
    chained = await say(alice, "repeat: a lilac elephant", previous_response_id=response)
    fork = (await alice.post(f"/conversations/{conversation.id}/fork", cast_to=httpx.Response, body={})).json()["id"]
    await say(alice, "repeat: a lilac elephant", conversation=fork)

    await alice.conversations.delete(conversation.id)

    for gone in (response, chained):
        with pytest.raises(NotFoundError):
            await alice.responses.retrieve(gone)
    for gone in (conversation.id, fork):
        with pytest.raises(NotFoundError):
            await alice.conversations.retrieve(gone)
        with pytest.raises(NotFoundError):
            await alice.conversations.items.list(gone)
    async with Redis.from_url(service.valkey.url) as redis:
        await eventually(lambda: _holds_nothing(redis, b"lilac elephant"), within_s=30)


@pytest.mark.usefixtures("quiet_model")
async def test_deleting_a_conversation_stops_what_is_written_to_it(alice: AsyncOpenAI, service: Service) -> None:
    conversation = await alice.conversations.create()
    stream = await alice.responses.create(model="stand-in", input=SLOW, conversation=conversation.id, stream=True)
    created = await anext(aiter(stream))
    assert created.type == "response.created"
    await alice.conversations.delete(conversation.id)
    async with httpx.AsyncClient(base_url=service.standin.url, timeout=20) as control:
        await control.get("/_control/active?until=0&within_s=10")
        assert (await control.get("/_control/active")).json()["active"] == 0
    with pytest.raises(NotFoundError):
        await alice.responses.retrieve(created.response.id)
    await stream.close()


async def test_a_deleted_item_is_not_recalled(alice: AsyncOpenAI) -> None:
    conversation = await alice.conversations.create(items=[{"role": "user", "content": "My name is Ada."}])
    [item] = (await alice.conversations.items.list(conversation.id)).data
    assert item.id is not None
    assert (await alice.conversations.items.retrieve(item.id, conversation_id=conversation.id)).id == item.id
    left = await alice.conversations.items.delete(item.id, conversation_id=conversation.id)
    assert left.id == conversation.id
    with pytest.raises(NotFoundError):
        await alice.conversations.items.retrieve(item.id, conversation_id=conversation.id)
    answer = await alice.responses.create(model="stand-in", input="What is my name?", conversation=conversation.id)
    assert "Ada" not in answer.output_text


async def _holds_nothing(redis: Redis, words: bytes) -> bool:
    """Whether no value of the database contains these words. Late in a run it has many thousands."""
    cursor, is_more = 0, True
    while is_more:
        cursor, keys = await redis.scan(cursor, count=1000)
        pipeline = redis.pipeline(transaction=False)
        for key in keys:
            pipeline.dump(key)
        if any(words in (value or b"") for value in await pipeline.execute()):
            return False
        is_more = cursor != 0
    return True
