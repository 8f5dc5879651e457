"""The logs: one JSON object a line, with ids, and never a prompt, an answer or a key."""

import json
from typing import Any

import httpx
from openai import AsyncOpenAI

from tests.support.server_fixtures import StartReplica
from tests.support.servers import eventually
from tests.support.service import Service

SECRET_PROMPT = "zanzibar-prompt"
SECRET_ANSWER = "The quick brown zanzibar-answer"


async def test_a_turn_is_logged_with_its_ids_and_without_its_words(
    service: Service, start_replica: StartReplica
) -> None:
    replica = start_replica(service.environment)
    async with AsyncOpenAI(base_url=f"{replica.url}/v1", api_key=service.alice_key, max_retries=0) as client:
        response = await client.responses.create(
            model="stand-in",
            input=f"repeat: {SECRET_ANSWER}",
            instructions=SECRET_PROMPT,
            extra_headers={"x-request-id": "my-request-1"},
        )
    async with httpx.AsyncClient(base_url=replica.url) as stranger:
        await stranger.post("/v1/responses", content=b'{"input": "zanzibar-stranger"', headers={"authorization": "x"})
        key = {"authorization": "Bearer eps-a-wrong-key-of-zanzibar"}
        await stranger.post("/v1/responses", json={"input": "zanzibar-stranger", "zanzibar": 1}, headers=key)
        await stranger.get("/v1/nothing?secret=zanzibar-query")
    await eventually(lambda: _find(replica.log, event="run_ended"))

    ended = _find(replica.log, event="run_ended")
    assert ended
    assert ended["request_id"] == "my-request-1"
    assert ended["response_id"] == response.id
    assert ended["owner"] == "alice"
    assert ended["status"] == "completed"
    asked = _find(replica.log, event="request", request_id="my-request-1")
    assert asked
    assert (asked["method"], asked["path"], asked["status"]) == ("POST", "/v1/responses", 200)
    assert "zanzibar" not in replica.log
    assert service.alice_key not in replica.log
    assert service.environment["OPENAI_API_KEY"] not in replica.log


async def test_every_line_is_json(service: Service, start_replica: StartReplica) -> None:
    replica = start_replica(service.environment)
    async with httpx.AsyncClient(base_url=replica.url) as client:
        await client.get("/")
        await client.get("/nothing")
    replica.stop()
    lines = replica.log.splitlines()
    assert len(lines) > 5
    for line in lines:
        record = json.loads(line)
        assert {"event", "level", "logger", "timestamp"} <= set(record), line


async def test_probes_leave_no_line(service: Service, start_replica: StartReplica) -> None:
    replica = start_replica(service.environment)
    async with httpx.AsyncClient(base_url=replica.url) as client:
        for path in ("/healthz", "/readyz", "/readyz?verbose", "/readyz/redis", "/health"):
            assert (await client.get(path)).status_code == 200
    assert not _find(replica.log, event="request")
    assert "readyz" not in replica.log


def _find(log: str, **fields: Any) -> dict[str, Any] | None:
    """The first line that contains all of these."""
    for line in log.splitlines():
        record: dict[str, Any] = json.loads(line)
        if record.items() >= fields.items():
            return record
    return None
