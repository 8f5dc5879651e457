"""`/v1/conversations` and their items; one turn at a time; what failed turns and leaving clients leave behind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from openai import AsyncOpenAI
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from tests.support.oracle import check_events, read_frames
from tests.support.servers import eventually
from tests.support.service import Service

# An answer of about a second: long enough for other requests meanwhile.
SLOW = "count to 60 [[standin token_s=0.05]]"


async def create(http: httpx.AsyncClient, **body: Any) -> str:
    """The id of a new conversation."""
    return str((await http.post("/v1/conversations", json=body)).json()["id"])


async def say(http: httpx.AsyncClient, conversation: str, text: str, **more: Any) -> httpx.Response:
    """One turn."""
    return await http.post("/v1/responses", json={"input": text, "conversation": conversation, **more})


async def texts(http: httpx.AsyncClient, conversation: str, **query: Any) -> list[str]:
    """The texts of the items, oldest first."""
    page = await http.get(f"/v1/conversations/{conversation}/items", params={"order": "asc", "limit": 100, **query})
    return [part["text"] for item in page.json()["data"] for part in item["content"]]


def message(text: str, role: str = "user") -> dict[str, str]:
    """A message item in its short form."""
    return {"role": role, "content": text}


async def test_it_works(alice: AsyncOpenAI) -> None:
    conversation = await alice.conversations.create(
        metadata={"topic": "demo"}, items=[{"role": "user", "content": "Hi"}]
    )
    assert (await alice.conversations.retrieve(conversation.id)).metadata == {"topic": "demo"}
    items = await alice.conversations.items.list(conversation.id)
    assert [item.type for item in items.data] == ["message"]


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'{"items":null,"metadata":null}', b'{"items":[]}'])
async def test_an_empty_conversation_needs_no_body(http: httpx.AsyncClient, body: bytes) -> None:
    made = (await http.post("/v1/conversations", content=body)).json()
    assert made["metadata"] == {}
    assert (await http.get(f"/v1/conversations/{made['id']}")).json() == made
    page = (await http.get(f"/v1/conversations/{made['id']}/items")).json()
    assert page == {"data": [], "first_id": None, "last_id": None, "has_more": False, "object": "list"}


async def test_a_thousand_items_may_come_at_once_and_no_more(http: httpx.AsyncClient) -> None:
    items = [message(f"item {n}") for n in range(1_001)]
    conversation = await create(http, items=items[:1_000])
    assert await texts(http, conversation, limit=3) == ["item 0", "item 1", "item 2"]
    added = (await http.post(f"/v1/conversations/{conversation}/items", json={"items": items[:1_000]})).json()
    assert [item["content"][0]["text"] for item in added["data"]] == [f"item {n}" for n in range(1_000)]
    for path in ("/v1/conversations", f"/v1/conversations/{conversation}/items"):
        error = (await http.post(path, json={"items": items})).json()["error"]
        assert (error["code"], error["param"]) == ("invalid_request_error", "items")
        assert "at most 1,000" in error["message"]


async def test_update_replaces_the_metadata(http: httpx.AsyncClient) -> None:
    conversation = await create(http, metadata={"a": "1", "b": "2"})
    for metadata in ({"b": "3", "c": "ünï 🦀"}, None, {}):
        updated = (await http.post(f"/v1/conversations/{conversation}", json={"metadata": metadata})).json()
        assert updated["metadata"] == (metadata or {})
        assert (await http.get(f"/v1/conversations/{conversation}")).json() == updated


async def test_items_are_appended_in_the_order_given(http: httpx.AsyncClient) -> None:
    conversation = await create(http, items=[message("first")])
    path = f"/v1/conversations/{conversation}/items"
    roles = ("system", "developer", "assistant", "user")
    added = (await http.post(path, json={"items": [message(role, role) for role in roles]})).json()
    assert [item["role"] for item in added["data"]] == list(roles)
    assert await texts(http, conversation) == ["first", *roles]
    newest = (await http.get(path, params={"limit": 4})).json()
    assert [item["role"] for item in newest["data"]] == list(reversed(roles))
    assert newest["has_more"]
    assert sorted(item["id"] for item in newest["data"]) == sorted(item["id"] for item in added["data"])


async def test_items_that_were_added_are_remembered(http: httpx.AsyncClient) -> None:
    conversation = await create(http, items=[message("My name is Ada.")])
    await http.post(f"/v1/conversations/{conversation}/items", json={"items": [message("My city is Paris.")]})
    for question, answer in (("What is my name?", "Your name is Ada."), ("What is my city?", "Your city is Paris.")):
        said = (await say(http, conversation, question)).json()
        assert said["output"][0]["content"][0]["text"] == answer


@pytest.fixture
async def long_conversation(http: httpx.AsyncClient) -> str:
    """45 items; the last two are a turn's."""
    conversation = await create(http, items=[message(f"item {n}") for n in range(20)])
    for first, last in ((20, 40), (40, 43)):
        items = [message(f"item {n}") for n in range(first, last)]
        await http.post(f"/v1/conversations/{conversation}/items", json={"items": items})
    await say(http, conversation, "repeat: item 44")
    return conversation


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 10, 44, 45, 100])
async def test_pages_hold_every_item_once(
    http: httpx.AsyncClient, long_conversation: str, order: str, limit: int
) -> None:
    found: list[str] = []
    query: dict[str, Any] = {"order": order, "limit": limit}
    has_more = True
    while has_more:
        page = (await http.get(f"/v1/conversations/{long_conversation}/items", params=query)).json()
        assert 0 < len(page["data"]) <= limit
        found += [item["content"][0]["text"] for item in page["data"]]
        has_more, query["after"] = page["has_more"], page["last_id"]
    expected = [*(f"item {n}" for n in range(43)), "repeat: item 44", "item 44"]
    assert found == (expected if order == "asc" else expected[::-1])


