"""Items of every kind in a conversation: added, listed, read, sent to the model, deleted."""

from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from tests.support.function_tools import compose_output
from tests.support.model_calls import ModelCalls
from tests.support.refusals import UNKNOWN_CONVERSATION, UNKNOWN_ITEM, UNKNOWN_RESPONSE, check_refusal
from tests.support.turns import ask, get_text, make_conversation

CALL = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city":"Paris"}'}
PICTURE = {"type": "input_image", "image_url": "https://pictures.example/x.png", "detail": "low"}
FILE = {"type": "input_file", "filename": "x.txt", "file_data": "data:text/plain;base64,SGVsbG8="}
ITEMS: list[dict[str, Any]] = [
    {"type": "message", "role": "system", "content": "Be brief."},
    {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Look"}, PICTURE, FILE]},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "I looked."}]},
    CALL,
    compose_output(CALL, [{"type": "input_text", "text": "21 degrees"}]),
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "It is warm."}]},
    {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "I will not."}]},
]
KINDS = ["message", "message", "message", "reasoning", "function_call", "function_call_output", "message", "message"]


async def add(http: httpx.AsyncClient, conversation_id: str, *items: dict[str, Any]) -> list[dict[str, Any]]:
    """Add items; return them as they were stored."""
    answer = await http.post(f"/v1/conversations/{conversation_id}/items", json={"items": items})
    assert answer.status_code == 200, answer.text
    added: list[dict[str, Any]] = answer.json()["data"]
    return added


async def test_it_works(alice: AsyncOpenAI) -> None:
    items: Any = ITEMS
    conversation = await alice.conversations.create(items=items)
    page = await alice.conversations.items.list(conversation.id, order="asc")
    assert [item.type for item in page.data] == KINDS
    for item in page.data:
        assert item.id is not None
        assert await alice.conversations.items.retrieve(item.id, conversation_id=conversation.id) == item


