"""A draining replica: short answers end here, the others continue elsewhere, clients notice nothing."""

import asyncio
import time

import httpx
import pytest
from openai import AsyncOpenAI

from tests.support.server_fixtures import StartReplica
from tests.support.servers import Replica, eventually
from tests.support.service import Service
from tests.support.turns import Stream, ask, get_text, make_conversation, open_client

COUNT = 60
COUNTED = " ".join(str(number) for number in range(1, COUNT + 1))
COUNTED_ON = " ".join(str(number) for number in range(1, 81))
FOUR_SECONDS = "count to 80 [[standin token_s=0.05]]"
THREE_SECONDS = f"count to {COUNT} [[standin token_s=0.05]]"
ENDLESS = "count to 2000 [[standin token_s=0.05]]"


async def get_drain(client: httpx.AsyncClient) -> int:
    """The drain check in `/readyz`."""
    return (await client.get("/readyz")).status_code


async def is_busy(http: httpx.AsyncClient, conversation_id: str) -> bool:
    """Whether the conversation has an active response."""
    conversation = (await http.get(f"/v1/conversations/{conversation_id}")).json()
    return conversation["eps:active_response_id"] is not None


async def begin_drain(replica: Replica, client: httpx.AsyncClient) -> None:
    """Send SIGTERM and wait until the replica is draining."""
    replica.terminate()

    async def is_leaving() -> bool:
        return await get_drain(client) == 503

    await eventually(is_leaving, within_s=1)


async def test_a_drain_finishes_short_answers_and_refuses_new_runs(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "DRAIN_S": "20"})
    async with open_client(http, replica) as client:
        stored_id = (await ask(client, "Hello")).json()["id"]
        stream = Stream.of_turn(client, THREE_SECONDS)
        whole = asyncio.create_task(ask(client, THREE_SECONDS))
        await stream.see_words()
        async with httpx.AsyncClient(base_url=service.standin.url) as control:

            async def are_both_written() -> bool:
                return int((await control.get("/_control/active")).json()["active"]) > 1

            await eventually(are_both_written)
        await begin_drain(replica, client)
        refused = await ask(client, "Hello")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
        assert int(refused.headers["retry-after"]) >= 1
        # A retry on the same connection would reach this replica again.
        assert refused.headers["connection"] == "close"
        stored = await client.get(f"/v1/responses/{await stream.get_id()}")
        assert (stored.status_code, stored.headers["connection"]) == (200, "close")
        followed = await client.get(f"/v1/responses/{stored_id}", params={"stream": "true"})
        assert (followed.status_code, followed.json()["error"]["code"]) == (503, "draining")
        assert get_text(await stream.read_final()) == COUNTED
        assert get_text((await whole).json()) == COUNTED
    assert await asyncio.to_thread(replica.wait, within_s=10) == 0
    assert "handed_over" not in replica.log
    assert "Traceback" not in replica.log
    assert "without completing" not in replica.log


@pytest.mark.timed
async def test_a_drain_hands_over_long_answers_and_serves_their_clients_to_the_end(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "DRAIN_S": "3", "WORKERS": "2"})
    async with open_client(http, replica) as client:
        streams = [Stream.of_turn(client, f"{FOUR_SECONDS} {number}") for number in range(3)]
        whole = asyncio.create_task(ask(client, FOUR_SECONDS))
        for stream in streams:
            await stream.see_words(2)
        await begin_drain(replica, client)
        await eventually(lambda: "handed_over" in replica.log, within_s=8)
        handed_over = time.monotonic()
        words = max(stream.raw.count(b"output_text.delta") for stream in streams)
        await streams[0].see_words(words // 2 + 3, within_s=3)
        assert time.monotonic() - handed_over < 2
        finals = [await stream.read_final() for stream in streams]
        assert {get_text(final) for final in finals} == {COUNTED_ON}
        assert get_text((await whole).json()) == COUNTED_ON
    for stream in streams:
        assert await Stream.of_response(http, await stream.get_id()).read() == stream.raw
    assert await asyncio.to_thread(replica.wait, within_s=10) == 0
    assert replica.log.count('"status": "handed_over"') >= len(streams)  # one may end before the hand-over
    assert "Traceback" not in replica.log
    assert "without completing" not in replica.log


@pytest.mark.timed
async def test_at_the_end_of_the_grace_a_stream_is_cut_and_continues_elsewhere(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "DRAIN_S": "1"})
    async with open_client(http, replica) as client:
        stream = Stream.of_turn(client, ENDLESS)
        conversation_id = await make_conversation(http)
        whole = asyncio.create_task(ask(client, ENDLESS, conversation=conversation_id))
        await stream.see_words(2)
        response_id = await stream.get_id()
        began = time.monotonic()
        replica.terminate()
        seen = await stream.read_broken(within_s=10)
        assert 2 <= time.monotonic() - began < 6
        assert b"[DONE]" not in seen
        refused = await whole
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
        assert await asyncio.to_thread(replica.wait, within_s=10) == 0
    whole_frames = seen[: seen.rindex(b"\n\n") + 2]
    rest = Stream.of_response(http, response_id, after=whole_frames.count(b"event: ") - 1)
    await rest.see_words(10)
    conversation = (await http.get(f"/v1/conversations/{conversation_id}")).json()
    for active in (response_id, conversation["eps:active_response_id"]):
        assert (await http.post(f"/v1/responses/{active}/cancel")).json()["status"] == "cancelled"
    again = await Stream.of_response(http, response_id).read()
    assert again == whole_frames + await rest.read()
    assert "Traceback" not in replica.log
    assert "without completing" not in replica.log


@pytest.mark.parametrize("is_streamed", [True, pytest.param(False, marks=pytest.mark.long)])
async def test_the_plain_sdk_notices_nothing_when_its_replica_leaves(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica, is_streamed: bool
) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "DRAIN_S": "2"})
    async with AsyncOpenAI(base_url=f"{replica.url}/v1", api_key=service.alice_key) as sdk:
        text = f"count to {COUNT} [[standin token_s=0.05]]"
        if is_streamed:
            said = []
            async with sdk.responses.stream(input=text, model="stand-in") as stream:
                async for event in stream:
                    if event.type == "response.output_text.delta":
                        said.append(event.delta)
                        if len(said) == 2:
                            replica.terminate()
                final = await stream.get_final_response()
            assert "".join(said) == final.output_text == COUNTED
        else:
            conversation_id = await make_conversation(http)
            creating = asyncio.create_task(
                sdk.responses.create(input=text, model="stand-in", conversation=conversation_id)
            )
            await eventually(lambda: is_busy(http, conversation_id))
            replica.terminate()
            assert (await creating).output_text == COUNTED
    assert await asyncio.to_thread(replica.wait, within_s=10) == 0


@pytest.mark.long
async def test_a_replica_that_leaves_takes_nothing_over(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    """Two replicas that leave at once must not hand the same answer back and forth."""
    environment = {**service.environment, "DRAIN_S": "2"}
    first, second = await asyncio.gather(*(asyncio.to_thread(start_replica, environment) for _ in range(2)))
    async with open_client(http, first) as client:
        stream = Stream.of_turn(client, THREE_SECONDS)
        await stream.see_words(2)
        for replica in (second, first):
            replica.terminate()
        assert get_text(await stream.read_final()) == COUNTED
    for replica in (first, second):
        assert await asyncio.to_thread(replica.wait, within_s=10) == 0
    assert "response_taken_over" not in second.log