async def test_the_sdk_pages_by_itself(alice: AsyncOpenAI, long_conversation: str) -> None:
    ids = [item.id async for item in alice.conversations.items.list(long_conversation, limit=7)]
    assert len(ids) == len(set(ids)) == 45


async def test_a_page_begins_after_an_item_of_this_conversation(http: httpx.AsyncClient) -> None:
    here, there = await create(http, items=[message("here")]), await create(http, items=[message("there")])
    item = (await http.get(f"/v1/conversations/{there}/items")).json()["first_id"]
    for after in (item, "msg_" + "0" * 32, "nonsense", "*"):
        answer = await http.get(f"/v1/conversations/{here}/items", params={"after": after})
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "item_not_found"
        assert answer.json()["error"]["param"] == "after"


async def list_ids(http: httpx.AsyncClient, **query: Any) -> list[str]:
    """A page of the client's own conversations."""
    page = (await http.get("/v1/conversations", params=query)).json()
    return [conversation["id"] for conversation in page["data"]]


async def test_conversations_are_listed_last_used_first(http: httpx.AsyncClient) -> None:
    first, second, third = [await create(http) for _ in range(3)]
    assert await list_ids(http, limit=3) == [third, second, first]
    await say(http, first, "Hello")
    assert await list_ids(http, limit=3) == [first, third, second]
    await http.post(f"/v1/conversations/{second}/items", json={"items": [message("Hello")]})
    assert await list_ids(http, limit=3) == [second, first, third]


async def test_pages_of_conversations(http: httpx.AsyncClient) -> None:
    made = [await create(http) for _ in range(5)][::-1]
    page = (await http.get("/v1/conversations", params={"limit": 2})).json()
    assert [entry["id"] for entry in page["data"]] == made[:2]
    assert page["has_more"]
    assert await list_ids(http, limit=3, after=made[1]) == made[2:]


async def test_an_entry_whose_conversation_is_gone_is_passed_over(http: httpx.AsyncClient, service: Service) -> None:
    first, second, third = [await create(http) for _ in range(3)]
    async with Redis.from_url(service.valkey.url) as redis:
        await redis.delete(keys.conversation(second))
    assert await list_ids(http, limit=2) == [third, first]


async def read_created(lines: AsyncIterator[str]) -> str:
    """The response id in a stream's first event."""
    assert await anext(lines) == "event: response.created"
    created = msgspec.json.decode((await anext(lines)).removeprefix("data: "))
    return str(created["response"]["id"])


@asynccontextmanager
async def running(http: httpx.AsyncClient, conversation: str) -> AsyncIterator[str]:
    """The id of a running streamed response; at the end its stream is read to the end."""
    body = {"input": SLOW, "conversation": conversation, "stream": True}
    async with http.stream("POST", "/v1/responses", json=body) as stream:
        lines = stream.aiter_lines()
        yield await read_created(lines)
        assert [line async for line in lines][-2] == "data: [DONE]"


