"""`GET /v1/responses/{id}/input_items`: a response's input, page by page."""

from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, NotFoundError

from tests.support.function_tools import ASK_WEATHER, WEATHER, compose_output
from tests.support.refusals import UNKNOWN_ITEM, UNKNOWN_RESPONSE, check_refusal
from tests.support.turns import ask, make_conversation

ROLES = ("system", "developer", "user", "assistant", "user")


async def list_input(http: httpx.AsyncClient, response_id: str, **query: Any) -> dict[str, Any]:
    """One page."""
    page: dict[str, Any] = (await http.get(f"/v1/responses/{response_id}/input_items", params=query)).json()
    return page


@pytest.fixture
async def response_id(http: httpx.AsyncClient) -> str:
    """A response with 25 input messages; the oldest says `item 0`."""
    items = [{"role": ROLES[n % 5], "content": f"item {n}"} for n in range(25)]
    return str((await ask(http, "", input=items, instructions="Never shown.")).json()["id"])


async def test_it_works(alice: AsyncOpenAI) -> None:
    response = await alice.responses.create(model="stand-in", input="What is the capital of France?")
    page = await alice.responses.input_items.list(response.id)
    [item] = page.data
    assert item.type == "message"
    assert (item.role, item.status) == ("user", "completed")
    assert [(part.type, getattr(part, "text", None)) for part in item.content] == [
        ("input_text", "What is the capital of France?")
    ]


async def test_the_newest_comes_first_and_twenty_at_a_time(http: httpx.AsyncClient, response_id: str) -> None:
    page = await list_input(http, response_id)
    assert set(page) == {"object", "data", "first_id", "last_id", "has_more"}
    assert [item["content"][0]["text"] for item in page["data"]] == [f"item {n}" for n in range(24, 4, -1)]
    assert page["has_more"] is True
    assert {item["status"] for item in page["data"]} == {"completed"}


async def test_roles_and_kinds_of_text_are_kept(http: httpx.AsyncClient, response_id: str) -> None:
    page = await list_input(http, response_id, order="asc", limit=5)
    assert [item["role"] for item in page["data"]] == list(ROLES)
    kinds = [item["content"][0]["type"] for item in page["data"]]
    assert kinds == ["input_text", "input_text", "input_text", "output_text", "input_text"]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 7, 24, 25, 100])
async def test_pages_hold_every_item_once(http: httpx.AsyncClient, response_id: str, order: str, limit: int) -> None:
    found: list[str] = []
    query: dict[str, Any] = {"order": order, "limit": limit}
    has_more = True
    while has_more:
        page = await list_input(http, response_id, **query)
        assert 0 < len(page["data"]) <= limit
        found += [item["content"][0]["text"] for item in page["data"]]
        has_more, query["after"] = page["has_more"], page["last_id"]
    expected = [f"item {n}" for n in range(25)]
    assert found == (expected if order == "asc" else expected[::-1])


async def test_the_sdk_pages_by_itself(alice: AsyncOpenAI, response_id: str) -> None:
    items = alice.responses.input_items.list(
        response_id, limit=4, order="asc", include=["message.input_image.image_url"]
    )
    ids = [item.id async for item in items]
    assert len(ids) == len(set(ids)) == 25


async def test_ids_are_the_same_each_time_and_can_be_referred_to(http: httpx.AsyncClient) -> None:
    response = (await ask(http, "repeat: the capital is Paris")).json()
    first, again = [await list_input(http, response["id"]) for _ in range(2)]
    assert first == again
    answer = await ask(http, "", input=[{"type": "item_reference", "id": first["first_id"]}])
    assert "the capital is Paris" in answer.text


async def test_the_items_of_a_conversation_are_the_same_items(http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    response = (await ask(http, "Hello", conversation=conversation_id)).json()
    [item] = (await list_input(http, response["id"]))["data"]
    assert (await http.get(f"/v1/conversations/{conversation_id}/items/{item['id']}")).json() == item


async def test_every_kind_of_item_is_listed(http: httpx.AsyncClient) -> None:
    call = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"}
    picture = {"type": "input_image", "image_url": "https://pictures.example/x.png"}
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Look"}, picture]},
        {"type": "reasoning", "summary": []},
        call,
        compose_output(call, "21 degrees"),
    ]
    response = (await ask(http, "", input=items)).json()
    listed = (await list_input(http, response["id"], order="asc"))["data"]
    assert [item["type"] for item in listed] == ["message", "reasoning", "function_call", "function_call_output"]
    assert [part["type"] for part in listed[0]["content"]] == ["input_text", "input_image"]
    assert {key: listed[2][key] for key in call} == call
    assert listed[3]["output"] == "21 degrees"


async def test_the_output_of_a_function_is_input_of_the_next_response(http: httpx.AsyncClient) -> None:
    first = (await ask(http, ASK_WEATHER, tools=[WEATHER])).json()
    output = compose_output(first["output"][0], [{"type": "input_text", "text": "21 degrees"}])
    second = (await ask(http, "", input=[output], previous_response_id=first["id"])).json()
    newest = (await list_input(http, second["id"]))["data"][0]
    assert (newest["type"], newest["call_id"]) == ("function_call_output", output["call_id"])
    assert newest["output"] == [{"type": "input_text", "text": "21 degrees"}]


async def test_the_input_is_there_while_the_answer_is_written(http: httpx.AsyncClient) -> None:
    text = "count to 100 [[standin token_s=0.05]]"
    response = (await ask(http, text, background=True)).json()
    [item] = (await list_input(http, response["id"]))["data"]
    assert item["content"][0]["text"] == text
    await http.post(f"/v1/responses/{response['id']}/cancel")
    assert (await list_input(http, response["id"]))["first_id"] == item["id"]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("limit=", "limit"),
        ("order=up", "order"),
        ("foo=1", "foo"),
    ],
)
async def test_an_odd_query_is_refused_with_its_place(
    http: httpx.AsyncClient, response_id: str, query: str, param: str
) -> None:
    error = check_refusal(await http.get(f"/v1/responses/{response_id}/input_items?{query}"))
    assert error["param"].startswith(param)


async def test_a_page_begins_after_an_item_of_this_response(http: httpx.AsyncClient, response_id: str) -> None:
    elsewhere = (await list_input(http, (await ask(http, "Hello")).json()["id"]))["first_id"]
    for after in (elsewhere, UNKNOWN_ITEM, "nonsense", "*"):
        answer = await http.get(f"/v1/responses/{response_id}/input_items", params={"after": after})
        check_refusal(answer, status=404, code="item_not_found", param="after")


async def test_unknown_deleted_and_anothers_responses_are_not_found(
    http: httpx.AsyncClient, bob: AsyncOpenAI, response_id: str
) -> None:
    with pytest.raises(NotFoundError):
        await bob.responses.input_items.list(response_id)
    await http.delete(f"/v1/responses/{response_id}")
    for gone in (response_id, UNKNOWN_RESPONSE):
        answer = await http.get(f"/v1/responses/{gone}/input_items")
        check_refusal(answer, status=404, code="response_not_found")
        assert gone in answer.text
