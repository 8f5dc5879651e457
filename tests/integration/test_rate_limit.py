"""`REQUESTS_PER_MINUTE`: exact over all replicas, for each owner."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from tests.support.server_fixtures import StartReplica, StartValkey
from tests.support.servers import eventually
from tests.support.service import Service
from tests.support.turns import ask, open_client

LIMIT = 5


@pytest.fixture
async def clients(
    request: pytest.FixtureRequest,
    service: Service,
    http: httpx.AsyncClient,
    start_valkey: StartValkey,
    start_replica: StartReplica,
) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Alice at two replicas, or at so many as the test asks for, of a service with a limit and a new Redis."""
    valkey = await asyncio.to_thread(start_valkey)
    environment = {**service.environment, "REDIS_URL": valkey.url, "REQUESTS_PER_MINUTE": str(LIMIT)}
    replicas = await asyncio.gather(
        *(asyncio.to_thread(start_replica, environment) for _ in range(getattr(request, "param", 2)))
    )
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(open_client(http, replica)) for replica in replicas]

        async def is_bob_known() -> bool:
            return (await ask_as_bob(clients[0], service)).status_code == 200

        await eventually(is_bob_known)  # the keys are published soon after the start
        yield clients


async def ask_as_bob(client: httpx.AsyncClient, service: Service) -> httpx.Response:
    """A request of another owner."""
    return await client.get("/v1/models", headers={"Authorization": f"Bearer {service.bob_key}"})


async def test_of_many_requests_at_once_exactly_the_limit_passes(
    clients: list[httpx.AsyncClient], service: Service
) -> None:
    answers = await asyncio.gather(*(ask(client, "Hello") for client in clients * LIMIT))
    assert Counter(answer.status_code for answer in answers) == {200: LIMIT, 429: LIMIT}
    passed = [answer for answer in answers if answer.status_code == 200]
    remaining = sorted(answer.headers["x-ratelimit-remaining-requests"] for answer in passed)
    assert remaining == [str(number) for number in range(LIMIT)]
    for answer in answers:
        assert answer.headers["x-ratelimit-limit-requests"] == str(LIMIT)
        assert 0 < float(answer.headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 60
    for refused in (answer for answer in answers if answer.status_code == 429):
        error = refused.json()["error"]
        assert (error["code"], error["type"]) == ("rate_limit_exceeded", "rate_limit_error")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert (await clients[1].get("/v1/conversations")).status_code == 429
    assert (await ask_as_bob(clients[1], service)).status_code == 200
    async with AsyncOpenAI(base_url=f"{clients[0].base_url}/v1", api_key=service.alice_key, max_retries=0) as alice:
        with pytest.raises(openai.RateLimitError):
            await alice.responses.create(input="Hello", model="stand-in")


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.parametrize("clients", [4], indirect=True)
async def test_at_four_replicas_no_minute_has_more_than_the_limit(clients: list[httpx.AsyncClient]) -> None:
    loop = asyncio.get_running_loop()
    ends_at, passed = loop.time() + 130, []

    async def keep_asking(client: httpx.AsyncClient) -> None:
        while loop.time() < ends_at:
            began = loop.time()
            if (await client.get("/v1/models")).status_code == 200:
                passed.append((began, loop.time()))
            await asyncio.sleep(0.05)

    await asyncio.gather(*map(keep_asking, clients * 2))
    passed.sort()
    assert len(passed) >= 2 * LIMIT  # the limit is used up again and again
    # All of these were counted behind the moment when the first was sent, and before the last answer came.
    for place in range(len(passed) - LIMIT):
        some = passed[place : place + LIMIT + 1]
        assert max(answered for _, answered in some) - some[0][0] >= 60


async def test_without_a_limit_no_header_names_one(http: httpx.AsyncClient) -> None:
    answer = await ask(http, "Hello")
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
