"""A conversation that Redis has let go, as a client meets it: it is there, and goes on."""

from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from tests.support.servers import StandinServer, ValkeyServer, eventually
from tests.support.service import ALICE_KEY, start_service
from tests.support.turns import ask, get_text, make_conversation


@pytest.mark.timeout(240)
async def test_it_is_restored_when_it_is_asked_for(
    own_valkey: ValkeyServer, standin: StandinServer, tmp_path: Path
) -> None:
    headers = {"Authorization": f"Bearer {ALICE_KEY}"}
    with start_service(own_valkey, standin, tmp_path, CONVERSATION_RETENTION_S="2") as service:
        async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=30) as http:
            conversation_id = await make_conversation(http)
            response_id = (await ask(http, "My name is Ada.", conversation=conversation_id)).json()["id"]
            items = await list_items(http, conversation_id)
            await wait_until_let_go(own_valkey, conversation_id)
            assert await list_items(http, conversation_id) == items
            again = await ask(http, "What is my name?", conversation=conversation_id)
            assert "Ada" in get_text(again.json())
            await wait_until_let_go(own_valkey, conversation_id)
            assert (await http.get(f"/v1/responses/{response_id}")).status_code == 200
            assert (await http.delete(f"/v1/conversations/{conversation_id}")).status_code == 200
            assert (await http.get(f"/v1/conversations/{conversation_id}")).status_code in (404, 503)


async def list_items(http: httpx.AsyncClient, conversation_id: str) -> list[object]:
    """All its items."""
    listed = await http.get(f"/v1/conversations/{conversation_id}/items?limit=100")
    assert listed.status_code == 200, listed.text
    return list(listed.json()["data"])


async def wait_until_let_go(valkey: ValkeyServer, conversation_id: str) -> None:
    """Until nothing of it is in Redis but the mark that it was let go."""
    async with Redis.from_url(valkey.url) as redis:

        async def is_gone() -> bool:
            kept = await redis.hget(keys.conversation(conversation_id), "owner")
            left = [key async for key in redis.scan_iter(match="eps:*:tl:*")]
            return kept is None and left == []

        await eventually(is_gone, within_s=150)
