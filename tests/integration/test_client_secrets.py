"""`POST /v1/client_secrets`: a browser holds a secret that opens less than the key, and for minutes only."""

import asyncio
import base64
import re
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from prompts.adapters.sealing import AesGcmSealer
from prompts.domain.ids import hash_key
from prompts.ports.client_secrets import ALL_SCOPES, open_secret
from tests.support.client_secrets import SEALER, forge, get_code, make_secret, open_browser
from tests.support.servers import Replica
from tests.support.service import Service, manage
from tests.support.staff import make_staff, open_admin, submit

TEN_MINUTES_S = 600
FORBIDDEN = (403, "insufficient_scope")


@pytest.fixture
async def browser(http: httpx.AsyncClient, service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """A browser with a secret of Alice's that may do everything."""
    async with open_browser(service.url, await make_secret(http)) as client:
        yield client


async def test_a_secret_opens_what_its_key_opens_at_every_replica(
    http: httpx.AsyncClient, service: Service, other_replica: Replica
) -> None:
    answer = await http.post("/v1/client_secrets")
    made = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert made["value"].startswith("ek_")
    assert made["object"] == "client_secret"
    assert (made["scopes"], made["conversation"]) == (["read", "write"], None)
    assert abs(made["expires_at"] - time.time() - TEN_MINUTES_S) < 5
    conversation = (await http.post("/v1/conversations")).json()["id"]
    for url in (service.url, other_replica.url):
        async with open_browser(url, made["value"]) as browser:
            turn = {"input": "My name is Ada.", "conversation": conversation}
            response = (await browser.post("/v1/responses", json=turn)).json()
        assert response["status"] == "completed"
        assert (await http.get(f"/v1/responses/{response['id']}")).json() == response


async def test_a_secret_tells_nobody_what_it_says(service: Service) -> None:
    value = forge(service)
    raw = base64.urlsafe_b64decode(value[3:] + "==")
    assert b"alice" not in raw
    assert "=" not in value  # the subprotocol of a WebSocket has to be a token
    assert open_secret(value, SEALER) is not None


async def test_a_secret_makes_no_secrets(browser: httpx.AsyncClient) -> None:
    assert get_code(await browser.post("/v1/client_secrets")) == FORBIDDEN


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"expires_after": {"seconds": 9}}, "expires_after.seconds"),
        ({"expires_after": {"seconds": 7201}}, "expires_after.seconds"),
        ({"expires_after": {"seconds": "60"}}, "expires_after.seconds"),
        ({"expires_after": {"anchor": "now", "seconds": 60}}, "expires_after.anchor"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["all"]}, "scopes[0]"),
        ({"scopes": "read"}, "scopes"),
        ({"conversation": "resp_1"}, "conversation"),
        ({"conversation": 5}, "conversation"),
    ],
)
async def test_a_wrong_wish_is_refused_and_named(http: httpx.AsyncClient, body: dict[str, object], param: str) -> None:
    answer = await http.post("/v1/client_secrets", json=body)
    assert get_code(answer) == (400, "invalid_request_error")
    assert answer.json()["error"]["param"] == param


