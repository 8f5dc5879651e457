"""`POST /v1/responses/{id}/follow_ups`: suggested questions, made once and then the same."""

from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from tests.support.model_calls import ModelCalls, SetModel
from tests.support.refusals import UNKNOWN_RESPONSE, check_refusal
from tests.support.turns import Stream, ask, make_conversation


async def get_follow_ups(http: httpx.AsyncClient, response_id: str) -> dict[str, Any]:
    """The follow-ups. The client's hook checks their shape."""
    answer = await http.post(f"/v1/responses/{response_id}/follow_ups")
    assert answer.status_code == 200, answer.text
    follow_ups: dict[str, Any] = answer.json()
    assert (follow_ups["object"], follow_ups["response_id"]) == ("response.follow_ups", response_id)
    return follow_ups


async def test_they_are_made_once_and_stay_the_same(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    response = (await ask(http, "My name is Ada.")).json()
    await model_calls.forget()
    first = await get_follow_ups(http, response["id"])
    assert len(set(first["data"])) == len(first["data"]) > 0
    assert await get_follow_ups(http, response["id"]) == first
    assert len(await model_calls.list_bodies()) == 1


async def test_the_model_is_given_the_conversation(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    response = (await ask(http, "My favourite colour is heliotrope.")).json()
    await model_calls.forget()
    await get_follow_ups(http, response["id"])
    [body] = await model_calls.list_bodies()
    assert "heliotrope" in str(body["messages"])


async def test_another_replica_knows_them(http: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    response = (await ask(http, "My name is Ada.")).json()
    assert await get_follow_ups(http, response["id"]) == await get_follow_ups(other, response["id"])


async def test_they_change_neither_the_response_nor_its_stream_nor_the_conversation(http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    stream = Stream.of_turn(http, "My name is Ada.", conversation=conversation_id)
    streamed, response_id = await stream.read(), await stream.get_id()
    urls = (f"/v1/responses/{response_id}", f"/v1/conversations/{conversation_id}/items")
    before = [(await http.get(url)).content for url in urls]
    await get_follow_ups(http, response_id)
    assert [(await http.get(url)).content for url in urls] == before
    assert await Stream.of_response(http, response_id).read() == streamed


@pytest.mark.parametrize("directives", [{"refuse": True}, {"bad_json": True}], ids=["refusal", "broken document"])
async def test_a_model_that_answers_badly_leaves_an_empty_list(
    http: httpx.AsyncClient, set_model: SetModel, directives: dict[str, bool]
) -> None:
    response = (await ask(http, "My name is Ada.")).json()
    await set_model(**directives)
    assert (await get_follow_ups(http, response["id"]))["data"] == []


async def test_a_model_that_fails_is_told_and_asked_again(http: httpx.AsyncClient, set_model: SetModel) -> None:
    response = (await ask(http, "My name is Ada.")).json()
    await set_model(status=500)
    answer = await http.post(f"/v1/responses/{response['id']}/follow_ups")
    check_refusal(answer, status=502, code="upstream_error")
    await set_model()
    await get_follow_ups(http, response["id"])


async def test_a_response_is_asked_about_when_it_has_ended(http: httpx.AsyncClient) -> None:
    response = (await ask(http, "count to 100 [[standin token_s=0.05]]", background=True)).json()
    url = f"/v1/responses/{response['id']}"
    answer = await http.post(f"{url}/follow_ups")
    check_refusal(answer, status=409, code="response_not_ended", param="response_id")
    assert answer.headers["retry-after"] == "1"
    await http.post(f"{url}/cancel")
    await get_follow_ups(http, response["id"])


async def test_after_a_failure_there_is_nothing_to_ask(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    stream = Stream.of_turn(http, "Hello [[standin status=500]]")
    assert (await stream.read_final())["status"] == "failed"
    await model_calls.forget()
    assert (await get_follow_ups(http, await stream.get_id()))["data"] == []
    assert await model_calls.list_bodies() == []


async def test_a_compaction_has_none(http: httpx.AsyncClient) -> None:
    compacted = await http.post("/v1/responses/compact", json={"model": "stand-in", "input": "My name is Ada."})
    answer = await http.post(f"/v1/responses/{compacted.json()['id']}/follow_ups")
    assert (answer.status_code, answer.json()["data"]) == (200, [])


async def test_they_are_deleted_with_their_response(http: httpx.AsyncClient) -> None:
    response = (await ask(http, "My name is Ada.")).json()
    await get_follow_ups(http, response["id"])
    await http.delete(f"/v1/responses/{response['id']}")
    answer = await http.post(f"/v1/responses/{response['id']}/follow_ups")
    check_refusal(answer, status=404, code="response_not_found")


async def test_unknown_and_anothers_responses_have_none(http: httpx.AsyncClient, bob: AsyncOpenAI) -> None:
    bobs = await bob.responses.create(model="stand-in", input="Hello")
    for unknown in (UNKNOWN_RESPONSE, bobs.id):
        answer = await http.post(f"/v1/responses/{unknown}/follow_ups")
        check_refusal(answer, status=404, code="response_not_found")
    check_refusal(await http.post("/v1/responses/conv_1/follow_ups"), param="response_id")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_wrong_method_is_told_the_right_one(http: httpx.AsyncClient, method: str) -> None:
    answer = await http.request(method, f"/v1/responses/{UNKNOWN_RESPONSE}/follow_ups")
    check_refusal(answer, status=405, code="method_not_allowed")
    assert answer.headers["allow"] == "POST"
