"""`store: false`: the answer is given, and nothing of it can be read again."""

from collections.abc import AsyncIterator

import httpx
import pytest
from openai import AsyncOpenAI
from redis.asyncio import Redis

from tests.support.model_calls import open_control
from tests.support.oracle import check_events, read_frames
from tests.support.refusals import check_refusal
from tests.support.servers import StandinServer, eventually
from tests.support.service import Service
from tests.support.turns import Stream, ask, get_text
from tests.support.upkeep import list_upkeep

SECRET = "My name is Swordfish."
SLOW = f"{SECRET} count to 500 [[standin token_s=0.05]]"


@pytest.fixture
async def redis(service: Service) -> AsyncIterator[Redis]:
    """The service's own Redis."""
    async with Redis.from_url(service.valkey.url) as client:
        yield client


async def test_it_works(alice: AsyncOpenAI) -> None:
    response = await alice.responses.create(model="stand-in", input="count to 3", store=False)
    assert (response.output_text, response.status) == ("1 2 3", "completed")
    assert response.model_dump()["store"] is False


@pytest.mark.parametrize("stream", [False, True])
async def test_nothing_can_be_retrieved(http: httpx.AsyncClient, stream: bool) -> None:
    answer = await ask(http, SECRET, store=False, stream=stream)
    response = check_events(read_frames(answer.content)) if stream else answer.json()
    assert response["status"] == "completed"
    url = f"/v1/responses/{response['id']}"
    for refused in (
        await http.get(url),
        await http.get(url, params={"stream": "true"}),
        await http.get(f"{url}/input_items"),
        await http.delete(url),
        await http.post(f"{url}/cancel"),
    ):
        check_refusal(refused, status=404, code="response_not_found")
    refused = await ask(http, "Hi", previous_response_id=response["id"])
    check_refusal(refused, status=404, code="previous_response_not_found")
    item_id = response["output"][0]["id"]
    refused = await ask(http, "", input=[{"type": "item_reference", "id": item_id}])
    check_refusal(refused, status=404, code="item_not_found")


@pytest.mark.parametrize("stream", [False, True])
async def test_nothing_is_kept(http: httpx.AsyncClient, redis: Redis, stream: bool) -> None:
    before = set(await redis.keys()) | list_upkeep()
    answer = await ask(http, SECRET, store=False, stream=stream)
    assert answer.status_code == 200

    async def is_gone() -> bool:
        return set(await redis.keys()) <= before

    await eventually(is_gone, within_s=5)


@pytest.mark.usefixtures("quiet_model")
async def test_the_run_stops_when_its_client_leaves(http: httpx.AsyncClient, standin: StandinServer) -> None:
    stream = Stream.of_turn(http, SLOW, store=False)
    await stream.see_words(2)
    await stream.leave()
    async with open_control(standin) as control:
        answer = await control.get("/_control/active", params={"until": "0", "within_s": "5"})
    assert answer.json() == {"active": 0}


async def test_a_stored_response_may_be_continued_without_storing(http: httpx.AsyncClient) -> None:
    first = (await ask(http, SECRET)).json()
    second = (await ask(http, "What is my name?", previous_response_id=first["id"], store=False)).json()
    assert get_text(second) == "Your name is Swordfish."
    assert second["previous_response_id"] == first["id"]


@pytest.mark.parametrize("stream", [False, True])
async def test_in_the_background_it_is_refused(http: httpx.AsyncClient, stream: bool) -> None:
    answer = await ask(http, "Hello", store=False, background=True, stream=stream)
    error = check_refusal(answer, code=None)
    assert error["param"] in ("store", "background")


async def test_a_stored_response_says_so(http: httpx.AsyncClient) -> None:
    for body in ({}, {"store": True}, {"store": None}):
        response = (await ask(http, "Hello", **body)).json()
        assert response["store"] is True
        assert (await http.get(f"/v1/responses/{response['id']}")).status_code == 200
