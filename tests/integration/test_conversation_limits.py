"""A conversation and an input at the API's limits, and one step beyond."""

from typing import Any

import httpx
import pytest

from tests.support.refusals import check_refusal
from tests.support.turns import ask, get_text, make_conversation

MAX_INPUT_ITEMS = 5_000
MEGABYTE = "My town is Oslo. " + "word " * 200_000


def message(text: str) -> dict[str, Any]:
    """A user's message."""
    return {"role": "user", "content": text}


async def test_as_many_input_items_as_the_api_allows(http: httpx.AsyncClient) -> None:
    items = [message(f"item {n}") for n in range(MAX_INPUT_ITEMS - 1)]
    response = (await ask(http, "", input=[*items, message("count to 3")])).json()
    assert get_text(response) == "1 2 3"
    newest = (await http.get(f"/v1/responses/{response['id']}/input_items", params={"limit": 2})).json()
    assert [item["content"][0]["text"] for item in newest["data"]] == ["count to 3", f"item {MAX_INPUT_ITEMS - 2}"]
    error = check_refusal(await ask(http, "", input=[*items, message("one"), message("more")]), param="input")
    assert "5,000" in error["message"]


async def test_a_conversation_of_a_thousand_items_answers_and_pages(http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    url = f"/v1/conversations/{conversation_id}/items"
    for start in range(0, 1_000, 20):
        added = await http.post(url, json={"items": [message(f"item {n}") for n in range(start, start + 20)]})
        assert added.status_code == 200
    await http.post(url, json={"items": [message("My name is Ada.")]})
    assert get_text((await ask(http, "What is my name?", conversation=conversation_id)).json()) == "Your name is Ada."
    found, query = [], {"limit": "100", "order": "asc"}
    while True:
        page = (await http.get(url, params=query)).json()
        found += [item["content"][0]["text"] for item in page["data"]]
        if not page["has_more"]:
            break
        query["after"] = page["last_id"]
    assert found == [*(f"item {n}" for n in range(1_000)), "My name is Ada.", "What is my name?", "Your name is Ada."]


@pytest.mark.parametrize("way", ["conversation", "previous_response_id"])
async def test_a_megabyte_of_input_is_stored_and_does_not_slow_the_next_turn(http: httpx.AsyncClient, way: str) -> None:
    where = {"conversation": await make_conversation(http)} if way == "conversation" else {}
    first = await ask(http, f"{MEGABYTE} count to 3", **where)
    assert get_text(first.json()) == "1 2 3"
    url = f"/v1/responses/{first.json()['id']}/input_items"
    assert (await http.get(url)).json()["data"][0]["content"][0]["text"] == f"{MEGABYTE} count to 3"
    more = where or {"previous_response_id": first.json()["id"]}
    assert get_text((await ask(http, "count to 2", **more)).json()) == "1 2"


async def test_metadata_at_its_bounds_and_beyond(http: httpx.AsyncClient) -> None:
    full = {f"{n:02}" + "k" * 62: "ü" * 512 for n in range(16)}
    made = (await http.post("/v1/conversations", json={"metadata": full})).json()
    assert made["metadata"] == full
    url = f"/v1/conversations/{made['id']}"
    for beyond in ({**full, "one more": "x"}, {"k" * 65: "x"}, {"k": "x" * 513}):
        error = check_refusal(await http.post(url, json={"metadata": beyond}))
        assert error["param"].startswith("metadata")
    assert (await http.get(url)).json() == made


async def test_an_empty_message_is_an_item(http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    added = await http.post(f"/v1/conversations/{conversation_id}/items", json={"items": [message("")]})
    assert added.json()["data"][0]["content"] == [{"type": "input_text", "text": ""}]
    assert (await ask(http, "", conversation=conversation_id)).status_code == 200
