"""`POST /v1/responses/{id}/cancel`: from any replica, at any moment; the model is disconnected, the text kept."""

import asyncio
import statistics
import time
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from tests.support.oracle import check_events, read_frames
from tests.support.server_fixtures import StartReplica
from tests.support.servers import StandinServer
from tests.support.service import Service
from tests.support.turns import Stream, ask, get_text, make_conversation, open_client

SLOW = "count to 500 [[standin token_s=0.05]]"
SILENT = {
    "before the headers": "Hello [[standin headers_s=30]]",
    "before the first token": "Hello [[standin first_token_s=30]]",
    "after three words": "count to 9 [[standin silence_after=3]]",
}
pytestmark = pytest.mark.usefixtures("quiet_model")
MEASURED = 100


async def check_model_is_left(standin: StandinServer) -> None:
    """Check that no connection to the model is open after the cancel's answer."""
    async with httpx.AsyncClient(base_url=standin.url) as client:
        assert (await client.get("/_control/active")).json() == {"active": 0}


async def list_items(http: httpx.AsyncClient, conversation_id: str) -> list[dict[str, Any]]:
    """The conversation's items, oldest first."""
    answer = await http.get(f"/v1/conversations/{conversation_id}/items", params={"order": "asc"})
    items: list[dict[str, Any]] = answer.json()["data"]
    return items


@pytest.mark.parametrize("background", [False, True], ids=["foreground", "background"])
@pytest.mark.parametrize("by", ["its own replica", "another"])
async def test_an_answer_is_cancelled_in_the_middle_and_keeps_what_was_written(
    http: httpx.AsyncClient, other: httpx.AsyncClient, standin: StandinServer, by: str, background: bool
) -> None:
    conversation_id = await make_conversation(http)
    creator = Stream.of_turn(http, SLOW, conversation=conversation_id, background=background)
    url = f"/v1/responses/{await creator.get_id()}"
    follower = Stream.of_response(other, await creator.get_id())
    for reader in (creator, follower):
        await reader.see_words(4)

    client = http if by == "its own replica" else other
    cancelled = await client.post(f"{url}/cancel")

    await check_model_is_left(standin)
    assert cancelled.status_code == 200
    assert cancelled.json()["status"] == "cancelled"
    assert "eps:cancel_confirmed" not in cancelled.json()
    final = await creator.read_final(within_s=2)
    assert final == cancelled.json()
    assert await follower.read(within_s=2) == creator.raw
    assert read_frames(creator.raw)[-1]["type"] == "response.incomplete"
    assert get_text(final).startswith("1 2 3 4")
    assert [item["status"] for item in final["output"]] == ["incomplete"]
    for replica in (http, other):
        assert (await replica.get(url)).content == cancelled.content
    assert cancelled.content in creator.raw
    items = await list_items(http, conversation_id)
    assert [item["role"] for item in items] == ["user", "assistant"]
    assert items[1] == final["output"][0]
    assert (await ask(other, "Hello", conversation=conversation_id)).status_code == 200


@pytest.mark.parametrize("moment", SILENT)
@pytest.mark.parametrize("by", ["its own replica", "another"])
async def test_a_cancel_disconnects_a_silent_model_at_once(
    http: httpx.AsyncClient, other: httpx.AsyncClient, standin: StandinServer, by: str, moment: str
) -> None:
    conversation_id = await make_conversation(http)
    creator = Stream.of_turn(http, SILENT[moment], conversation=conversation_id)
    words = 3 if moment == "after three words" else 0
    await creator.see_words(words)
    client = http if by == "its own replica" else other
    cancelled = await client.post(f"/v1/responses/{await creator.get_id()}/cancel")
    await check_model_is_left(standin)
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert await creator.read_final(within_s=2) == cancelled.json()
    assert get_text(cancelled.json()) == "1 2 3"[: 2 * words]
    items = await list_items(http, conversation_id)
    assert [item["role"] for item in items] == (["user", "assistant"] if words else ["user"])
    assert (await ask(http, "Hello", conversation=conversation_id)).status_code == 200


async def test_the_next_turn_knows_the_text_of_a_cancelled_one(http: httpx.AsyncClient) -> None:
    creator = Stream.of_turn(http, f"My name is Ada. {SLOW}")
    response_id = await creator.get_id()
    await http.post(f"/v1/responses/{response_id}/cancel")
    answer = await ask(http, "What is my name?", previous_response_id=response_id)
    assert get_text(answer.json()) == "Your name is Ada."


async def test_a_background_answer_that_nobody_reads_is_cancelled(alice: AsyncOpenAI, other: httpx.AsyncClient) -> None:
    created = await alice.responses.create(input=SLOW, model="stand-in", background=True)
    cancelled = await alice.responses.cancel(created.id)
    assert cancelled.status == "cancelled"
    raw = await Stream.of_response(other, created.id).read()
    assert check_events(read_frames(raw))["status"] == "cancelled"


