"""A busy conversation or chain: what nobody follows gives way, and `eps:if_busy` says otherwise."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.oracle import check_events, read_frames
from tests.support.server_fixtures import StartReplica
from tests.support.servers import StandinServer, eventually
from tests.support.service import Service
from tests.support.turns import Stream, ask, get_text, make_conversation, open_client

SLOW = "count to 500 [[standin token_s=0.05]]"
SHORT = "count to 30 [[standin token_s=0.05]]"
# Promised is well under a second; the rest is for a busy machine.
SOON_S = 2.0


async def leave_in_the_middle(http: httpx.AsyncClient, text: str = SLOW, **body: Any) -> str:
    """Begin an answer, read some words, and close the connection. Returns the response's id."""
    stream = Stream.of_turn(http, text, **body)
    await stream.see_words(3)
    response_id = await stream.get_id()
    await stream.leave()
    return response_id


async def check_cancelled(http: httpx.AsyncClient, response_id: str) -> str:
    """The response must be cancelled. Returns its text."""
    found = (await http.get(f"/v1/responses/{response_id}")).json()
    assert found["status"] == "cancelled"
    assert [item["status"] for item in found["output"]] == ["incomplete"]
    return get_text(found)


async def list_texts(http: httpx.AsyncClient, conversation_id: str) -> list[str]:
    """The texts in the conversation, oldest first."""
    answer = await http.get(f"/v1/conversations/{conversation_id}/items", params={"order": "asc"})
    return ["".join(part["text"] for part in item["content"]) for item in answer.json()["data"]]


async def count_active(standin: StandinServer) -> int:
    """How many connections to the model are open."""
    async with httpx.AsyncClient(base_url=standin.url) as client:
        count: int = (await client.get("/_control/active")).json()["active"]
        return count


def check_locked(answer: httpx.Response, active_id: str) -> None:
    """It must be refused, and name the active response."""
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (409, "conversation_locked")
    assert error["active_response_id"] == active_id


@pytest.fixture
async def conversation_id(http: httpx.AsyncClient) -> str:
    """A conversation of Alice's."""
    return await make_conversation(http)


@pytest.fixture
async def followed(http: httpx.AsyncClient, conversation_id: str) -> AsyncIterator[Stream]:
    """A slow answer in the conversation that its client follows."""
    stream = Stream.of_turn(http, SLOW, conversation=conversation_id)
    await stream.see_words(3)
    yield stream
    await http.post(f"/v1/responses/{await stream.get_id()}/cancel")
    await stream.leave()


# --- stop, then ask ---


