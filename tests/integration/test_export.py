"""`GET /v1/conversations/{id}/export`: the owner's data, complete, for programs and for people."""

from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from tests.support.function_tools import ASK_WEATHER, WEATHER, compose_output
from tests.support.refusals import UNKNOWN_CONVERSATION, check_refusal
from tests.support.turns import ask, make_conversation


async def export(http: httpx.AsyncClient, conversation_id: str, **query: str) -> httpx.Response:
    """The whole export."""
    answer = await http.get(f"/v1/conversations/{conversation_id}/export", params=query)
    assert answer.status_code == 200, answer.text
    return answer


async def list_items(http: httpx.AsyncClient, conversation_id: str) -> list[dict[str, Any]]:
    """Every item, oldest first, page by page."""
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"order": "asc", "limit": 100}
    while True:
        page = (await http.get(f"/v1/conversations/{conversation_id}/items", params=query)).json()
        found += page["data"]
        if not page["has_more"]:
            return found
        query["after"] = page["last_id"]


@pytest.fixture
async def conversation_id(http: httpx.AsyncClient) -> str:
    """A conversation of two turns; the first calls a function."""
    made = await make_conversation(http)
    first = (await ask(http, ASK_WEATHER, tools=[WEATHER], conversation=made)).json()
    await ask(http, "", input=[compose_output(first["output"][0], "21 degrees")], conversation=made)
    await ask(http, "repeat: Ünï 🦀", conversation=made)
    return made


@pytest.mark.parametrize("query", [{}, {"format": "json"}])
async def test_json_is_the_conversation_and_its_items_in_order(
    http: httpx.AsyncClient, conversation_id: str, query: dict[str, str]
) -> None:
    exported = (await export(http, conversation_id, **query)).json()
    assert exported == {
        "object": "conversation.export",
        "conversation": (await http.get(f"/v1/conversations/{conversation_id}")).json(),
        "items": await list_items(http, conversation_id),
    }
    assert len(exported["items"]) == 6


async def test_markdown_has_a_title_and_a_heading_for_each_message(
    http: httpx.AsyncClient, conversation_id: str
) -> None:
    answer = await export(http, conversation_id, format="markdown")
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    lines = answer.text.splitlines()
    assert lines[0].startswith("# ")
    messages = [item for item in await list_items(http, conversation_id) if item["type"] == "message"]
    headings = [line.lower() for line in lines if line.startswith("## ")]
    assert len(headings) >= len(messages) == 4
    assert answer.text.count("Ünï 🦀") == 2
    assert "21 degrees" in answer.text


async def test_text_of_a_message_makes_no_heading(http: httpx.AsyncClient) -> None:
    items = [{"role": "user", "content": "# One\n## Two\nplain"}]
    made = (await http.post("/v1/conversations", json={"items": items})).json()["id"]
    lines = (await export(http, made, format="markdown")).text.splitlines()
    assert len([line for line in lines if line.startswith("# ")]) == 1
    assert len([line for line in lines if line.startswith("## ")]) == 1
    assert [line for line in lines if line.endswith("plain")]


async def test_a_long_conversation_is_exported_whole(http: httpx.AsyncClient) -> None:
    made = await make_conversation(http)
    for start in range(0, 240, 20):
        items = [{"role": "user", "content": f"item {n}"} for n in range(start, start + 20)]
        await http.post(f"/v1/conversations/{made}/items", json={"items": items})
    exported = (await export(http, made, format="json")).json()
    assert [item["content"][0]["text"] for item in exported["items"]] == [f"item {n}" for n in range(240)]
    markdown = (await export(http, made, format="markdown")).text
    assert markdown.index("item 0\n") < markdown.index("item 120\n") < markdown.index("item 239")


async def test_an_empty_conversation(http: httpx.AsyncClient) -> None:
    made = await make_conversation(http)
    assert (await export(http, made)).json()["items"] == []
    assert (await export(http, made, format="markdown")).text.startswith("# ")


async def test_the_export_is_a_file_with_a_name(http: httpx.AsyncClient) -> None:
    made = await make_conversation(http)
    for form, suffix in (("json", "json"), ("markdown", "md")):
        headers = (await export(http, made, format=form)).headers
        assert headers["content-disposition"] == f'attachment; filename="{made}.{suffix}"'


async def test_an_export_that_breaks_off_does_not_end_cleanly(http: httpx.AsyncClient) -> None:
    made = await make_conversation(http)
    items = [{"role": "user", "content": "word " * 400_000}] * 4
    for _ in range(5):  # 40 MB: more than the buffers hold for a client that does not read
        assert (await http.post(f"/v1/conversations/{made}/items", json={"items": items})).status_code == 200
    async with http.stream("GET", f"/v1/conversations/{made}/export?format=markdown") as answer:
        pieces = answer.aiter_raw()
        await anext(pieces)
        await http.delete(f"/v1/conversations/{made}")
        with pytest.raises(httpx.RemoteProtocolError):
            async for _ in pieces:
                pass


async def test_a_fork_is_exported_with_what_it_shares(http: httpx.AsyncClient, conversation_id: str) -> None:
    forked = (await http.post(f"/v1/conversations/{conversation_id}/fork", json={})).json()["id"]
    await ask(http, "Hello", conversation=forked)
    shared = (await export(http, conversation_id)).json()["items"]
    assert (await export(http, forked)).json()["items"][: len(shared)] == shared


async def test_a_deleted_item_is_not_exported(http: httpx.AsyncClient, conversation_id: str) -> None:
    first = (await list_items(http, conversation_id))[0]
    await http.delete(f"/v1/conversations/{conversation_id}/items/{first['id']}")
    assert first["id"] not in (await export(http, conversation_id)).text
    assert ASK_WEATHER not in (await export(http, conversation_id, format="markdown")).text


@pytest.mark.parametrize(("query", "param"), [("format=pdf", "format"), ("format=", "format"), ("foo=1", "foo")])
async def test_an_odd_query_is_refused(http: httpx.AsyncClient, conversation_id: str, query: str, param: str) -> None:
    check_refusal(await http.get(f"/v1/conversations/{conversation_id}/export?{query}"), param=param)


@pytest.mark.parametrize("form", ["json", "markdown"])
async def test_unknown_deleted_and_anothers_conversations_are_not_found(
    http: httpx.AsyncClient, bob: AsyncOpenAI, conversation_id: str, form: str
) -> None:
    await http.delete(f"/v1/conversations/{conversation_id}")
    bobs = await bob.conversations.create()
    for gone in (conversation_id, UNKNOWN_CONVERSATION, bobs.id):
        answer = await http.get(f"/v1/conversations/{gone}/export", params={"format": form})
        check_refusal(answer, status=404, code="conversation_not_found")
