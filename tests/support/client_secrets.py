"""Client secrets in tests."""

import time
from typing import Any

import httpx

from prompts.adapters.sealing import AesGcmSealer
from prompts.domain.ids import hash_key
from prompts.ports.client_secrets import ClientSecret, seal_secret
from tests.support.oracle import check_answer
from tests.support.service import Service

SEALER = AesGcmSealer("a key for tests, which protects nothing")  # that of the service: tests/conftest.py


async def make_secret(http: httpx.AsyncClient, **body: Any) -> str:
    """A secret that the client's key makes."""
    answer = await http.post("/v1/client_secrets", json=body)
    assert answer.status_code == 200, answer.text
    value = answer.json()["value"]
    assert isinstance(value, str)
    return value


def open_browser(url: str, secret: str, **headers: str) -> httpx.AsyncClient:
    """A client with a secret, as a browser has one."""
    hooks = {"response": [check_answer]}
    return httpx.AsyncClient(
        base_url=url, headers={"Authorization": f"Bearer {secret}", **headers}, event_hooks=hooks, timeout=30
    )


def get_code(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, answer.json()["error"]["code"]


def forge(service: Service, sealer: AesGcmSealer = SEALER, **claims: Any) -> str:
    """A secret that says what Alice's do, or something else."""
    usual = {"owner": "alice", "maker": hash_key(service.alice_key), "expires_at": int(time.time()) + 60}
    return seal_secret(ClientSecret(**{**usual, **claims}), sealer)
