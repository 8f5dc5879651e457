"""The Redis users of docs/security.md may do what the service does, and nothing else."""

import asyncio
import re

import httpx
import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from tests.support.processes import REPO_ROOT
from tests.support.server_fixtures import StartReplica
from tests.support.servers import ValkeyServer, eventually
from tests.support.service import Service
from tests.support.staff import make_staff, open_admin
from tests.support.turns import ask, make_conversation

USERS = re.findall(r"^  user (eps\S*) (on .*)$", (REPO_ROOT / "docs" / "security.md").read_text("utf-8"), re.MULTILINE)


async def test_the_service_runs_with_the_users_of_the_page(
    service: Service, own_valkey: ValkeyServer, start_replica: StartReplica
) -> None:
    async with Redis.from_url(own_valkey.url) as admin:
        for name, rules in USERS:
            await admin.execute_command("ACL", "SETUSER", name, *rules.split())  # type: ignore[no-untyped-call]  # redis-py has no types here
        await admin.execute_command("ACL", "SETUSER", "default", "off")  # type: ignore[no-untyped-call]  # the same
    address = f"PASSWORD@127.0.0.1:{own_valkey.port}"
    urls = {"REDIS_URL": f"redis://eps:{address}/0", "CACHE_URL": f"redis://eps-cache:{address}/1"}
    replica = await asyncio.to_thread(start_replica, {**service.environment, **urls})
    key = {"Authorization": f"Bearer {service.alice_key}"}
    async with httpx.AsyncClient(base_url=replica.url, headers=key, timeout=30) as http:
        await eventually(lambda: _is_ready(http))
        await eventually(lambda: _knows_key(http))
        conversation_id = await make_conversation(http)
        answer = await ask(http, "My name is Ada.", conversation=conversation_id)
        assert answer.json()["status"] == "completed"
        assert (await http.delete(f"/v1/conversations/{conversation_id}")).status_code == 200
    async with open_admin(replica.url, make_staff(service.environment, "users-staff")):
        pass
    assert "NOPERM" not in replica.log
    for url, forbidden in (
        (urls["REDIS_URL"], "FLUSHALL"),
        (urls["REDIS_URL"], "KEYS *"),
        (urls["CACHE_URL"], "GET eps:a"),
    ):
        async with Redis.from_url(url) as user:
            with pytest.raises(NoPermissionError):
                await user.execute_command(*forbidden.split())  # type: ignore[no-untyped-call]  # the same


async def _is_ready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/readyz")).status_code == 200


async def _knows_key(http: httpx.AsyncClient) -> bool:
    return (await http.get("/v1/models")).status_code == 200
