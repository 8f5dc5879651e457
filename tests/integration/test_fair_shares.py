"""One owner takes all they can, at one replica and at several: others are served all the same."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from tests.support.refusals import check_refusal
from tests.support.server_fixtures import StartReplica
from tests.support.servers import eventually
from tests.support.service import Service
from tests.support.turns import Stream, ask, open_client

CHAT = "/v1/chat/completions"
ENDLESS = "count to 2000 [[standin token_s=0.05]]"
PLACES, IN_ALL = 10, 12


@pytest.fixture
def limits(service: Service) -> dict[str, str]:
    """The environment of replicas with few places."""
    return {
        **service.environment,
        "WORKERS": "1",
        "MAX_RUNS": str(PLACES),
        "MAX_OWNER_RUNS_IN_ALL": str(IN_ALL),
        "LEASE_S": "3",
    }


def chat(text: str) -> dict[str, Any]:
    """The body of a streamed request that is handed on."""
    return {"messages": [{"role": "user", "content": text}], "stream": True}


@pytest.mark.long
async def test_one_owners_hanging_answers_leave_places_to_others(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica, limits: dict[str, str]
) -> None:
    first, second = await asyncio.gather(*(asyncio.to_thread(start_replica, limits) for _ in range(2)))
    bobs_key = {"Authorization": f"Bearer {service.bob_key}"}
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(open_client(http, first))
        there = await stack.enter_async_context(open_client(http, second))

        async def is_served(client: httpx.AsyncClient) -> bool:
            return (await client.post("/v1/responses", json={"input": "Hello"})).status_code == 200

        await eventually(lambda: is_served(here))  # the keys are published soon after the start
        ended = (await ask(here, "Hello")).json()["id"]
        streams = [Stream(here, "POST", CHAT, json=chat(ENDLESS)) for _ in range(PLACES - 1)]
        for stream in streams:
            await stream.see("data: ")
        for path, body in (
            ("/v1/responses", {"input": "Hello"}),
            (CHAT, chat("Hello")),
            ("/v1/embeddings", {"input": "x"}),
            ("/v1/responses/compact", {"model": "stand-in", "input": "Hello"}),
            (f"/v1/responses/{ended}/follow_ups", {}),
        ):
            refused = await here.post(path, json=body)
            check_refusal(refused, status=429, code="rate_limit_exceeded")
            assert "kept for others" in refused.text, refused.text
            assert refused.headers["retry-after"] == "1"
        answer = await here.post("/v1/responses", json={"input": "repeat: mine"}, headers=bobs_key)
        assert (answer.status_code, answer.json()["status"]) == (200, "completed")

        for _ in range(IN_ALL - len(streams)):
            stream = Stream.of_turn(there, ENDLESS, store=False)
            await stream.see("event: response.created")
            streams.append(stream)
        refused = await ask(there, "Hello")
        check_refusal(refused, status=429, code="rate_limit_exceeded")
        assert f"{IN_ALL} of your answers" in refused.text
        answer = await there.post("/v1/responses", json={"input": "repeat: mine"}, headers=bobs_key)
        assert answer.status_code == 200

        first.kill()  # its places are free when its lease is over
        await eventually(lambda: is_served(there))
        for stream in streams:
            await stream.leave()
