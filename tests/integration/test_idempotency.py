"""A retry is not a second answer: `Idempotency-Key`, the SDK's own retries, and concurrent requests."""

import asyncio
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from prompts.domain import ids
from tests.support.oracle import read_frames
from tests.support.servers import StandinServer
from tests.support.service import Service
from tests.support.turns import Stream, ask, check_free_and_unmoved, get_text, make_conversation

SLOW = "count to 20 [[standin token_s=0.05]]"
# Several requests are refused meanwhile, each after a moment.
SLOWER = "count to 100 [[standin token_s=0.05]]"
# Enough to fill more than a page of items.
RACES = (60, pytest.param(200, marks=pytest.mark.long))


def new_key() -> str:
    """A new key."""
    return ids.new_id("key", ids.new_partition())


async def post(http: httpx.AsyncClient, key: str | None, **body: Any) -> httpx.Response:
    """Create a response with a key."""
    headers = {} if key is None else {"Idempotency-Key": key}
    return await http.post("/v1/responses", json={"input": "Hello", **body}, headers=headers)


def read_id(answer: httpx.Response) -> str:
    """The response id in an answer, streamed or whole."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        return str(read_frames(answer.content)[0]["response"]["id"])
    return str(answer.json()["id"])


class Calls:
    """Counts the calls to the model."""

    def __init__(self, standin: StandinServer) -> None:
        self._url = f"{standin.url}/_control/calls"

    async def forget(self) -> None:
        """Count from now on."""
        async with httpx.AsyncClient() as client:
            assert (await client.delete(self._url)).is_success

    async def count(self) -> int:
        """The calls to the model."""
        async with httpx.AsyncClient() as client:
            found = (await client.get(self._url)).json()
        calls = found if isinstance(found, list) else found["calls"]
        return len([call for call in calls if call["path"].endswith("/chat/completions")])


@pytest.fixture
async def calls(standin: StandinServer) -> Calls:
    calls = Calls(standin)
    await calls.forget()
    return calls


@pytest.mark.parametrize(
    "is_streamed",
    [(False, False), (False, True), (True, False), (True, True)],
    ids=["whole, whole", "whole, streamed", "streamed, whole", "streamed, streamed"],
)
@pytest.mark.parametrize("anchor", ["none", "conversation", "previous response"])
async def test_the_same_key_gives_the_same_response_and_asks_the_model_once(
    http: httpx.AsyncClient, other: httpx.AsyncClient, calls: Calls, anchor: str, is_streamed: tuple[bool, bool]
) -> None:
    more: dict[str, Any] = {}
    if anchor == "conversation":
        more = {"conversation": await make_conversation(http)}
    if anchor == "previous response":
        more = {"previous_response_id": (await ask(http, "Hi")).json()["id"]}
    await calls.forget()
    key = new_key()
    made = await post(http, key, stream=is_streamed[0], **more)
    assert "idempotency-replayed" not in made.headers
    for client in (http, other):
        again = await post(client, key, stream=is_streamed[1], **more)
        assert again.status_code == 200
        assert again.headers["idempotency-replayed"] == "true"
        assert read_id(again) == read_id(made)
        if is_streamed[0] == is_streamed[1]:
            assert again.content == made.content
    assert await calls.count() == 1


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
async def test_a_retry_of_a_live_request_gets_its_answer(
    http: httpx.AsyncClient, other: httpx.AsyncClient, calls: Calls, is_streamed: bool
) -> None:
    key = new_key()
    creator = Stream.of_turn(http, SLOW, headers={"Idempotency-Key": key})
    await creator.see_words(2)
    retries = await asyncio.gather(
        *(post(client, key, input=SLOW, stream=is_streamed) for client in (http, other, http, other))
    )
    final = await creator.read_final()
    for retry in retries:
        assert retry.headers["idempotency-replayed"] == "true"
        if is_streamed:
            assert retry.content == creator.raw
        else:
            assert retry.json() == final
    assert await calls.count() == 1


async def test_a_background_request_can_be_retried_in_any_state(
    http: httpx.AsyncClient, other: httpx.AsyncClient, calls: Calls
) -> None:
    key = new_key()
    made = await post(http, key, input=SLOW, background=True)
    assert made.json()["status"] == "queued"
    live = await post(other, key, input=SLOW, background=True)
    assert (read_id(live), live.json()["status"]) == (read_id(made), "in_progress")
    await Stream.of_response(other, read_id(made)).read()
    ended = await post(http, key, input=SLOW, background=True)
    assert (read_id(ended), ended.json()["status"]) == (read_id(made), "completed")
    assert await calls.count() == 1


@pytest.mark.parametrize(
    "body", [{"input": "Bye"}, {"temperature": 0.5}, {"metadata": {"a": "b"}}, {"background": True}]
)
async def test_the_same_key_with_another_body_is_refused(
    http: httpx.AsyncClient, other: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    key = new_key()
    made = await post(http, key)
    for client in (http, other):
        refused = await post(client, key, **body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert read_id(await post(http, key)) == read_id(made)


async def test_a_key_belongs_to_its_owner_and_its_conversation(http: httpx.AsyncClient, service: Service) -> None:
    key = new_key()
    conversations = [await make_conversation(http) for _ in range(2)]
    anchors: list[dict[str, Any]] = [{}, *({"conversation": found} for found in conversations)]
    anchors.append({"previous_response_id": read_id(await post(http, None))})
    answers = [await post(http, key, **anchor) for anchor in anchors]
    as_bob = {"Authorization": f"Bearer {service.bob_key}", "Idempotency-Key": key}
    answers.append(await http.post("/v1/responses", json={"input": "Hello"}, headers=as_bob))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len({read_id(answer) for answer in answers}) == 5


@pytest.mark.parametrize("key", ["", "k" * 256, "two words", "clé", "tab\tbed"])
async def test_an_invalid_key_is_refused(http: httpx.AsyncClient, key: str) -> None:
    headers = {b"Idempotency-Key": key.encode("latin-1")}
    refused = await http.post("/v1/responses", json={"input": "Hello"}, headers=headers)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "Idempotency-Key")


async def test_the_longest_and_the_oddest_key(http: httpx.AsyncClient) -> None:
    for key in ("k" * 255, "".join(map(chr, range(33, 127)))):
        first, again = await post(http, key), await post(http, key)
        assert read_id(first) == read_id(again)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"temperature": 3}, 400),
        ({"model": "nobody-serves-this"}, 404),
        ({"conversation": "conv_" + "0" * 32}, 404),
        ({"previous_response_id": "resp_" + "0" * 32}, 404),
        ({"input": [{"type": "item_reference", "id": "msg_" + "0" * 32}]}, 404),
    ],
)
async def test_a_refused_request_claims_nothing(http: httpx.AsyncClient, body: dict[str, Any], status: int) -> None:
    key = new_key()
    assert (await post(http, key, **body)).status_code == status
    made = await post(http, key)
    assert made.status_code == 200
    assert "idempotency-replayed" not in made.headers


async def test_a_busy_conversation_claims_nothing(http: httpx.AsyncClient) -> None:
    conversation_id, key = await make_conversation(http), new_key()
    creator = Stream.of_turn(http, SLOW, conversation=conversation_id)
    await creator.get_id()
    refused = await post(http, key, conversation=conversation_id)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conversation_locked")
    await creator.read()
    made = await post(http, key, conversation=conversation_id)
    assert (made.status_code, "idempotency-replayed" in made.headers) == (200, False)


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("status=429 retry_after=7", 429, "rate_limit_exceeded"),
        ("cut_after=2", 502, "upstream_error"),
        ("silence_after=2", 504, "upstream_timeout"),
        ("status=400", 400, "invalid_prompt"),
    ],
)
async def test_a_retry_of_a_failed_request_gets_the_same_failure(
    http: httpx.AsyncClient, other: httpx.AsyncClient, fault: str, status: int, code: str
) -> None:
    key, text = new_key(), f"count to 9 [[standin {fault}]]"
    conversation_id = await make_conversation(http)
    failed = await post(http, key, input=text, conversation=conversation_id)
    assert (failed.status_code, failed.json()["error"]["code"]) == (status, code)
    for client in (http, other):
        again = await post(client, key, input=text, conversation=conversation_id)
        assert (again.status_code, again.json()) == (failed.status_code, failed.json())
        assert again.headers.get("retry-after") == failed.headers.get("retry-after")
        assert again.headers["idempotency-replayed"] == "true"
        streamed = await post(client, key, input=text, conversation=conversation_id, stream=True)
        assert streamed.headers["idempotency-replayed"] == "true"
        last = read_frames(streamed.content)[-1]
        assert last["type"] == "response.failed"
        assert last["response"]["error"]["message"] == failed.json()["error"]["message"]
    await check_free_and_unmoved(http, conversation_id)


# --- the SDK's own retries ---


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
async def test_a_retry_by_the_sdk_attaches_to_the_active_response(
    http: httpx.AsyncClient, other: httpx.AsyncClient, calls: Calls, is_streamed: bool
) -> None:
    conversation_id = await make_conversation(http)
    creator = Stream.of_turn(http, SLOWER, conversation=conversation_id)
    await creator.see_words()
    body = {"input": SLOWER, "conversation": conversation_id, "stream": is_streamed}
    for client in (http, other):
        changed = {**body, "input": "Something else"}
        for headers, sent in (({"x-stainless-retry-count": "1"}, changed), ({"x-stainless-retry-count": "0"}, body)):
            refused = await client.post("/v1/responses", json=sent, headers=headers)
            assert refused.status_code == 409
            assert refused.json()["error"]["active_response_id"] == await creator.get_id()
            assert refused.headers["x-should-retry"] == "false"
    retry = await other.post("/v1/responses", json=body, headers={"x-stainless-retry-count": "1"})
    final = await creator.read_final()
    assert retry.headers["idempotency-replayed"] == "true"
    assert retry.content == creator.raw if is_streamed else retry.json() == final
    assert await calls.count() == 1


async def test_the_sdk_that_gives_up_after_its_retries_leaves_nothing_behind(
    service: Service, http: httpx.AsyncClient, calls: Calls
) -> None:
    conversation_id = await make_conversation(http)
    async with AsyncOpenAI(base_url=service.api_url, api_key=service.alice_key, max_retries=3) as client:
        with pytest.raises(openai.InternalServerError) as raised:
            await client.responses.create(
                input="Hello [[standin status=500]]", conversation=conversation_id, model="stand-in"
            )
    assert raised.value.status_code == 502
    assert await calls.count() >= 4
    await check_free_and_unmoved(http, conversation_id)
    items = (await http.get(f"/v1/conversations/{conversation_id}/items")).json()["data"]
    assert len({item["id"] for item in items}) == len(items) == 2


# --- concurrent requests ---


@pytest.mark.timed  # the second must come while the first runs
@pytest.mark.parametrize("races", RACES)
async def test_of_two_turns_at_once_in_one_conversation_exactly_one_runs(
    http: httpx.AsyncClient, other: httpx.AsyncClient, races: int
) -> None:
    conversation_id = await make_conversation(http)
    for _ in range(races):
        answers = await asyncio.gather(
            *(
                post(client, None, input="repeat: A B [[standin token_s=0.04]]", conversation=conversation_id)
                for client in (http, other)
            )
        )
        won, lost = sorted(answers, key=lambda answer: answer.status_code)
        assert (won.status_code, lost.status_code) == (200, 409)
        assert get_text(won.json()) == "A B"
        error = lost.json()["error"]
        assert (error["code"], error["active_response_id"]) == ("conversation_locked", won.json()["id"])
    seen: list[dict[str, Any]] = []
    page: dict[str, Any] = {"has_more": True, "last_id": None}
    while page["has_more"]:
        query = {"limit": "100", "order": "asc"} | ({"after": page["last_id"]} if page["last_id"] else {})
        page = (await http.get(f"/v1/conversations/{conversation_id}/items", params=query)).json()
        seen += page["data"]
    assert [item["role"] for item in seen] == ["user", "assistant"] * races


@pytest.mark.parametrize("races", RACES)
async def test_of_two_requests_at_once_with_one_key_exactly_one_asks_the_model(
    http: httpx.AsyncClient, other: httpx.AsyncClient, calls: Calls, races: int
) -> None:
    for _ in range(races):
        key = new_key()
        answers = await asyncio.gather(*(post(client, key, input="repeat: A") for client in (http, other)))
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].content == answers[1].content
        assert sorted("idempotency-replayed" in answer.headers for answer in answers) == [False, True]
    assert await calls.count() == races
