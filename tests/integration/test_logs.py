"""The logs: one JSON object a line, with ids, and never a prompt, an answer or a key."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from tests.support.server_fixtures import StartReplica
from tests.support.servers import Replica, eventually
from tests.support.service import Service

SECRET_PROMPT = "zanzibar-prompt"
SECRET_ANSWER = "The quick brown zanzibar-answer"


@pytest.fixture(scope="module")
def shared(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """The replica of this file's tests."""
    with Replica(tmp_path_factory.mktemp("logging"), service.environment) as running:
        yield running


@pytest.fixture
def replica(shared: Replica) -> Replica:
    """The same, with an empty log: what a test reads is of its own requests. The replica appends to it."""
    shared.log_path.write_bytes(b"")
    return shared


async def test_a_turn_is_logged_with_its_ids_and_without_its_words(service: Service, replica: Replica) -> None:
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
    assert (ended["method"], ended["path"]) == ("POST", "/v1/responses")
    assert [line["event"] for line in _list(replica.log) if line.get("request_id") == "my-request-1"] == ["run_ended"]
    refused = [line["status"] for line in _list(replica.log) if line["event"] == "request"]
    assert sorted(refused) == [401, 401, 404]
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


async def test_probes_leave_no_line(replica: Replica) -> None:
    async with httpx.AsyncClient(base_url=replica.url) as client:
        for path in ("/healthz", "/readyz", "/readyz?verbose", "/readyz/redis", "/health"):
            assert (await client.get(path)).status_code == 200
    assert not _find(replica.log, event="request")
    assert "readyz" not in replica.log


@pytest.mark.parametrize("how", [{"stream": True}, {"background": True}])
async def test_every_turn_leaves_one_line(service: Service, replica: Replica, how: dict[str, bool]) -> None:
    """Whether or not its client hears of its end."""
    async with httpx.AsyncClient(base_url=replica.url) as client:
        headers = {"authorization": f"Bearer {service.alice_key}", "x-request-id": "turn-1"}
        body = {"model": "stand-in", "input": "write 20 words [[standin token_s=0.02]]", **how}
        async with client.stream("POST", "/v1/responses", json=body, headers=headers) as answer:
            assert answer.status_code == 200
    await eventually(lambda: _find(replica.log, event="run_ended"))
    lines = [line for line in _list(replica.log) if line.get("request_id") == "turn-1"]
    assert [(line["event"], line["status"], line["path"]) for line in lines] == [
        ("run_ended", "completed", "/v1/responses")
    ]


async def test_a_turn_that_is_asked_for_again_leaves_a_line_of_the_request(service: Service, replica: Replica) -> None:
    async with httpx.AsyncClient(base_url=replica.url) as client:
        headers = {"authorization": f"Bearer {service.alice_key}", "idempotency-key": "logged-once"}
        for request_id in ("first", "again"):
            body = {"model": "stand-in", "input": "Hello"}
            answer = await client.post("/v1/responses", json=body, headers={**headers, "x-request-id": request_id})
            assert answer.status_code == 200, answer.text
    await eventually(lambda: _find(replica.log, event="run_ended", request_id="first"))
    assert _find(replica.log, event="request", request_id="again", status=200)


def _find(log: str, **fields: Any) -> dict[str, Any] | None:
    """The first line that contains all of these."""
    return next((line for line in _list(log) if line.items() >= fields.items()), None)


def _list(log: str) -> list[dict[str, Any]]:
    """All lines."""
    return [json.loads(line) for line in log.splitlines()]
