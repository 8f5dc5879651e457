"""A stored compaction is a response like any other: read, continued, deleted, and made once a key."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.compactions import RedisCompactions
from prompts.adapters.redis.histories import RedisHistories
from prompts.adapters.redis.scripts import read_fields
from prompts.domain import ids
from prompts.domain.items import Compaction, Message, text_of
from prompts.domain.responses import CompactedHistory
from prompts.domain.usage import Usage
from prompts.ports.responses import Claim
from prompts.run.sweeping import erase_due
from prompts.usecases.anchors import read_anchor
from tests.support.builders import RetryingRedis, Stores, build_item, take_turn
from tests.support.model_calls import ModelCalls
from tests.support.refusals import check_refusal
from tests.support.server_fixtures import StartReplica
from tests.support.servers import ValkeyServer
from tests.support.service import Service
from tests.support.turns import ask, get_text, open_client

HISTORY = [
    {"role": "user", "content": "My name is Ada."},
    {"type": "function_call", "call_id": "call_1", "name": "get_city", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "call_1", "output": '{"city": "Paris"}'},
    {"role": "assistant", "content": "Nice to meet you."},
]
URL = "/v1/responses/compact"
OWNER = "alice"


async def compact(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    """The compaction of this history, or of the default one."""
    answer = await http.post(URL, json={"model": "stand-in", "input": HISTORY, **body})
    assert answer.status_code == 200, answer.text
    compaction: dict[str, Any] = answer.json()
    return compaction


# --- over HTTP ---


async def test_it_is_read_as_it_was_given(http: httpx.AsyncClient, bob: AsyncOpenAI) -> None:
    answer = await http.post(URL, json={"model": "stand-in", "input": HISTORY})
    stored = await http.get(f"/v1/responses/{answer.json()['id']}")
    assert stored.content == answer.content
    headers = {"Authorization": f"Bearer {bob.api_key}"}
    check_refusal(await http.get(stored.url.path, headers=headers), status=404, code="response_not_found")


async def test_it_has_no_events_and_cannot_be_cancelled(http: httpx.AsyncClient) -> None:
    url = f"/v1/responses/{(await compact(http))['id']}"
    check_refusal(await http.get(url, params={"stream": "true"}), param="stream")
    check_refusal(await http.post(f"{url}/cancel"), status=409, code="response_ended")


async def test_what_only_a_function_said_is_still_known(http: httpx.AsyncClient) -> None:
    compaction = await compact(http)
    answer = await ask(http, "What is the city?", previous_response_id=compaction["id"])
    assert get_text(answer.json()) == "The city is Paris."


async def test_the_model_sees_neither_the_seal_nor_what_it_stands_for(
    http: httpx.AsyncClient, model_calls: ModelCalls
) -> None:
    compaction = await compact(http)
    await ask(http, "What is the city?", previous_response_id=compaction["id"])
    messages = await model_calls.get_messages("What is the city?")
    # Templates of many models take one system message, first (SYSTEM_MESSAGES=merge): the notes stand in it.
    assert [message["role"] for message in messages] == ["system", "user", "user"]
    assert compaction["output"][-1]["encrypted_content"][:40] not in str(messages)


async def test_a_deleted_one_is_no_previous_response(http: httpx.AsyncClient) -> None:
    compaction = await compact(http)
    assert (await http.delete(f"/v1/responses/{compaction['id']}")).json()["deleted"]
    answer = await ask(http, "Hello", previous_response_id=compaction["id"])
    check_refusal(answer, status=404, code="previous_response_not_found")


async def test_one_may_lie_between_two_turns_and_be_compacted_itself(http: httpx.AsyncClient) -> None:
    first = await compact(http)
    turn = (await ask(http, "My code is 4711.", previous_response_id=first["id"])).json()
    second = await compact(http, input=None, previous_response_id=turn["id"])
    assert [item["type"] for item in second["output"]] == ["message", "message", "compaction"]
    for question, answer in (("What is the city?", "The city is Paris."), ("What is my code?", "Your code is 4711.")):
        said = await ask(http, question, previous_response_id=second["id"])
        assert get_text(said.json()) == answer


@pytest.mark.parametrize("at_once", [False, True])
async def test_the_same_key_is_given_the_same_compaction(
    http: httpx.AsyncClient, other: httpx.AsyncClient, at_once: bool
) -> None:
    key = {"Idempotency-Key": f"compact-{ids.new_id('key', '00')}"}
    asking = [client.post(URL, json={"model": "stand-in", "input": HISTORY}, headers=key) for client in (http, other)]
    answers = await asyncio.gather(*asking) if at_once else [await each for each in asking]
    assert answers[0].content == answers[1].content
    assert [answer.headers.get("idempotency-replayed") for answer in answers].count("true") == 1
    changed = await http.post(URL, json={"model": "stand-in", "input": "Hello"}, headers=key)
    check_refusal(changed, status=422, code="idempotency_key_reused")


async def test_what_the_model_fails_at_is_said_and_nothing_is_kept(http: httpx.AsyncClient) -> None:
    for directive, status in (("finish=length", 502), ("refuse", 502), ("status=400", 400)):
        history = [{"role": "user", "content": f"Hello [[standin {directive}]]"}]
        check_refusal(await http.post(URL, json={"model": "stand-in", "input": history}), status=status, code=None)


async def test_a_compaction_refuses_an_output_of_an_unknown_call(http: httpx.AsyncClient) -> None:
    orphan = {"type": "function_call_output", "call_id": "call_9", "output": "21"}
    answer = await http.post(URL, json={"model": "stand-in", "input": [*HISTORY, orphan]})
    check_refusal(answer, param="input[4].call_id")


async def test_a_secret_can_be_replaced(service: Service, http: httpx.AsyncClient, start_replica: StartReplica) -> None:
    old, new = "an-old-key-which-protects-nothing", "a-new-key-which-protects-nothing"
    after = {"SECRET_KEY": new}
    secrets = [{"SECRET_KEY": old}, {**after, "SECRET_KEY_FALLBACKS": f"older,{old}"}, after]
    replicas = [await asyncio.to_thread(start_replica, {**service.environment, **secret}) for secret in secrets]
    async with open_client(http, replicas[0]) as client:
        compaction = await compact(client)
    for replica, known in zip(replicas, (True, True, False), strict=True):
        async with open_client(http, replica) as client:
            answer = await ask(client, "What is the city?", previous_response_id=compaction["id"])
            assert get_text(answer.json()).startswith("The city is Paris." if known else "I do not know the city")
            again = [compaction["output"][-1], {"role": "user", "content": "Hello"}]
            assert (await ask(client, "", input=again)).status_code == (200 if known else 400)


# --- in a real Valkey ---


@pytest.fixture
async def redis(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    """A client of the shared server."""
    async with Redis.from_url(valkey.url) as client:
        yield client


async def read(
    redis: Redis, *, conversation_id: str | None = None, response_id: str | None = None, max_tokens: int | None = None
) -> list[str]:
    """The texts of a history."""
    anchor = read_anchor(conversation_id, response_id)
    assert anchor is not None
    items = await RedisHistories(redis).read(anchor, owner=OWNER, max_tokens=max_tokens)
    return [text_of(item) for item in items if isinstance(item, Message)]


async def test_keeping_one_again_after_a_lost_answer_keeps_it_once(redis: Redis) -> None:
    compactions = RedisCompactions(RetryingRedis.of(redis), retention_s=60)
    compacted = CompactedHistory(
        id=ids.new_id(ids.RESPONSE, "05"),
        created_at=1,
        output=[build_item("Hello", "05"), Compaction(ids.new_id(ids.COMPACTION, "05"), "sealed")],
        usage=Usage(1, 2, 3),
    )
    claim = Claim(body_hash="of Hello", idempotency_key=compacted.id)
    assert await compactions.keep(compacted, [], claim, owner=OWNER, anchor=None) is None
    assert await read(redis, response_id=compacted.id) == ["Hello"]
    found = await compactions.find(claim, "05", owner=OWNER, anchor=None)
    assert found is not None
    assert found.response_id == compacted.id


async def test_it_is_erased_with_what_continues_it(redis: Redis, stores: Stores) -> None:
    compactions = RedisCompactions(redis, retention_s=60)
    compacted = CompactedHistory(
        id=ids.new_id(ids.RESPONSE, "06"),
        created_at=1,
        output=[build_item("Hello", "06"), Compaction(ids.new_id(ids.COMPACTION, "06"), "sealed")],
        usage=Usage(1, 2, 3),
    )
    await compactions.keep(compacted, [], Claim(body_hash="of Hello"), owner=OWNER, anchor=None)
    response_id = await take_turn(stores, previous_response_id=compacted.id)
    [root] = await read_fields(redis, keys.response(compacted.id), ["timeline"])
    assert root is not None
    await redis.zadd(keys.expiry("06"), {b"chain:" + root: 0})
    await erase_due(stores.eraser)
    parts = [root, compacted.id.encode(), response_id.encode(), *(item.id.encode() for item in compacted.output)]
    left = [key async for key in redis.scan_iter("eps:{06}:*", count=1000) if any(part in key for part in parts)]
    assert left == []