async def test_what_is_not_known_is_named(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/client_secrets", json={"session": {"type": "realtime"}})
    assert answer.status_code == 200
    assert answer.json()["eps:ignored"] == ["session"]


async def test_a_narrowed_key_makes_no_wider_secret(service: Service) -> None:
    made = ("create_api_key", "paula", "--scopes", "admin,read", "--expires-in", "5m")
    key = (await asyncio.to_thread(manage, service.environment, *made)).strip()
    async with open_browser(service.url, key) as server:
        for scopes in (["write"], ["read", "write"]):
            answer = await server.post("/v1/client_secrets", json={"scopes": scopes})
            assert get_code(answer) == FORBIDDEN
            assert answer.json()["error"]["param"] == "scopes"
        made_secret = (await server.post("/v1/client_secrets", json={"expires_after": {"seconds": 7200}})).json()
    assert made_secret["scopes"] == ["read"]
    assert made_secret["expires_at"] <= time.time() + 300
    async with open_browser(service.url, made_secret["value"]) as browser:
        assert (await browser.get("/v1/conversations")).status_code == 200
        assert get_code(await browser.post("/v1/conversations")) == FORBIDDEN


# --- time ---


async def test_a_secret_lives_as_long_as_it_was_asked_for(http: httpx.AsyncClient) -> None:
    body = {"expires_after": {"anchor": "created_at", "seconds": 7200}}
    made = (await http.post("/v1/client_secrets", json=body)).json()
    assert abs(made["expires_at"] - time.time() - 7200) < 5


async def test_an_expired_secret_says_that_it_is_time_for_another(service: Service) -> None:
    async with open_browser(service.url, forge(service, expires_at=int(time.time()) - 1)) as browser:
        for answer in (await browser.get("/v1/models"), await browser.get("/v1/models")):
            assert get_code(answer) == (401, "client_secret_expired")
            assert answer.headers["www-authenticate"] == "Bearer"


# --- forgeries ---


async def test_what_was_not_sealed_here_opens_nothing(http: httpx.AsyncClient, service: Service) -> None:
    value = await make_secret(http)
    middle = len(value) // 2
    changed = value[:middle] + ("A" if value[middle] != "A" else "B") + value[middle + 1 :]
    reasoning = "ek_" + SEALER.seal("", "reasoning", '{"o":"alice","m":"x","p":"alice","e":9999999999}').rstrip("=")
    forgeries = [
        "ek_",
        "ek_x",
        "ek_" + "A" * 200,
        "ek_" + "A" * 5_000,
        value[:-1],
        value[:60],
        value + "A",
        changed,
        value.upper(),
        "ek_" + value,
        value.removeprefix("ek_"),
        reasoning,
        forge(service, AesGcmSealer("another server's secret key")),
        forge(service, maker=hash_key("never a key")),
        forge(service, owner="bob"),  # Alice's key proves nothing for Bob
        forge(service, owner="user:1", maker="user:1", user_proof="guessed"),
        forge(service, maker="alice"),
    ]
    for forgery in forgeries:
        async with open_browser(service.url, forgery) as browser:
            assert get_code(await browser.get("/v1/models")) == (401, "invalid_api_key"), forgery


async def test_a_secret_still_opens_while_the_earlier_server_key_is_a_fallback(service: Service) -> None:
    value = forge(service, AesGcmSealer("before"))
    assert open_secret(value, AesGcmSealer("after", ["before"])) is not None
    assert open_secret(value, AesGcmSealer("after")) is None


async def test_a_revoked_key_takes_its_secrets_with_it_at_once_everywhere(
    service: Service, other_replica: Replica
) -> None:
    key = (await asyncio.to_thread(manage, service.environment, "create_api_key", "carol")).strip()
    staff = await asyncio.to_thread(make_staff, service.environment, "revoker")
    async with open_browser(service.url, key) as server:
        secret = await make_secret(server)
    async with open_browser(other_replica.url, secret) as browser:
        assert (await browser.get("/v1/conversations")).status_code == 200
        async with open_admin(service.url, staff) as admin:
            listing = "/admin/prompts/apikey/?owner=carol"
            row = re.search(r'name="_selected_action" value="(\d+)"', (await admin.get(listing)).text)
            assert row
            await submit(admin, listing, action="revoke", _selected_action=row[1])
        assert get_code(await browser.get("/v1/conversations")) == (401, "invalid_api_key")


# --- scopes ---


async def test_a_secret_to_read_changes_nothing(http: httpx.AsyncClient, service: Service) -> None:
    conversation = (await http.post("/v1/conversations")).json()["id"]
    store = (await http.post("/v1/vector_stores")).json()["id"]
    async with open_browser(service.url, await make_secret(http, scopes=["read"])) as browser:
        assert (await browser.get(f"/v1/conversations/{conversation}")).status_code == 200
        assert (await browser.post("/v1/responses/input_tokens", json={"input": "x"})).status_code == 200
        assert (await browser.post(f"/v1/vector_stores/{store}/search", json={"query": "x"})).status_code == 200
        refused = [
            await browser.post("/v1/responses", json={"input": "x"}),
            await browser.post("/v1/responses/compact", json={"input": "x"}),
            await browser.post("/v1/embeddings", json={"input": "x"}),
            await browser.post("/v1/files", files={"file": ("a.txt", b"x")}, data={"purpose": "assistants"}),
            await browser.put("/v1/responses/resp_1/feedback", json={"score": 1}),
            await browser.delete(f"/v1/conversations/{conversation}"),
        ]
    assert [get_code(answer) for answer in refused] == [FORBIDDEN] * len(refused)
    assert (await http.get(f"/v1/conversations/{conversation}")).status_code == 200


async def test_a_secret_to_write_reads_nothing(http: httpx.AsyncClient, service: Service) -> None:
    async with open_browser(service.url, await make_secret(http, scopes=["write"])) as browser:
        assert (await browser.post("/v1/conversations")).status_code == 200
        assert get_code(await browser.get("/v1/conversations")) == FORBIDDEN


# --- one conversation ---


class Places:
    """Two conversations of Alice's, with a turn each."""

    own: str
    own_response: str
    own_item: str
    other: str
    other_response: str
    other_item: str
    alone: str
    """A response without a conversation."""


@pytest.fixture
async def places(http: httpx.AsyncClient) -> Places:
    made = Places()
    for name in ("own", "other"):
        conversation = (await http.post("/v1/conversations")).json()["id"]
        turn = {"input": "My name is Ada.", "conversation": conversation}
        response = (await http.post("/v1/responses", json=turn)).json()
        setattr(made, name, conversation)
        setattr(made, f"{name}_response", response["id"])
        setattr(made, f"{name}_item", response["output"][0]["id"])
    made.alone = (await http.post("/v1/responses", json={"input": "Hello"})).json()["id"]
    return made


@pytest.fixture
async def limited(http: httpx.AsyncClient, service: Service, places: Places) -> AsyncIterator[httpx.AsyncClient]:
    """A browser whose secret is for one conversation."""
    async with open_browser(service.url, await make_secret(http, conversation=places.own)) as client:
        yield client


async def test_a_conversations_secret_opens_that_conversation(limited: httpx.AsyncClient, places: Places) -> None:
    own, response = f"/v1/conversations/{places.own}", f"/v1/responses/{places.own_response}"
    turn = {"input": "What is my name?", "conversation": {"id": places.own}, "stream": True}
    assert "Ada" in (await limited.post("/v1/responses", json=turn)).text
    item = {"items": [{"role": "user", "content": "Hello"}]}
    opened = [
        await limited.get(own),
        await limited.post(own, json={"metadata": {"a": "b"}}),
        await limited.get(f"{own}/items"),
        await limited.post(f"{own}/items", json=item),
        await limited.get(f"{own}/items/{places.own_item}"),
        await limited.get(f"{own}/export?format=markdown"),
        await limited.get(response),
        await limited.get(f"{response}?stream=true"),
        await limited.get(f"{response}/input_items"),
        await limited.put(f"{response}/feedback", json={"score": 1}),
        await limited.get("/v1/models"),
        await limited.delete(response),
    ]
    assert [answer.status_code for answer in opened] == [200] * len(opened)


async def test_a_conversations_secret_opens_nothing_else(limited: httpx.AsyncClient, places: Places) -> None:
    other = f"/v1/conversations/{places.other}"
    refused = [
        await limited.get("/v1/conversations"),
        await limited.post("/v1/conversations"),
        await limited.post(f"/v1/conversations/{places.own}/fork"),
        *[await limited.request(method, other) for method in ("GET", "POST", "DELETE")],
        await limited.get(f"{other}/items"),
        await limited.get(f"{other}/items/{places.other_item}"),
        await limited.get(f"{other}/export"),
        await limited.post("/v1/responses", json={"input": "x"}),
        await limited.post("/v1/responses", json={"input": "x", "conversation": places.other}),
        await limited.post("/v1/responses", json={"input": "x", "previous_response_id": places.own_response}),
        await limited.post("/v1/responses/compact", json={"input": "x"}),
        await limited.post("/v1/responses/input_tokens", json={"input": "x", "conversation": places.other}),
        await limited.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "x"}]}),
        await limited.post("/v1/embeddings", json={"input": "x"}),
        await limited.get("/v1/files"),
        await limited.get("/v1/vector_stores"),
        await limited.post("/v1/client_secrets", json={}),
    ]
    assert [get_code(answer) for answer in refused] == [FORBIDDEN] * len(refused)