async def test_every_kind_of_item_is_kept_as_it_was_sent(http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    added = await add(http, conversation_id, *ITEMS)
    assert [item["type"] for item in added] == KINDS
    assert len({item["id"] for item in added}) == len(ITEMS)
    assert {item["status"] for item in added} == {"completed"}
    for item, sent in zip(added[3:6], ITEMS[3:6], strict=True):
        assert {key: item[key] for key in sent} == sent
    query = {"order": "asc", "include[]": "message.input_image.image_url"}
    page = (await http.get(f"/v1/conversations/{conversation_id}/items", params=query)).json()
    assert [item["id"] for item in page["data"]] == [item["id"] for item in added]
    assert page["data"][2]["content"][1] == PICTURE
    assert page["data"][2]["content"][2]["filename"] == "x.txt"


async def test_the_model_is_told_every_kind(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    conversation_id = await make_conversation(http)
    await add(http, conversation_id, *ITEMS)
    await ask(http, "And now?", conversation=conversation_id)
    messages = await model_calls.get_messages("And now?")
    roles = [message["role"] for message in messages if message["role"] != "system"]
    assert roles[:3] == ["user", "assistant", "tool"]
    assert messages[-1]["role"] == "user"
    call = next(message["tool_calls"][0] for message in messages if message.get("tool_calls"))
    assert (call["id"], call["function"]["name"]) == ("call_1", "get_weather")
    told = str(messages)
    for words in ("Be brief.", "Be kind.", PICTURE["image_url"], "SGVsbG8=", "21 degrees", "It is warm."):
        assert words in told
    assert "I looked." not in str([message.get("content") for message in messages])


async def test_a_call_may_be_answered_by_a_later_item(http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    await add(http, conversation_id, {"role": "user", "content": "Weather?"}, CALL)
    answer = await ask(http, "", input=[compose_output(CALL, "21 degrees")], conversation=conversation_id)
    assert "get_weather returned: 21 degrees" in get_text(answer.json())


async def test_an_output_for_an_unknown_call_is_refused(http: httpx.AsyncClient) -> None:
    output = compose_output({"call_id": "call_nobody_made"}, "x")
    conversation_id = await make_conversation(http)
    for path in ("/v1/conversations", f"/v1/conversations/{conversation_id}/items"):
        error = check_refusal(await http.post(path, json={"items": [output]}), param="items[0].call_id")
        assert "call_nobody_made" in error["message"]
    page = (await http.get(f"/v1/conversations/{conversation_id}/items")).json()
    assert page["data"] == []


async def test_every_kind_of_item_is_deleted(http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    for item in await add(http, conversation_id, *ITEMS):
        url = f"/v1/conversations/{conversation_id}/items/{item['id']}"
        assert (await http.get(url)).json() == item
        assert (await http.delete(url)).json()["id"] == conversation_id
        for refused in (await http.get(url), await http.delete(url)):
            check_refusal(refused, status=404, code="item_not_found")
    assert (await http.get(f"/v1/conversations/{conversation_id}/items")).json()["data"] == []


async def test_a_fork_may_begin_at_any_kind_of_item(http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    added = await add(http, conversation_id, *ITEMS)
    for place, item in enumerate(added):
        fork = (await http.post(f"/v1/conversations/{conversation_id}/fork", json={"after": item["id"]})).json()
        page = (await http.get(f"/v1/conversations/{fork['id']}/items", params={"order": "asc"})).json()
        assert page["data"] == added[: place + 1]


async def test_any_kind_of_item_can_be_referred_to(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    conversation_id = await make_conversation(http)
    added = await add(http, conversation_id, *ITEMS)
    references = [{"type": "item_reference", "id": item["id"]} for item in added]
    answer = await ask(http, "", input=[*references, {"role": "user", "content": "Remember?"}])
    assert answer.status_code == 200
    messages = await model_calls.get_messages("Remember?")
    assert PICTURE["image_url"] in str(messages)
    assert [message["tool_call_id"] for message in messages if message["role"] == "tool"] == ["call_1"]


async def test_an_item_belongs_to_its_conversation(http: httpx.AsyncClient, bob: AsyncOpenAI) -> None:
    here, there = await make_conversation(http), await make_conversation(http)
    [item, *_] = await add(http, here, *ITEMS)
    bobs = await bob.conversations.create()
    wrong = {there: "item_not_found", bobs.id: "conversation_not_found", UNKNOWN_CONVERSATION: "conversation_not_found"}
    for conversation_id, code in wrong.items():
        for method in ("GET", "DELETE"):
            answer = await http.request(method, f"/v1/conversations/{conversation_id}/items/{item['id']}")
            check_refusal(answer, status=404, code=code)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_unknown_item(http: httpx.AsyncClient, method: str) -> None:
    conversation_id = await make_conversation(http)
    url = f"/v1/conversations/{conversation_id}/items"
    check_refusal(await http.request(method, f"{url}/{UNKNOWN_ITEM}"), status=404, code="item_not_found")
    for wrong in (UNKNOWN_RESPONSE, UNKNOWN_CONVERSATION):
        check_refusal(await http.request(method, f"{url}/{wrong}"), param="item_id")
    # Ids of other services are unknown or of an unknown kind; the error may say either.
    foreign = await http.request(method, f"{url}/item_nonexistent123456789012")
    assert foreign.status_code in (400, 404)


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "nonsense"}, "items[0].type"),
        ({"type": "file_search_call"}, "items[0].queries"),
        ({"type": "message", "role": "tool", "content": "x"}, "items[0].role"),
        ({"type": "message", "role": "user", "content": [{"type": "output_text", "text": "x"}]}, "items[0].content[0]"),
        ({"type": "message", "role": "user", "content": [{"type": "reasoning_text", "text": "x"}]}, "items[0].content"),
        ({"type": "function_call", "call_id": "c", "name": "f"}, "items[0].arguments"),
        ({"type": "reasoning"}, "items[0].summary"),
        ({"type": "compaction", "encrypted_content": "forged"}, "items[0].encrypted_content"),
        ({"type": "item_reference", "id": UNKNOWN_ITEM}, "items[0].id"),
    ],
)
async def test_what_cannot_be_an_item_is_refused_with_its_place(
    http: httpx.AsyncClient, item: dict[str, Any], param: str
) -> None:
    conversation_id = await make_conversation(http)
    for path in ("/v1/conversations", f"/v1/conversations/{conversation_id}/items"):
        answer = await http.post(path, json={"items": [item]})
        assert answer.status_code in (400, 404)
        assert answer.json()["error"]["param"].startswith(param)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "order=up", "foo=1"])
async def test_odd_queries_are_refused(http: httpx.AsyncClient, query: str) -> None:
    conversation_id = await make_conversation(http)
    error = check_refusal(await http.get(f"/v1/conversations/{conversation_id}/items?{query}"))
    assert error["param"].startswith(query.partition("=")[0].removesuffix("[]"))
