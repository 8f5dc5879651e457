"""`compaction_trigger`: the response is one compaction, in every form, and every way goes on from it."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.oracle import read_frames
from tests.support.refusals import check_refusal
from tests.support.server_fixtures import StartReplica
from tests.support.service import Service
from tests.support.turns import Stream, ask, check_stored, get_text, make_conversation, open_client

ADA: dict[str, Any] = {"role": "user", "content": "My name is Ada."}
ASSISTANT: dict[str, Any] = {"role": "assistant", "content": "The code of the door is 4711."}
TRIGGER: dict[str, Any] = {"type": "compaction_trigger"}
QUESTION = "What is my name?"


@pytest.mark.parametrize("stream", [False, True])
async def test_the_response_is_one_compaction(http: httpx.AsyncClient, stream: bool) -> None:
    answer = await ask(http, "", input=[ADA, ASSISTANT, TRIGGER], stream=stream, instructions="Be brief.")
    response = (await check_stored(http, answer)) if stream else answer.json()
    assert response["status"] == "completed"
    [compaction] = response["output"]
    assert set(compaction) == {"id", "type", "encrypted_content"}
    assert compaction["type"] == "compaction"
    assert response["usage"]["input_tokens"] > 0
    assert "eps:ignored" not in response
    if stream:
        assert [event["type"].removeprefix("response.") for event in read_frames(answer.content)] == [
            *("created", "in_progress", "output_item.added", "output_item.done", "completed")
        ]
    again = await ask(http, "", input=[compaction, {"role": "user", "content": QUESTION}])
    assert get_text(again.json()) == "Your name is Ada."
    asked = (await http.get(f"/v1/responses/{response['id']}/input_items")).json()["data"]
    assert [item["type"] for item in asked] == ["message", "message"]


@pytest.mark.parametrize("way", ["previous_response_id", "conversation"])
async def test_a_history_is_compacted_and_goes_on(http: httpx.AsyncClient, way: str) -> None:
    where = {"conversation": await make_conversation(http)} if way == "conversation" else {}
    first = (await ask(http, "My name is Ada.", **where)).json()
    more: dict[str, Any] = where or {"previous_response_id": first["id"]}
    second = (await ask(http, "", input=[TRIGGER], **more)).json()
    assert [item["type"] for item in second["output"]] == ["compaction"]
    more = where or {"previous_response_id": second["id"]}
    assert get_text((await ask(http, QUESTION, **more)).json()) == "Your name is Ada."


async def test_it_runs_in_the_background_and_without_being_stored(http: httpx.AsyncClient) -> None:
    stream = Stream(http, "POST", "/v1/responses", json={"input": [ADA, TRIGGER], "stream": True, "background": True})
    assert [item["type"] for item in (await stream.read_final())["output"]] == ["compaction"]
    unstored = await ask(http, "", input=[ADA, TRIGGER], store=False)
    assert [item["type"] for item in unstored.json()["output"]] == ["compaction"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/responses", {"input": [ADA, TRIGGER, ADA]}, "input[1].type"),
        ("/v1/responses", {"input": [TRIGGER, TRIGGER]}, "input[0].type"),
        ("/v1/responses/compact", {"model": "stand-in", "input": [ADA, TRIGGER]}, "input[1].type"),
        ("/v1/conversations", {"items": [TRIGGER]}, "items[0].type"),
    ],
)
async def test_anywhere_else_it_is_refused(
    http: httpx.AsyncClient, path: str, body: dict[str, Any], param: str
) -> None:
    error = check_refusal(await http.post(path, json=body), param=param)
    assert "last item" in error["message"]


async def test_another_replica_compacts_when_the_first_is_killed(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "LEASE_S": "1"})
    slow = {"role": "user", "content": "My name is Ada. [[standin token_s=0.3]]"}
    async with open_client(http, replica) as victim:
        creator = Stream(victim, "POST", "/v1/responses", json={"input": [slow, TRIGGER], "stream": True})
        response_id = await creator.get_id()
        follower = Stream.of_response(http, response_id)
        await follower.get_id()
        await asyncio.to_thread(replica.kill)
        final = await follower.read_final()
    assert [item["type"] for item in final["output"]] == ["compaction"]
    assert final["eps:usage_estimated"] is True
    assert get_text((await ask(http, QUESTION, previous_response_id=response_id)).json()) == "Your name is Ada."
