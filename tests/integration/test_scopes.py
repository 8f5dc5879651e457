"""Scopes, over every operation of the API: what each needs, and that nothing less opens it."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any, cast

import httpx
import pytest

from prompts.api.urls import urlpatterns
from prompts.ports.client_secrets import ALL_SCOPES
from tests.support.client_secrets import get_code, make_secret, open_browser
from tests.support.service import Service

# What decides for the whole project.
ADMIN = {
    ("POST", "client_secrets"),
    ("POST", "prompts"),
    ("PUT", "prompts/<str:prompt_id>"),
    ("DELETE", "prompts/<str:prompt_id>"),
    ("PUT", "prompts/<str:prompt_id>/set-default-version"),
}
# What changes nothing, though it has a body.
READING_POSTS = {
    ("POST", "responses/input_tokens"),
    ("POST", "vector_stores/<str:vector_store_id>/search"),
}


def list_operations() -> Iterator[tuple[str, str]]:
    """Method and route of all that the API can be asked for."""
    for pattern in urlpatterns:
        for method in cast(Any, pattern.callback).view_class.api_endpoints:
            yield method, str(pattern.pattern)


def find_needed(method: str, route: str) -> str:
    """The scope that an operation needs."""
    if (method, route) in ADMIN:
        return "admin"
    return "read" if method == "GET" or (method, route) in READING_POSTS else "write"


@pytest.fixture
async def clients(http: httpx.AsyncClient, service: Service) -> AsyncIterator[Mapping[str, httpx.AsyncClient]]:
    """A client for each scope, who has nothing but that."""
    async with AsyncExitStack() as stack:
        yield {
            scope: await stack.enter_async_context(open_browser(service.url, await make_secret(http, scopes=[scope])))
            for scope in sorted(ALL_SCOPES)
        }


async def test_every_operation_needs_one_scope_and_no_other_opens_it(clients: Mapping[str, httpx.AsyncClient]) -> None:
    operations = list(list_operations())
    assert len(operations) > 50
    assert set(operations) >= ADMIN | READING_POSTS
    for method, route in operations:
        path = "/v1/" + re.sub(r"<\w+:\w+>", "x", route)
        needed = find_needed(method, route)
        for scope, client in clients.items():
            answer = await client.request(method, path)
            told = f"{method} {route} with {scope}: {answer.status_code} {answer.text[:200]}"
            if scope != needed:
                assert get_code(answer) == (403, "insufficient_scope"), told
                assert f"'{needed}'" in answer.json()["error"]["message"], told
            elif route == "client_secrets":
                assert "cannot make client secrets" in answer.json()["error"]["message"], told
            else:
                assert answer.status_code not in (401, 403), told


async def test_the_document_says_which_scope_an_operation_needs(http: httpx.AsyncClient) -> None:
    document = (await http.get("/v1/openapi.json")).json()
    for method, route in list_operations():
        path = "/v1/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route)
        assert document["paths"][path][method.lower()]["security"] == [{"api_key": [find_needed(method, route)]}], path


async def test_a_socket_is_for_those_who_may_write(clients: Mapping[str, httpx.AsyncClient]) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    for scope in ("read", "admin"):
        answer = await clients[scope].get("/v1/responses", headers=upgrade)
        assert get_code(answer) == (403, "insufficient_scope")


async def test_a_secret_is_for_a_page_unless_it_asks_for_more(http: httpx.AsyncClient, service: Service) -> None:
    prompt = {"prompt": "Be brief."}
    async with open_browser(service.url, await make_secret(http)) as page:
        assert get_code(await page.post("/v1/prompts", json=prompt)) == (403, "insufficient_scope")
    async with open_browser(service.url, await make_secret(http, scopes=["admin", "read"])) as admin:
        assert (await admin.post("/v1/prompts", json=prompt)).status_code == 200
