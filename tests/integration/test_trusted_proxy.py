"""What proxies say of a client is believed only when a proxy is declared."""

import asyncio

import httpx

from tests.support.server_fixtures import StartReplica
from tests.support.service import Service

SAID = {"X-Forwarded-Proto": "https", "Host": "localhost"}
PAGE = "/admin/login/"


async def test_a_stranger_cannot_pass_for_https(service: Service, start_replica: StartReplica) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "HTTPS": "true", "TRUSTED_PROXY": "false"})
    async with httpx.AsyncClient(base_url=replica.url) as client:
        answer = await client.get(PAGE, headers=SAID)
    assert answer.status_code == 301
    assert answer.headers["location"] == f"https://localhost{PAGE}"
    assert "set-cookie" not in answer.headers


async def test_a_declared_proxy_says_what_is_https(service: Service, start_replica: StartReplica) -> None:
    environment = {**service.environment, "HTTPS": "true", "TRUSTED_PROXY": "true"}
    replica = await asyncio.to_thread(start_replica, environment)
    async with httpx.AsyncClient(base_url=replica.url) as client:
        secure = await client.get(PAGE, headers=SAID)
        plain = await client.get(PAGE, headers={**SAID, "X-Forwarded-Proto": "http"})
    assert secure.status_code == 200
    assert "max-age=31536000" in secure.headers["strict-transport-security"]
    assert "secure" in secure.headers["set-cookie"].lower()
    assert plain.status_code == 301
