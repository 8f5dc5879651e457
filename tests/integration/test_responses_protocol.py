"""The service with a model that speaks Responses: the same turns over the other protocol."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from tests.support.function_tools import ASK_BOTH, TIME, WEATHER, compose_output, find_calls, read_calls
from tests.support.model_calls import ModelCalls
from tests.support.server_fixtures import StartReplica
from tests.support.servers import Replica
from tests.support.service import Service
from tests.support.turns import Stream, ask, check_stored, get_text, make_conversation, open_client, wait_until_known

# A replica looks for lost responses at least every two seconds; the rest is for a busy machine.
LEASE_S = 1
TAKEN_OVER_WITHIN_S = LEASE_S + 2 + 4
COUNT = 30
COUNTED = " ".join(str(number) for number in range(1, COUNT + 1))


@pytest.fixture(scope="module")
def environment(service: Service) -> dict[str, str]:
    """The environment of replicas that speak Responses, with their own Redis: no other replica takes over."""
    redis_url = service.environment["REDIS_URL"].removesuffix("/0") + "/2"
    return {**service.environment, "REDIS_URL": redis_url, "MODEL_PROTOCOL": "responses"}


@pytest.fixture(scope="module")
def replica(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    with Replica(tmp_path_factory.mktemp("responses"), environment) as running:
        yield running


@pytest.fixture
async def client(http: httpx.AsyncClient, replica: Replica) -> AsyncIterator[httpx.AsyncClient]:
    """Alice at that replica, after her key is published."""
    async with open_client(http, replica) as opened:
        await wait_until_known(opened)
        yield opened


async def test_it_works(client: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    streamed = await ask(client, "count to 3", stream=True, instructions="Be brief.")
    final = await check_stored(client, streamed)
    assert (final["status"], get_text(final)) == ("completed", "1 2 3")
    assert final["usage"]["output_tokens"] == 3
    body = await model_calls.get_body("count to 3")
    assert (body["store"], body["instructions"]) == (False, "Be brief.")


async def test_a_conversation_is_replayed(client: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(client)
    await ask(client, "My name is Ada.", conversation=conversation_id)
    answer = await ask(client, "What is my name?", conversation=conversation_id)
    assert get_text(answer.json()) == "Your name is Ada."


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_loop_in_a_conversation(client: httpx.AsyncClient, stream: bool) -> None:
    body: dict[str, Any] = {"conversation": await make_conversation(client), "tools": [WEATHER, TIME]}
    answer = await ask(client, ASK_BOTH, **body, stream=stream)
    first = (await check_stored(client, answer)) if stream else answer.json()
    assert read_calls(first) == [("get_weather", {"city": "Paris"}), ("get_time", {"zone": "UTC"})]
    weather, time = find_calls(first)
    outputs = [compose_output(time, "noon"), compose_output(weather, "The wind is strong.")]
    second = (await ask(client, "", **{**body, "input": outputs})).json()
    assert "get_weather returned: The wind is strong." in get_text(second)
    assert "get_time returned: noon" in get_text(second)
    assert get_text((await ask(client, "What is the wind?", **body)).json()) == "The wind is strong."


async def test_thoughts_and_their_summary(client: httpx.AsyncClient) -> None:
    text = 'count to 3 [[standin reason="Ada is a name." summary="A name."]]'
    streamed = await ask(client, text, stream=True, reasoning={"effort": "low", "summary": "auto"})
    thought, message = (await check_stored(client, streamed))["output"]
    assert [part["text"] for part in thought["summary"]] == ["A name."]
    assert [part["text"] for part in thought["content"]] == ["Ada is a name."]
    assert message["content"][0]["text"] == "1 2 3"
    unasked = (await ask(client, text)).json()
    assert [item["type"] for item in unasked["output"]] == ["message"]


@pytest.mark.parametrize("include", [[], ["reasoning.encrypted_content"]])
async def test_a_turn_after_a_thought(client: httpx.AsyncClient, include: list[str]) -> None:
    body: dict[str, Any] = {"conversation": await make_conversation(client), "reasoning": {"effort": "low"}}
    first = (await ask(client, 'count to 3 [[standin reason="Ada"]]', **body, include=include)).json()
    assert bool(first["output"][0].get("encrypted_content")) == bool(include)
    assert get_text((await ask(client, "count to 2", **body, include=include)).json()) == "1 2"


@pytest.mark.parametrize(
    ("trouble", "status", "code"),
    [
        ("status=429 retry_after=1", 429, "rate_limit_exceeded"),
        ("failed_after=0 code=rate_limit_exceeded", 429, "rate_limit_exceeded"),
        ("failed_after=0 code=invalid_prompt", 400, "invalid_prompt"),
        ("failed_after=0", 502, "upstream_error"),
        ("end_after=2", 502, "upstream_error"),
    ],
)
async def test_failures_are_reported_in_our_own_words(
    client: httpx.AsyncClient, trouble: str, status: int, code: str
) -> None:
    answer = await ask(client, f"count to 5 [[standin {trouble}]]")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_text_from_before_a_failure_is_kept(client: httpx.AsyncClient) -> None:
    streamed = await ask(client, "count to 5 [[standin failed_after=3]]", stream=True)
    final = await check_stored(client, streamed)
    assert (final["status"], get_text(final)) == ("failed", "1 2 3")


@pytest.mark.parametrize("directives", ["", " echo_prefix", " no_prefix"])
async def test_the_answer_of_a_killed_replica_goes_on(
    environment: dict[str, str],
    client: httpx.AsyncClient,
    start_replica: StartReplica,
    model_calls: ModelCalls,
    directives: str,
) -> None:
    victim = await asyncio.to_thread(start_replica, {**environment, "LEASE_S": str(LEASE_S)})
    conversation_id = await make_conversation(client)
    async with open_client(client, victim) as doomed:
        text = f"count to {COUNT} [[standin token_s=0.05{directives}]]"
        creator = Stream.of_turn(doomed, text, conversation=conversation_id)
        follower = Stream.of_response(client, await creator.get_id())
        for reader in (creator, follower):
            await reader.see_words(4)
        await asyncio.to_thread(victim.kill)
        await creator.read_broken(within_s=2)
        await follower.see_words(6, within_s=TAKEN_OVER_WITHIN_S)
        final = await follower.read_final()
    assert (final["status"], get_text(final)) == ("completed", COUNTED)
    assert "1 2 3 4" in str((await model_calls.list_bodies())[-1]["input"])
    page = (await client.get(f"/v1/conversations/{conversation_id}/items", params={"order": "asc"})).json()
    assert [item["content"][0]["text"] for item in page["data"]] == [text, COUNTED]