@pytest.mark.timed
@pytest.mark.parametrize("is_streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("by", ["its own replica", "another"])
async def test_who_leaves_and_asks_anew_is_answered_at_once(
    http: httpx.AsyncClient,
    other: httpx.AsyncClient,
    standin: StandinServer,
    by: str,
    is_streamed: bool,
) -> None:
    conversation_id = await make_conversation(http)
    left_id = await leave_in_the_middle(http, conversation=conversation_id)
    began = time.monotonic()
    client = http if by == "its own replica" else other
    answer = await ask(client, "repeat: Good", conversation=conversation_id, stream=is_streamed)
    took_s = time.monotonic() - began
    assert answer.status_code == 200
    final = check_events(read_frames(answer.content)) if is_streamed else answer.json()
    assert (final["status"], get_text(final)) == ("completed", "Good")
    assert final["eps:model_input"]["history_items"] == 2
    assert took_s < SOON_S
    assert "idempotency-replayed" not in answer.headers
    kept = await check_cancelled(other, left_id)
    assert kept.startswith("1 2 3")
    assert await list_texts(http, conversation_id) == [SLOW, kept, "repeat: Good", "Good"]

    async def is_model_left() -> bool:
        return await count_active(standin) == 0

    await eventually(is_model_left)


async def test_a_whole_request_that_is_given_up_gives_way(
    http: httpx.AsyncClient, other: httpx.AsyncClient, conversation_id: str
) -> None:
    asking = asyncio.ensure_future(ask(http, SLOW, conversation=conversation_id))

    async def find_active() -> str | None:
        found: str | None = (await other.get(f"/v1/conversations/{conversation_id}")).json()["eps:active_response_id"]
        return found

    left_id = await eventually(find_active)
    assert left_id is not None
    check_locked(await ask(other, "Hello", conversation=conversation_id), left_id)
    asking.cancel()
    answer = await ask(other, "repeat: Good", conversation=conversation_id)
    assert answer.status_code == 200
    assert (await http.get(f"/v1/responses/{left_id}")).json()["status"] == "cancelled"


@pytest.mark.parametrize("by", ["its own replica", "another"])
async def test_the_predecessor_in_a_chain_gives_way_too(
    http: httpx.AsyncClient, other: httpx.AsyncClient, by: str
) -> None:
    first_id = (await ask(http, "repeat: One")).json()["id"]
    left_id = await leave_in_the_middle(http, previous_response_id=first_id)
    client = http if by == "its own replica" else other
    answer = await ask(client, "repeat: Good", previous_response_id=left_id)
    assert answer.status_code == 200
    assert answer.json()["eps:model_input"]["history_items"] == 4
    assert (await check_cancelled(http, left_id)).startswith("1 2 3")


async def test_the_same_body_attaches_to_what_was_left(
    http: httpx.AsyncClient, other: httpx.AsyncClient, conversation_id: str
) -> None:
    left_id = await leave_in_the_middle(http, SHORT, conversation=conversation_id)
    answer = await ask(other, SHORT, conversation=conversation_id)
    assert (answer.status_code, answer.headers["idempotency-replayed"]) == (200, "true")
    assert (answer.json()["id"], answer.json()["status"]) == (left_id, "completed")


async def test_a_reader_elsewhere_keeps_an_answer_until_it_leaves(
    http: httpx.AsyncClient, other: httpx.AsyncClient, conversation_id: str
) -> None:
    creator = Stream.of_turn(http, SLOW, conversation=conversation_id)
    response_id = await creator.get_id()
    follower = Stream.of_response(other, response_id)
    await follower.see_words(3)
    await creator.leave()
    for client in (http, other):
        check_locked(await ask(client, "Hello", conversation=conversation_id), response_id)
    await follower.leave()
    assert (await ask(http, "Hello", conversation=conversation_id)).status_code == 200
    await check_cancelled(http, response_id)


async def test_an_answer_outlives_the_marks_that_are_not_renewed(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    """A reader's mark holds for a lease; as long as the reader is there it is renewed."""
    replica = await asyncio.to_thread(start_replica, {**service.environment, "LEASE_S": "1"})
    async with open_client(http, replica) as client:
        conversation_id = await make_conversation(http)
        creator = Stream.of_turn(client, SLOW, conversation=conversation_id)
        await creator.see_words(60)  # three seconds
        check_locked(await ask(http, "Hello", conversation=conversation_id), await creator.get_id())
        await creator.leave()
        assert (await ask(http, "Hello", conversation=conversation_id)).status_code == 200


async def test_an_answer_whose_replica_was_killed_and_whose_client_is_gone_gives_way(
    service: Service, http: httpx.AsyncClient, other: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "LEASE_S": "1"})
    async with open_client(http, replica) as victim:
        conversation_id = await make_conversation(http)
        creator = Stream.of_turn(victim, SLOW, conversation=conversation_id)
        await creator.see_words(5)
        response_id = await creator.get_id()
        await asyncio.to_thread(replica.kill)
        await creator.read_broken()

        async def is_answered() -> bool:
            return (await ask(other, "Hello", conversation=conversation_id)).status_code == 200

        await eventually(is_answered, within_s=20)
        assert (await check_cancelled(http, response_id)).startswith("1 2 3 4 5")


# --- one winner ---


@pytest.mark.parametrize("is_same", [True, False], ids=["the same body", "other bodies"])
@pytest.mark.parametrize("is_left", [True, False], ids=["left", "free"])
async def test_of_four_sends_at_once_one_wins(
    http: httpx.AsyncClient, other: httpx.AsyncClient, conversation_id: str, is_same: bool, is_left: bool
) -> None:
    left_id = await leave_in_the_middle(http, conversation=conversation_id) if is_left else None
    texts = [f"count to {20 if is_same else 20 + n} [[standin token_s=0.05]]" for n in range(4)]
    answers = await asyncio.gather(
        *(ask((http, other)[n % 2], text, conversation=conversation_id) for n, text in enumerate(texts))
    )
    [won] = [answer for answer in answers if answer.status_code == 200]
    assert won.json()["status"] == "completed"
    for answer in answers:
        if answer is not won:
            check_locked(answer, won.json()["id"])
    if left_id:
        await check_cancelled(http, left_id)
    said = await list_texts(http, conversation_id)
    assert said[-1] == get_text(won.json())
    assert len(said) == (4 if is_left else 2)


async def test_of_four_copies_of_what_was_left_one_attaches(
    http: httpx.AsyncClient, other: httpx.AsyncClient, conversation_id: str
) -> None:
    left_id = await leave_in_the_middle(http, SHORT, conversation=conversation_id)
    answers = await asyncio.gather(*(ask((http, other)[n % 2], SHORT, conversation=conversation_id) for n in range(4)))
    [won] = [answer for answer in answers if answer.status_code == 200]
    assert won.json()["id"] == left_id
    for answer in answers:
        if answer is not won:
            check_locked(answer, left_id)


# --- eps:if_busy ---


@pytest.mark.parametrize("if_busy", [None, "reject"])
async def test_what_is_followed_is_left_alone(
    http: httpx.AsyncClient, other: httpx.AsyncClient, conversation_id: str, followed: Stream, if_busy: str | None
) -> None:
    for client in (http, other):
        answer = await ask(client, "Hello", conversation=conversation_id, **{"eps:if_busy": if_busy})
        check_locked(answer, await followed.get_id())
    await followed.see_words(10)


async def test_reject_refuses_what_nobody_follows(
    http: httpx.AsyncClient, other: httpx.AsyncClient, conversation_id: str
) -> None:
    left_id = await leave_in_the_middle(http, SHORT, conversation=conversation_id)
    for text in ("Hello", SHORT):
        answer = await ask(other, text, conversation=conversation_id, **{"eps:if_busy": "reject"})
        check_locked(answer, left_id)
    assert (await Stream.of_response(http, left_id).read_final())["status"] == "completed"


@pytest.mark.parametrize("by", ["its own replica", "another"])
async def test_interrupt_ends_what_is_followed_and_its_followers_see_the_end(
    http: httpx.AsyncClient, other: httpx.AsyncClient, conversation_id: str, followed: Stream, by: str
) -> None:
    follower = Stream.of_response(other, await followed.get_id())
    await follower.see_words(3)
    client = http if by == "its own replica" else other
    answer = await ask(client, "repeat: Good", conversation=conversation_id, **{"eps:if_busy": "interrupt"})
    assert answer.status_code == 200
    final = await followed.read_final(within_s=5)
    assert final["status"] == "cancelled"
    assert read_frames(followed.raw)[-1]["type"] == "response.incomplete"
    assert await follower.read(within_s=5) == followed.raw
    assert await list_texts(http, conversation_id) == [SLOW, get_text(final), "repeat: Good", "Good"]


@pytest.mark.timed
async def test_a_background_response_gives_way_to_interrupt_only(
    http: httpx.AsyncClient, other: httpx.AsyncClient, conversation_id: str
) -> None:
    background_id = (await ask(http, SLOW, conversation=conversation_id, background=True)).json()["id"]
    began = time.monotonic()
    for if_busy in (None, "reject"):
        answer = await ask(other, "Hello", conversation=conversation_id, **{"eps:if_busy": if_busy})
        check_locked(answer, background_id)
    assert time.monotonic() - began < SOON_S
    answer = await ask(other, "Hello", conversation=conversation_id, **{"eps:if_busy": "interrupt"})
    assert answer.status_code == 200
    assert (await http.get(f"/v1/responses/{background_id}")).json()["status"] == "cancelled"


@pytest.mark.timed
@pytest.mark.parametrize("is_streamed", [True, False], ids=["streamed", "whole"])
async def test_wait_waits_for_the_end_and_is_answered_then(
    http: httpx.AsyncClient, other: httpx.AsyncClient, conversation_id: str, is_streamed: bool
) -> None:
    creator = Stream.of_turn(http, SHORT, conversation=conversation_id)
    await creator.see_words(3)
    waiting = [
        asyncio.ensure_future(
            ask(client, text, conversation=conversation_id, stream=is_streamed, **{"eps:if_busy": "wait"})
        )
        for client, text in ((http, "repeat: B"), (other, "repeat: C"), (other, "repeat: D"))
    ]
    assert (await creator.read_final())["status"] == "completed"
    ended = time.monotonic()
    answers = await asyncio.gather(*waiting)
    assert [answer.status_code for answer in answers] == [200] * 3
    assert time.monotonic() - ended < SOON_S
    said = await list_texts(http, conversation_id)
    assert said[0] == SHORT
    assert sorted(said[3::2]) == ["B", "C", "D"]


async def test_wait_lets_what_nobody_follows_come_to_its_end(
    http: httpx.AsyncClient, other: httpx.AsyncClient, conversation_id: str
) -> None:
    left_id = await leave_in_the_middle(http, SHORT, conversation=conversation_id)
    answer = await ask(other, "repeat: B", conversation=conversation_id, **{"eps:if_busy": "wait"})
    assert answer.status_code == 200
    assert (await http.get(f"/v1/responses/{left_id}")).json()["status"] == "completed"


async def test_who_leaves_while_waiting_leaves_nothing_behind(
    http: httpx.AsyncClient, other: httpx.AsyncClient, conversation_id: str
) -> None:
    creator = Stream.of_turn(http, SHORT, conversation=conversation_id)
    await creator.see_words(3)
    body = {"input": "repeat: B", "stream": True, "conversation": conversation_id, "eps:if_busy": "wait"}
    waiting = Stream(other, "POST", "/v1/responses", json=body)
    await creator.see_words(10)
    await waiting.leave()
    await creator.read_final()
    answer = await ask(other, "repeat: C", conversation=conversation_id)
    assert answer.status_code == 200
    assert (await list_texts(http, conversation_id))[2:] == ["repeat: C", "C"]


@pytest.mark.parametrize("if_busy", [None, "reject", "interrupt", "wait"])
async def test_a_chain_whose_predecessor_is_followed(
    http: httpx.AsyncClient, other: httpx.AsyncClient, if_busy: str | None
) -> None:
    creator = Stream.of_turn(http, SHORT)
    await creator.see_words(3)
    first_id = await creator.get_id()
    answer = await ask(other, "repeat: B", previous_response_id=first_id, **{"eps:if_busy": if_busy})
    final = await creator.read_final()
    if if_busy in {None, "reject"}:
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "response_not_ended")
        assert final["status"] == "completed"
    else:
        assert (answer.status_code, get_text(answer.json())) == (200, "B")
        assert final["status"] == ("cancelled" if if_busy == "interrupt" else "completed")


