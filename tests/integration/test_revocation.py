"""A key that staff revoke opens nothing at any replica, over whichever transport, a second later at most."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx

from tests.support.servers import Replica, eventually
from tests.support.service import MAX_REFUSED_S, Service
from tests.support.staff import submit
from tests.support.websockets import open_refused, open_talk

KEYS = "/admin/prompts/apikey/"
# Of whom no other test speaks.
OWNER = "revoked-everywhere"


@asynccontextmanager
async def open_with(url: str, key: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        yield client


async def is_refused(client: httpx.AsyncClient) -> bool:
    return (await client.get("/v1/conversations")).status_code == 401


async def test_a_revoked_key_opens_nothing_anywhere(
    service: Service, other_replica: Replica, oscar: httpx.AsyncClient
) -> None:
    [key] = re.findall(r"eps-[\w-]{43}", (await submit(oscar, f"{KEYS}add/", owner=OWNER)).text)
    [row] = re.findall(r'name="_selected_action" value="(\d+)"', (await oscar.get(f"{KEYS}?owner={OWNER}")).text)
    slow = {"input": "write 30 words [[standin token_s=0.05]]", "model": "stand-in"}
    async with (
        open_with(service.url, key) as here,
        open_with(other_replica.url, key) as there,
        open_talk(other_replica.url, key) as talk,
        there.stream("POST", "/v1/responses", json={**slow, "stream": True}) as stream,
    ):
        behind = (await here.post("/v1/responses", json={**slow, "background": True})).json()["id"]
        secret = (await here.post("/v1/client_secrets", json={})).json()["value"]
        await talk.ask("Hello", generate=False)
        lines = stream.aiter_lines()
        await anext(lines)
        await submit(oscar, KEYS, action="revoke", _selected_action=row)
        for client in (here, there):
            await eventually(partial(is_refused, client), within_s=MAX_REFUSED_S)
            for path in ("/v1/conversations", f"/v1/responses/{behind}", f"/v1/responses/{behind}?stream=true"):
                assert (await client.get(path)).status_code == 401
            assert (await client.post("/v1/responses", json=slow)).status_code == 401
        for url in (service.url, other_replica.url):
            assert await open_refused(url, key) == (401, "invalid_api_key")
            assert await open_refused(url, secret) == (401, "invalid_api_key")
        await talk.create("Hello")
        await talk.be_refused(status=401, code="invalid_api_key")
        assert await talk.read_close() == 1008
        # What was admitted comes to its end: its events follow each other.
        assert [line async for line in lines if "response.completed" in line]
