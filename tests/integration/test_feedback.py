"""`PUT /v1/responses/{id}/feedback`: a person's rating of an answer."""

import time
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from tests.support.refusals import UNKNOWN_RESPONSE, check_refusal
from tests.support.turns import ask


@pytest.fixture
async def url(http: httpx.AsyncClient) -> str:
    """The feedback path of an answer."""
    return f"/v1/responses/{(await ask(http, 'Hello')).json()['id']}/feedback"


@pytest.mark.parametrize("score", [-1, 0, 1])
@pytest.mark.parametrize("more", [{}, {"comment": None}, {"comment": "Ünï 🦀"}, {"comment": ""}])
async def test_it_works(http: httpx.AsyncClient, url: str, score: int, more: dict[str, Any]) -> None:
    answer = await http.put(url, json={"score": score, **more})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert abs(told.pop("created_at") - time.time()) < 60
    assert told == {
        "object": "response.feedback",
        "response_id": url.split("/")[3],
        "score": score,
        "comment": more.get("comment"),
    }


async def test_the_newest_counts(http: httpx.AsyncClient, url: str) -> None:
    for body in ({"score": 1, "comment": "Good."}, {"score": -1}):
        told = (await http.put(url, json=body)).json()
        assert (told["score"], told["comment"]) == (body["score"], body.get("comment"))


async def test_it_can_be_read_again(http: httpx.AsyncClient, url: str) -> None:
    check_refusal(await http.get(url), status=404, code="feedback_not_found", param="response_id")
    for body in ({"score": 1, "comment": "Good."}, {"score": 0, "comment": ""}, {"score": -1}):
        told = (await http.put(url, json=body)).json()
        assert (await http.get(url)).json() == told


async def test_an_answer_that_is_still_written_can_be_judged(http: httpx.AsyncClient) -> None:
    response_url = (
        f"/v1/responses/{(await ask(http, 'count to 100 [[standin token_s=0.05]]', background=True)).json()['id']}"
    )
    told = (await http.put(f"{response_url}/feedback", json={"score": -1, "comment": "Too long."})).json()
    assert (await http.post(f"{response_url}/cancel")).json()["status"] == "cancelled"
    assert (await http.get(f"{response_url}/feedback")).json() == told


async def test_a_comment_has_a_bound(http: httpx.AsyncClient, url: str) -> None:
    longest = "ü" * 4_000
    assert (await http.put(url, json={"score": 1, "comment": longest})).json()["comment"] == longest
    error = check_refusal(await http.put(url, json={"score": -1, "comment": f"{longest}!"}), param="comment")
    assert "4,000" in error["message"]
    assert (await http.get(url)).json()["score"] == 1


async def test_the_response_is_as_it_was(http: httpx.AsyncClient, url: str) -> None:
    response_url = url.removesuffix("/feedback")
    before = (await http.get(response_url)).content
    await http.put(url, json={"score": 1})
    assert (await http.get(response_url)).content == before


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "score"),
        ({"score": 2}, "score"),
        ({"score": -2}, "score"),
        ({"score": 0.5}, "score"),
        ({"score": "1"}, "score"),
        ({"score": True}, "score"),
        ({"score": None}, "score"),
        ({"score": 1, "comment": 3}, "comment"),
        ({"score": 1, "comment": "a\0b"}, "comment"),
    ],
)
async def test_odd_feedback_is_refused_with_its_place(
    http: httpx.AsyncClient, url: str, body: dict[str, Any], param: str
) -> None:
    check_refusal(await http.put(url, json=body), param=param)


async def test_unknown_deleted_and_anothers_responses_take_none(
    http: httpx.AsyncClient, bob: AsyncOpenAI, url: str
) -> None:
    await http.delete(url.removesuffix("/feedback"))
    bobs = await bob.responses.create(model="stand-in", input="Hello")
    gone = [url, *(f"/v1/responses/{response_id}/feedback" for response_id in (UNKNOWN_RESPONSE, bobs.id))]
    for refused in gone:
        answer = await http.put(refused, json={"score": 1})
        check_refusal(answer, status=404, code="response_not_found")
        check_refusal(await http.get(refused), status=404, code="response_not_found")
    check_refusal(await http.put("/v1/responses/msg_1/feedback", json={"score": 1}), param="response_id")