async def test_a_turn_that_is_refused_interrupts_nothing(
    http: httpx.AsyncClient, other: httpx.AsyncClient, conversation_id: str
) -> None:
    left_id = await leave_in_the_middle(http, SHORT, conversation=conversation_id)
    output = [{"type": "function_call_output", "call_id": "call_unknown", "output": "1"}]
    for if_busy in (None, "interrupt"):
        answer = await other.post(
            "/v1/responses", json={"input": output, "conversation": conversation_id, "eps:if_busy": if_busy}
        )
        assert answer.status_code == 400
        assert "call_unknown" in answer.json()["error"]["message"]
    assert (await Stream.of_response(http, left_id).read_final())["status"] == "completed"


@pytest.mark.parametrize("if_busy", ["reject", "interrupt", "wait", None])
async def test_where_nothing_is_busy_it_changes_nothing(http: httpx.AsyncClient, if_busy: str | None) -> None:
    answer = await ask(http, "repeat: Hi", **{"eps:if_busy": if_busy})
    assert (answer.status_code, get_text(answer.json())) == (200, "Hi")


async def test_a_retry_may_say_otherwise_what_is_to_be_done_when_busy(http: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": f"busy-{time.time_ns()}"}
    first, again = [
        await http.post("/v1/responses", json={"input": "repeat: Hi", **more}, headers=headers)
        for more in ({}, {"eps:if_busy": "interrupt"})
    ]
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content