async def test_other_responses_do_not_exist_for_a_conversations_secret(
    limited: httpx.AsyncClient, places: Places
) -> None:
    for response in (places.other_response, places.alone, "resp_" + "0" * 34):
        path = f"/v1/responses/{response}"
        answers = [
            await limited.get(path),
            await limited.get(f"{path}?stream=true"),
            await limited.get(f"{path}/input_items"),
            await limited.get(f"{path}/passages"),
            await limited.post(f"{path}/cancel"),
            await limited.post(f"{path}/follow_ups"),
            await limited.put(f"{path}/feedback", json={"score": 1}),
            await limited.delete(path),
        ]
        assert [get_code(answer) for answer in answers] == [(404, "response_not_found")] * len(answers)
        messages = {answer.json()["error"]["message"].replace(response, "") for answer in answers}
        assert messages == {"Response with id '' not found."}


async def test_a_conversations_secret_takes_nothing_in_from_outside(
    http: httpx.AsyncClient, limited: httpx.AsyncClient, places: Places
) -> None:
    store = (await http.post("/v1/vector_stores")).json()["id"]
    form = {"file": ("secret.txt", b"swordfish")}
    file = (await http.post("/v1/files", files=form, data={"purpose": "assistants"})).json()["id"]
    prompt = (await http.post("/v1/prompts", json={"prompt": "Be brief."})).json()["prompt_id"]
    item = {"type": "item_reference", "id": places.other_item}
    named = {"role": "user", "content": [{"type": "input_file", "file_id": file}]}
    search = {"type": "file_search", "vector_store_ids": [store]}
    turn = {"input": "x", "conversation": places.own}
    refused = {
        "input[0].id": await limited.post("/v1/responses", json={**turn, "input": [item]}),
        "input[0].content[0].file_id": await limited.post("/v1/responses", json={**turn, "input": [named]}),
        "tools": await limited.post("/v1/responses", json={**turn, "tools": [search]}),
        "prompt": await limited.post("/v1/responses", json={**turn, "prompt": {"id": prompt}}),
        "items[0].id": await limited.post(f"/v1/conversations/{places.own}/items", json={"items": [item]}),
        "items[0].content[0].file_id": await limited.post(
            f"/v1/conversations/{places.own}/items", json={"items": [named]}
        ),
    }
    for param, answer in refused.items():
        assert get_code(answer) == FORBIDDEN, param
        assert answer.json()["error"]["param"] == param


async def test_a_secret_for_a_conversation_that_is_not_there_is_not_made(
    http: httpx.AsyncClient, service: Service
) -> None:
    async with open_browser(service.url, service.bob_key) as bobs:
        conversation = (await bobs.post("/v1/conversations")).json()["id"]
    answer = await http.post("/v1/client_secrets", json={"conversation": conversation})
    assert get_code(answer) == (404, "conversation_not_found")
    assert answer.json()["error"]["param"] == "conversation"


async def test_all_scopes_is_what_a_key_has(http: httpx.AsyncClient) -> None:
    made = (await http.post("/v1/client_secrets", json={"scopes": sorted(ALL_SCOPES)})).json()
    assert made["scopes"] == ["admin", "read", "write"]
