"""Forks and references: one history in two places, which then go separate ways."""

from typing import Any

import httpx
from openai import AsyncOpenAI


async def ask(http: httpx.AsyncClient, text: str, **body: Any) -> str:
    """One turn. Returns the model's text."""
    answer = await http.post("/v1/responses", json={"input": text, **body})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["output"][0]["content"][0]["text"])


async def list_texts(http: httpx.AsyncClient, conversation: str) -> list[str]:
    """The texts of the items, oldest first."""
    items = await http.get(f"/v1/conversations/{conversation}/items?order=asc&limit=100")
    return [item["content"][0]["text"] for item in items.json()["data"]]


async def make_history(http: httpx.AsyncClient) -> tuple[str, list[dict[str, Any]]]:
    """A conversation with three facts, and its items."""
    facts = ["My name is Ada.", "My city is Paris.", "My cat is Tom."]
    items = [{"role": "user", "content": fact} for fact in facts]
    conversation = (await http.post("/v1/conversations", json={"items": items})).json()["id"]
    listed = await http.get(f"/v1/conversations/{conversation}/items?order=asc")
    return conversation, listed.json()["data"]


async def test_a_fork_shares_what_was_and_nothing_of_what_comes(http: httpx.AsyncClient) -> None:
    origin, _ = await make_history(http)
    fork = (await http.post(f"/v1/conversations/{origin}/fork", json={})).json()
    assert fork["eps:forked_from"] == origin
    assert await ask(http, "What is my name?", conversation=fork["id"]) == "Your name is Ada."
    await ask(http, "My name is Eve.", conversation=fork["id"])
    assert await ask(http, "What is my name?", conversation=origin) == "Your name is Ada."
    assert await ask(http, "What is my name?", conversation=fork["id"]) == "Your name is Eve."


async def test_a_fork_before_and_after_an_item(http: httpx.AsyncClient) -> None:
    origin, items = await make_history(http)
    for side, expected in (("before", ["My name is Ada."]), ("after", ["My name is Ada.", "My city is Paris."])):
        fork = (await http.post(f"/v1/conversations/{origin}/fork", json={side: items[1]["id"]})).json()["id"]
        assert await list_texts(http, fork) == expected
        await http.post(f"/v1/conversations/{fork}/items", json={"items": [{"role": "user", "content": "New."}]})
        assert await list_texts(http, fork) == [*expected, "New."]
        newest_first = (await http.get(f"/v1/conversations/{fork}/items?limit=2")).json()
        assert newest_first["data"][0]["content"][0]["text"] == "New."
    assert len(await list_texts(http, origin)) == 3


async def test_a_fork_of_a_fork_reads_through_both(http: httpx.AsyncClient) -> None:
    origin, _ = await make_history(http)
    fork = (await http.post(f"/v1/conversations/{origin}/fork", json={})).json()["id"]
    await ask(http, "My dog is Rex.", conversation=fork)
    second = (await http.post(f"/v1/conversations/{fork}/fork", json={})).json()["id"]
    assert await ask(http, "What is my dog?", conversation=second) == "Your dog is Rex."
    assert await ask(http, "What is my city?", conversation=second) == "Your city is Paris."
    deleted = await http.request("DELETE", f"/v1/conversations/{second}", extensions={})
    assert deleted.status_code == 200
    assert await ask(http, "What is my dog?", conversation=fork) == "Your dog is Rex."


async def test_wrong_forks_are_refused(http: httpx.AsyncClient) -> None:
    origin, items = await make_history(http)
    other, others = await make_history(http)
    path = f"/v1/conversations/{origin}/fork"
    assert (await http.post(path, json={"before": items[0]["id"], "after": items[0]["id"]})).status_code == 400
    assert (await http.post(path, json={"before": others[0]["id"]})).status_code == 404
    assert (await http.post(path, json={"before": "msg_" + "0" * 32})).status_code == 404
    assert (await http.post(path, json={"before": "nonsense"})).status_code == 404
    assert (await http.post(path, json={"before": ""})).status_code == 404
    assert (await http.post(path, json={"after": ""})).status_code == 404
    assert (await http.post("/v1/conversations/conv_" + "0" * 32 + "/fork", json={})).status_code == 404
    assert len(await list_texts(http, other)) == 3


async def test_item_references_stand_for_stored_items(http: httpx.AsyncClient, bob: AsyncOpenAI) -> None:
    _, items = await make_history(http)
    reference = {"type": "item_reference", "id": items[0]["id"]}
    asked = [reference, {"role": "user", "content": "What is my name?"}]
    answer = await http.post("/v1/responses", json={"input": asked})
    assert answer.json()["output"][0]["content"][0]["text"] == "Your name is Ada."
    for wrong in (
        {"type": "item_reference", "id": "msg_" + "0" * 32},
        {"type": "item_reference", "id": "nonsense"},
    ):
        refused = await http.post("/v1/responses", json={"input": [wrong]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "item_not_found")
    assert (await http.post("/v1/responses", json={"input": [{"type": "item_reference"}]})).status_code == 400
    answer = await http.post("/v1/responses", json={"input": [{**reference, "role": "user"}, asked[1]]})
    assert answer.json()["eps:ignored"] == ["input[0].role"]
    stranger = await http.post(
        "/v1/responses", json={"input": asked}, headers={"Authorization": f"Bearer {bob.api_key}"}
    )
    assert stranger.status_code == 404


async def test_a_stored_response_accounts_for_what_the_model_was_given(http: httpx.AsyncClient) -> None:
    origin, _ = await make_history(http)
    body = {"input": "What is my name?", "conversation": origin, "instructions": "Be brief."}
    given = (await http.post("/v1/responses", json=body)).json()["eps:model_input"]
    assert given["history_items"] == 3
    assert given["dropped_items"] == 0
    assert given["input_items"] == 1
    assert given["history_tokens"] > 0 < given["instructions_tokens"]
    long = {"items": [{"role": "user", "content": "word " * 30_000}]}
    await http.post(f"/v1/conversations/{origin}/items", json=long)
    given = (await http.post("/v1/responses", json=body)).json()["eps:model_input"]
    assert given["history_items"] == 0
    assert given["dropped_items"] == 6


async def test_forks_are_listed_and_have_what_they_are_given(http: httpx.AsyncClient) -> None:
    origin, items = await make_history(http)
    given = {"before": items[1]["id"], "metadata": {"place": "1"}, "eps:title": "Another way"}
    fork = (await http.post(f"/v1/conversations/{origin}/fork", json=given)).json()
    assert (fork["metadata"], fork["eps:title"]) == ({"place": "1"}, "Another way")
    listed = (await http.get("/v1/conversations", params={"forked_from": origin})).json()
    assert listed["data"] == [fork]
    assert listed["has_more"] is False


async def test_forks_of_what_is_none_are_refused(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/conversations", params={"forked_from": "resp_1"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "forked_from")
    unknown = "conv_00" + 30 * "0"
    answer = await http.get("/v1/conversations", params={"forked_from": unknown})
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "forked_from")