async def test_a_whole_answer_that_is_cancelled_returns_the_cancelled_response(
    http: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    conversation_id = await make_conversation(http)
    whole = asyncio.create_task(ask(http, SLOW, conversation=conversation_id))
    response_id = await find_active(http, conversation_id)
    cancelled = await other.post(f"/v1/responses/{response_id}/cancel")
    answer = await asyncio.wait_for(whole, 2)
    assert (answer.status_code, answer.content) == (200, cancelled.content)
    assert answer.json()["status"] == "cancelled"


async def find_active(http: httpx.AsyncClient, conversation_id: str) -> str:
    """The active response of the conversation, once there is one."""
    async with asyncio.timeout(5):
        while True:
            conversation = (await http.get(f"/v1/conversations/{conversation_id}")).json()
            if response_id := conversation["eps:active_response_id"]:
                return str(response_id)


async def test_cancelling_again_says_the_same(http: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    creator = Stream.of_turn(http, SLOW)
    url = f"/v1/responses/{await creator.get_id()}/cancel"
    answers = [await client.post(url) for client in (other, http, other)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({answer.content for answer in answers}) == 1


async def test_many_cancels_at_once_all_succeed_and_say_the_same(
    http: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    for _ in range(5):
        creator = Stream.of_turn(http, SLOW)
        url = f"/v1/responses/{await creator.get_id()}/cancel"
        await creator.see_words(2)
        answers = await asyncio.gather(*(client.post(url) for client in (http, other) * 4))
        assert [answer.status_code for answer in answers] == [200] * 8
        assert len({answer.content for answer in answers}) == 1
        assert await creator.read_final(within_s=2) == answers[0].json()


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Hello", "completed"),
        ("count to 3 [[standin finish=length]]", "incomplete"),
        ("count to 3 [[standin cut_after=1]]", "failed"),
    ],
)
async def test_what_has_ended_cannot_be_cancelled(http: httpx.AsyncClient, text: str, status: str) -> None:
    creator = Stream.of_turn(http, text)
    final = await creator.read_final()
    assert final["status"] == status
    refused = await http.post(f"/v1/responses/{final['id']}/cancel")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "response_ended")
    assert "Cannot cancel" in refused.json()["error"]["message"]
    assert (await http.get(f"/v1/responses/{final['id']}")).json() == final


async def test_unknown_deleted_and_anothers_responses_are_not_found(
    http: httpx.AsyncClient, service: Service, alice: AsyncOpenAI
) -> None:
    creator = Stream.of_turn(http, SLOW)
    active = await creator.get_id()
    deleted = (await ask(http, "Hello")).json()["id"]
    await alice.responses.delete(deleted)
    as_bob = {"Authorization": f"Bearer {service.bob_key}"}
    for response_id, headers in ((active, as_bob), (deleted, {}), ("resp_" + "0" * 32, {}), ("resp_1", {})):
        refused = await http.post(f"/v1/responses/{response_id}/cancel", headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "response_not_found")
    refused = await http.post("/v1/responses/conv_1/cancel")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "response_id")
    assert (await http.get(f"/v1/responses/{active}")).json()["status"] == "in_progress"
    assert (await http.post(f"/v1/responses/{active}/cancel")).status_code == 200


async def test_a_cancel_takes_moments_even_when_the_model_is_silent(
    http: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    took: list[float] = []
    for _ in range(MEASURED):
        creator = Stream.of_turn(http, SILENT["before the headers"])
        url = f"/v1/responses/{await creator.get_id()}/cancel"
        began = time.monotonic()
        cancelled = await other.post(url)
        took.append(time.monotonic() - began)
        assert "eps:cancel_confirmed" not in cancelled.json()
        await creator.read_final(within_s=2)
    p50, p95 = statistics.median(took), statistics.quantiles(took, n=20)[-1]
    print(f"cancel elsewhere: p50 {p50 * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms")  # noqa: T201 -- prints the measurement
    assert p95 < 1


@pytest.mark.timed
async def test_a_frozen_owner_is_not_waited_for_and_writes_nothing_when_it_thaws(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    replica = await asyncio.to_thread(start_replica, service.environment)
    async with open_client(http, replica) as frozen:
        conversation_id = await make_conversation(http)
        creator = Stream.of_turn(frozen, SLOW, conversation=conversation_id)
        response_id = await creator.get_id()
        follower = Stream.of_response(http, response_id)
        await follower.see_words(4)
        await asyncio.to_thread(replica.freeze)
        began = time.monotonic()
        cancelled = await http.post(f"/v1/responses/{response_id}/cancel")
        assert 1.5 < time.monotonic() - began < 4
        assert cancelled.status_code == 200
        assert cancelled.json()["eps:cancel_confirmed"] is False
        final = await follower.read_final(within_s=2)
        assert {**final, "eps:cancel_confirmed": False} == cancelled.json()
        assert (await ask(http, "Hello", conversation=conversation_id)).status_code == 200

        replica.thaw()
        assert await creator.read_final(within_s=10) == final  # it shows its own client the decision
        assert (await frozen.get(f"/v1/responses/{response_id}")).json() == final
        assert await Stream.of_response(http, response_id).read() == follower.raw
        assert len(await list_items(http, conversation_id)) == 4
    assert "Traceback" not in replica.log