async def test_a_running_response_locks_its_conversation(http: httpx.AsyncClient) -> None:
    conversation = await create(http)
    async with running(http, conversation) as response:
        shown = (await http.get(f"/v1/conversations/{conversation}")).json()
        assert shown["eps:active_response_id"] == response
        assert (await http.get(f"/v1/responses/{response}")).json()["status"] == "in_progress"
        refused = [
            await say(http, conversation, "Hello"),
            await say(http, conversation, "Hello", stream=True),
            await http.post(f"/v1/conversations/{conversation}/items", json={"items": [message("Hello")]}),
        ]
    for answer in refused:
        assert answer.status_code == 409
        assert answer.headers["x-should-retry"] == "false"
        assert int(answer.headers["retry-after"]) >= 1
        error = answer.json()["error"]
        assert (error["code"], error["active_response_id"]) == ("conversation_locked", response)
        assert response in error["message"]
    shown = (await http.get(f"/v1/conversations/{conversation}")).json()
    assert shown["eps:active_response_id"] is None
    assert (await say(http, conversation, "repeat: free again")).status_code == 200
    assert [text for text in await texts(http, conversation) if text == "Hello"] == []


async def test_reading_and_renaming_go_on_while_a_response_runs(http: httpx.AsyncClient) -> None:
    conversation = await create(http, items=[message("Hi")])
    async with running(http, conversation):
        assert await texts(http, conversation) == ["Hi"]
        await http.post(f"/v1/conversations/{conversation}", json={"metadata": {"a": "b"}})
    assert (await http.get(f"/v1/conversations/{conversation}")).json()["metadata"] == {"a": "b"}
    assert len(await texts(http, conversation)) == 3


@pytest.mark.parametrize(("fault", "status"), [("status=500", 502), ("end_after=3", 502), ("status=429", 429)])
async def test_a_failed_response_leaves_the_conversation_as_it_was(
    http: httpx.AsyncClient, fault: str, status: int
) -> None:
    conversation = await create(http, items=[message("My city is Paris.")])
    before = (await http.get(f"/v1/conversations/{conversation}")).json()
    failed = await say(http, conversation, f"My name is Ada. [[standin {fault}]]")
    assert failed.status_code == status
    streamed = await say(http, conversation, f"My name is Bob. [[standin {fault}]]", stream=True)
    events = read_frames(streamed.content)
    assert check_events(events)["status"] == "failed"
    assert events[-1]["type"] == "response.failed"
    assert (await http.get(f"/v1/conversations/{conversation}")).json() == before
    assert await texts(http, conversation) == ["My city is Paris."]
    answer = (await say(http, conversation, "What is my name?")).json()["output"][0]["content"][0]["text"]
    assert "Ada" not in answer
    assert "Bob" not in answer
    assert len(await texts(http, conversation)) == 3


async def test_a_short_failure_of_the_model_is_not_seen(http: httpx.AsyncClient) -> None:
    conversation = await create(http)
    assert (await say(http, conversation, "My name is Ada. [[standin status=500 fail=1]]")).status_code == 200
    second = (await say(http, conversation, "What is my name?")).json()
    assert second["output"][0]["content"][0]["text"] == "Your name is Ada."


async def test_the_turn_of_a_client_that_leaves_is_answered_and_stored(http: httpx.AsyncClient) -> None:
    conversation = await create(http)
    body = {"input": SLOW, "conversation": conversation, "stream": True}
    async with http.stream("POST", "/v1/responses", json=body) as stream:
        lines = stream.aiter_lines()
        response = await read_created(lines)
        while await anext(lines) != "event: response.output_text.delta":
            pass

    async def is_stored() -> bool:
        return bool((await http.get(f"/v1/responses/{response}")).json()["status"] == "completed")

    await eventually(is_stored)
    assert (await texts(http, conversation))[1] == " ".join(str(n) for n in range(1, 61))
    assert (await http.get(f"/v1/conversations/{conversation}")).json()["eps:active_response_id"] is None


async def test_a_conversation_has_a_title_that_can_be_changed_and_taken_away(http: httpx.AsyncClient) -> None:
    made = (await http.post("/v1/conversations", json={"eps:title": "Travel plans"})).json()
    url = f"/v1/conversations/{made['id']}"
    assert made["eps:title"] == (await http.get(url)).json()["eps:title"] == "Travel plans"
    for body, title in (
        ({"metadata": {"a": "b"}}, "Travel plans"),
        ({"metadata": {}, "eps:title": "Ünïcode 🦀"}, "Ünïcode 🦀"),
        ({"metadata": {}, "eps:title": ""}, None),
    ):
        updated = (await http.post(url, json=body)).json()
        assert updated["eps:title"] == (await http.get(url)).json()["eps:title"] == title
    for odd in ("x" * 201, 3):
        refused = await http.post(url, json={"metadata": {}, "eps:title": odd})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "eps:title")
