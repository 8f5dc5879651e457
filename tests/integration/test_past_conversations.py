"""`GET /v1/conversations` of a running service goes on with what the archive alone has."""

import asyncio
import secrets
import time
from typing import Any

import httpx

from tests.support.archived import say, write_archive
from tests.support.client_secrets import open_browser
from tests.support.service import Service, manage
from tests.support.turns import make_conversation

DAY_MS = 86_400_000


def make_old_id() -> str:
    """The id of a conversation that was made longer ago than Redis keeps any."""
    return f"conv_00{int(time.time() * 1000) - 60 * DAY_MS:012x}{secrets.token_hex(9)}"


async def list_page(http: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await http.get("/v1/conversations", params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def test_older_conversations_stay_in_the_list_of_their_owner(service: Service) -> None:
    owner, old = f"past-{secrets.token_hex(4)}", [make_old_id() for _ in range(3)]
    said = [say("user", "Hello")]
    told = [
        {"id": each, "owner": owner, "title": f"Talk {number}", "said": said, "expired_at": "2026-11-02T00:00:00Z"}
        for number, each in enumerate(old)
    ]
    await asyncio.to_thread(write_archive, service.environment, *told)
    key = (await asyncio.to_thread(manage, service.environment, "create_api_key", owner)).split()[-1]
    async with open_browser(service.url, key) as http:
        fresh = await make_conversation(http)
        first = await list_page(http, limit=1)
        assert (first["data"][0]["id"], first["has_more"]) == (fresh, True)
        second = await list_page(http, limit=2, after=fresh)
        assert ([each["id"] for each in second["data"]], second["has_more"]) == ([old[2], old[1]], True)
        assert second["data"][0]["eps:title"] == "Talk 2"
        last = await list_page(http, limit=2, after=old[1])
        assert ([each["id"] for each in last["data"]], last["has_more"]) == ([old[0]], False)
        found = await list_page(http, query="talk 1")
        assert [each["id"] for each in found["data"]] == [old[1]]
        assert (await http.get("/v1/conversations", params={"after": make_old_id()})).status_code == 404
