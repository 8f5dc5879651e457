"""Operators erase a conversation for good; a receipt says what was where, and holds nothing of what was said."""

import html
import re

import httpx
from django.contrib.admin.utils import quote

from tests.integration.test_api_keys import read_everything
from tests.support.archived import new_conversation_id, say, write_archive
from tests.support.service import Service
from tests.support.staff import submit, wait_archived
from tests.support.turns import ask, make_conversation

LIST = "/admin/prompts/archivedconversation/"
SECRET = "xylophonesecret"


def erase_path(conversation_id: str) -> str:
    return f"{LIST}{quote(conversation_id)}/erase/"


async def test_what_is_erased_is_nowhere(oscar: httpx.AsyncClient, http: httpx.AsyncClient, service: Service) -> None:
    conversation = await make_conversation(http)
    body = {"input": f"Say {SECRET}", "conversation": conversation, "model": "stand-in"}
    key = {"Idempotency-Key": f"key-{conversation}"}
    response = (await http.post("/v1/responses", json=body, headers=key)).json()
    await http.put(f"/v1/responses/{response['id']}/feedback", json={"score": 1, "comment": SECRET})
    fork = (await http.post(f"/v1/conversations/{conversation}/fork", json={})).json()["id"]
    await ask(http, f"Again {SECRET}", conversation=fork)
    await wait_archived(oscar, conversation, f'<blockquote class="eps-comment">{SECRET}')
    await wait_archived(oscar, fork, f"Again {SECRET}")
    assert SECRET.encode() in await read_everything(service.valkey.url)
    assert fork in html.unescape((await oscar.get(erase_path(conversation))).text)
    receipt = html.unescape((await submit(oscar, erase_path(conversation), reason="asked by letter")).text)
    assert SECRET not in receipt
    for words in ("asked by letter", "Redis: conversations: 1", "Redis: forks: 1", "Redis: feedback: 1", "oscar"):
        assert words in receipt, words
    assert re.search(r"Archive: items: 4.*Archive: responses: 2.*Search index: items: 4", receipt, re.DOTALL)
    for conversation_id in (conversation, fork):
        assert (await http.get(f"/v1/conversations/{conversation_id}")).status_code == 404
        assert (await oscar.get(f"{LIST}{quote(conversation_id)}/change/")).status_code == 404
    assert (await http.get(f"/v1/responses/{response['id']}")).status_code == 404
    assert SECRET.encode() not in await read_everything(service.valkey.url)
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
    assert "Redis: had it no more: 1" in receipt
    assert "Archive: items: 1" in receipt
    assert (await oscar.get(f"{LIST}{quote(gone)}/change/")).status_code == 404
