"""Operators erase a conversation for good; a receipt says what was where, and holds nothing of what was said."""

import html
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from django.contrib.admin.utils import quote

from tests.integration.test_api_keys import read_database, read_everything
from tests.support.archived import new_conversation_id, say, write_archive
from tests.support.servers import eventually
from tests.support.service import Service
from tests.support.staff import submit, wait_archived
from tests.support.turns import ask, make_conversation

LIST = "/admin/prompts/archivedconversation/"
SECRET = "xylophonesecret"
# What the receipt says of one conversation with a fork, of two turns.
COUNTED = (
    "Redis: conversations, forks included: 2",
    "Redis: responses, with event logs: 2",
    "Redis: idempotency records: 1",
    "Archive: conversations: 2",
    "Archive: responses: 2",
    "Archive: feedback: 1",
    "Archive: passages kept with responses: 1",
    "Files, with their bytes and passages: 2",
    "Vector stores, with their passages in the index: 1",
)


@pytest.fixture
async def http(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Bob's. Other tests make Alice's responses unreadable: then nobody knows what of hers uses a file."""
    headers = {"Authorization": f"Bearer {service.bob_key}"}
    async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=30) as client:
        yield client


def erase_path(conversation_id: str) -> str:
    return f"{LIST}{quote(conversation_id)}/erase/"


async def upload(http: httpx.AsyncClient, name: str) -> str:
    """A file that says the secret."""
    content = f"The {SECRET} notice period is four weeks.".encode()
    answer = await http.post("/v1/files", data={"purpose": "assistants"}, files={"file": (name, content)})
    return str(answer.json()["id"])


async def index(http: httpx.AsyncClient, store: str, file: str) -> None:
    await http.post(f"/v1/vector_stores/{store}/files", json={"file_id": file})

    async def is_indexed() -> bool:
        shown = (await http.get(f"/v1/vector_stores/{store}/files/{file}")).json()
        return bool(shown["status"] == "completed")

    await eventually(is_indexed)


async def test_what_is_erased_is_nowhere(oscar: httpx.AsyncClient, http: httpx.AsyncClient, service: Service) -> None:
    indexed, named = await upload(http, f"{SECRET}.md"), await upload(http, f"{SECRET}.txt")
    store = (await http.post("/v1/vector_stores", json={"name": "Files of a conversation"})).json()["id"]
    await index(http, store, indexed)
    made = {"metadata": {"eps_page_files": store}, "eps:title": SECRET}
    conversation = (await http.post("/v1/conversations", json=made)).json()["id"]
    content = [{"type": "input_text", "text": f"Say {SECRET}"}, {"type": "input_file", "file_id": named}]
    search = {"type": "file_search", "vector_store_ids": [store], "eps:when": "always"}
    asked = {"input": [{"role": "user", "content": content}], "model": "stand-in", "tools": [search]}
    key = {"Idempotency-Key": f"key-{conversation}"}
    answered = await http.post("/v1/responses", json={**asked, "conversation": conversation}, headers=key)
    response = answered.json()["id"]
    await http.put(f"/v1/responses/{response}/feedback", json={"score": 1, "comment": SECRET})
    fork = (await http.post(f"/v1/conversations/{conversation}/fork", json={"eps:title": f"{SECRET} fork"})).json()[
        "id"
    ]
    await ask(http, f"Again {SECRET}", conversation=fork)
    await wait_archived(oscar, conversation, f'<blockquote class="eps-comment">{SECRET}')
    await wait_archived(oscar, fork, f"Again {SECRET}")
    assert SECRET.encode() in await read_everything(service.valkey.url)
    page = html.unescape((await oscar.get(erase_path(conversation))).text)
    for words in (f"{SECRET} fork", f"{SECRET}.md", f"{SECRET}.txt", "Files of a conversation (vector store)"):
        assert words in page, words
    fields = {"reason": "asked by letter", "with_files": "on"}
    receipt = html.unescape((await submit(oscar, erase_path(conversation), **fields)).text)
    assert SECRET not in receipt
    for words in ("asked by letter", "oscar", *COUNTED):
        assert words in receipt, words
    for path in (f"conversations/{conversation}", f"conversations/{fork}", f"responses/{response}"):
        assert (await http.get(f"/v1/{path}")).status_code == 404
    for path in (f"files/{indexed}", f"files/{named}", f"vector_stores/{store}"):
        assert (await http.get(f"/v1/{path}")).status_code == 404
    for conversation_id in (conversation, fork):
        assert (await oscar.get(f"{LIST}{quote(conversation_id)}/change/")).status_code == 404
    assert SECRET.encode() not in await read_everything(service.valkey.url)
    assert SECRET.encode() not in await read_everything(service.valkey.cache_url)
    assert SECRET.encode() not in read_database(service)
    held = [path for path in service.replica.directory.rglob("*") if path.is_file()]
    assert not [path for path in held if SECRET in path.name or SECRET.encode() in path.read_bytes()]
    assert "No conversation fits" in (await oscar.get(LIST, params={"q": SECRET})).text


async def test_support_erases_nothing(sue: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    conversation = await make_conversation(http)
    await ask(http, "It stays", conversation=conversation)
    path = await wait_archived(sue, conversation, "It stays")
    assert "Erase" not in (await sue.get(path)).text
    assert (await sue.get(erase_path(conversation))).status_code == 403
    token = {"csrfmiddlewaretoken": sue.cookies["csrftoken"]}
    assert (await sue.post(erase_path(conversation), data={**token, "reason": "x"})).status_code == 403
    assert (await http.get(f"/v1/conversations/{conversation}")).status_code == 200


async def test_what_redis_let_go_is_erased_too_and_a_reason_is_needed(
    oscar: httpx.AsyncClient, service: Service
) -> None:
    gone = new_conversation_id()
    write_archive(service.environment, {"id": gone, "title": "old", "said": [say("user", "long ago")]})
    assert "This field is required" in (await submit(oscar, erase_path(gone), reason="")).text
    receipt = html.unescape((await submit(oscar, erase_path(gone), reason="policy")).text)
    assert "Redis: " not in receipt
    assert "Archive: items: 1" in receipt
    assert (await oscar.get(f"{LIST}{quote(gone)}/change/")).status_code == 404


async def test_a_chain_is_erased_like_a_conversation(oscar: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    response = (await ask(http, "A chain of pearls")).json()["id"]
    await ask(http, "And more", previous_response_id=response)
    branch = (await ask(http, "And other", previous_response_id=response)).json()["id"]

    async def find_chain() -> str:
        page = (await oscar.get(LIST, params={"id": branch})).text
        return found[1] if (found := re.search(rf'{LIST}([^/"]+)/change/', page)) else ""

    path = f"{LIST}{await eventually(find_chain)}/erase/"
    assert "All that begins with its first response goes with it" in (await oscar.get(path)).text
    receipt = html.unescape((await submit(oscar, path, reason="asked", with_files="on")).text)
    for words in ("Archive: chains: 2", "Archive: responses: 3"):
        assert words in receipt, words
    for gone in (response, branch):
        assert (await http.get(f"/v1/responses/{gone}")).status_code == 404
    assert (await oscar.get(path)).status_code == 404
