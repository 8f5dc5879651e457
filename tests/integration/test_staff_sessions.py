"""Sessions: who can write to the cache can neither run code in a web process nor sign in; cookies hold no content."""

import json
import pickle
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.support.service import Service
from tests.support.staff import submit

SESSIONS = b"eps-cache-json:1:django.contrib.sessions.cache"


class Payload:
    """A pickle that creates a file when it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


@pytest.fixture
async def cache(service: Service) -> AsyncIterator[Redis]:
    """The cache, as an attacker reaches it."""
    async with Redis.from_url(service.valkey.cache_url) as client:
        yield client


def session_key(browser: httpx.AsyncClient) -> bytes:
    """Where the browser's session is in the cache."""
    return SESSIONS + browser.cookies["sessionid"].encode()


async def test_a_session_is_json(browser: httpx.AsyncClient, cache: Redis) -> None:
    content = json.loads(await cache.get(session_key(browser)) or b"")
    assert set(content) == {"_auth_user_id", "_auth_user_backend", "_auth_user_hash"}


@pytest.mark.parametrize("protocol", [0, pickle.HIGHEST_PROTOCOL])
async def test_a_pickle_in_the_cache_is_not_run(
    browser: httpx.AsyncClient, cache: Redis, tmp_path: Path, protocol: int
) -> None:
    proof = tmp_path / "code-was-run"
    pickle.loads(pickle.dumps(Payload(proof), protocol))
    proof.unlink()  # it would have worked
    await cache.set(session_key(browser), pickle.dumps(Payload(proof), protocol))
    page = await browser.get("/admin/")
    assert page.status_code == 200
    assert "Log out" not in page.text
    assert not proof.exists()


@pytest.mark.parametrize("content", [b"", b"[1]", b'"text"', b"7", b"{", b"\xff\xfe", b"null"])
async def test_what_is_no_session_ends_at_the_sign_in(browser: httpx.AsyncClient, cache: Redis, content: bytes) -> None:
    await cache.set(session_key(browser), content)
    page = await browser.get("/admin/")
    assert page.status_code == 200
    assert page.url.path == "/admin/login/"


async def test_a_session_cannot_be_made_up_without_the_secret_key(browser: httpx.AsyncClient, cache: Redis) -> None:
    content = json.loads(await cache.get(session_key(browser)) or b"")
    await cache.set(session_key(browser), json.dumps({**content, "_auth_user_hash": "0" * 64}))
    assert (await browser.get("/admin/")).url.path == "/admin/login/"


async def test_messages_are_in_the_session_and_in_no_cookie(browser: httpx.AsyncClient) -> None:
    await submit(browser, "/admin/prompts/apikey/add/", owner="messages")
    listing = "/admin/prompts/apikey/?owner=messages"
    row = (await browser.get(listing)).text.partition('name="_selected_action" value="')[2].partition('"')[0]
    form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"], "action": "revoke", "_selected_action": row}
    answer = await browser.post(listing, data=form, follow_redirects=False)
    assert "messages" not in answer.cookies
    assert "1 key(s) revoked." in (await browser.get(listing)).text
