"""Cancelling and deleting, in every order and at the worst moments."""

import asyncio
from collections import Counter

import httpx
import pytest

from tests.support.model_calls import open_control
from tests.support.refusals import check_refusal
from tests.support.servers import StandinServer
from tests.support.turns import Stream, ask, get_text, make_conversation

pytestmark = pytest.mark.usefixtures("quiet_model")

SLOW = "count to 500 [[standin token_s=0.05]]"


async def check_model_is_left(standin: StandinServer) -> None:
    """Check that no connection to the model is open any more."""
    async with open_control(standin) as control:
        answer = await control.get("/_control/active", params={"until": "0", "within_s": "5"})
    assert answer.json() == {"active": 0}


@pytest.mark.parametrize("by", ["its own replica", "another"])
async def test_a_response_that_is_deleted_while_it_streams_is_gone(
    http: httpx.AsyncClient, other: httpx.AsyncClient, standin: StandinServer, by: str
) -> None:
    conversation_id = await make_conversation(http)
    stream = Stream.of_turn(http, SLOW, conversation=conversation_id)
    await stream.see_words(2)
    url = f"/v1/responses/{await stream.get_id()}"
    deleted = await (http if by == "its own replica" else other).delete(url)
    assert deleted.status_code == 200
    await check_model_is_left(standin)
    assert b"event: response.completed" not in await read_to_any_end(stream)
    for client in (http, other):
        check_refusal(await client.get(url), status=404, code="response_not_found")
        check_refusal(await client.post(f"{url}/cancel"), status=404, code="response_not_found")
        check_refusal(await client.delete(url), status=404, code="response_not_found")
    assert (await http.get(f"/v1/conversations/{conversation_id}")).json()["eps:active_response_id"] is None
    assert get_text((await ask(http, "count to 2", conversation=conversation_id)).json()) == "1 2"


async def read_to_any_end(stream: Stream) -> bytes:
    """All bytes of a stream that may end cleanly or be cut."""
    try:
        return await stream.read_broken(within_s=10)
    except AssertionError:
        return stream.raw


async def test_a_background_response_that_is_deleted_cannot_be_continued(http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    stream = Stream.of_turn(http, SLOW, conversation=conversation_id, background=True)
    response_id = await stream.get_id()
    assert (await http.delete(f"/v1/responses/{response_id}")).status_code == 200
    refused = await ask(http, "Hi", previous_response_id=response_id)
    check_refusal(refused, status=404, code="previous_response_not_found")
    await stream.leave()


async def test_cancelled_then_deleted_then_gone(http: httpx.AsyncClient) -> None:
    stream = Stream.of_turn(http, SLOW)
    url = f"/v1/responses/{await stream.get_id()}"
    first, second = [await http.post(f"{url}/cancel") for _ in range(2)]
    assert first.content == second.content
    assert (await http.delete(url)).status_code == 200
    for _ in range(2):
        check_refusal(await http.post(f"{url}/cancel"), status=404, code="response_not_found")
    await stream.leave()


async def test_of_many_deletions_at_once_exactly_one_deletes(http: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    url = f"/v1/responses/{(await ask(http, 'Hello')).json()['id']}"
    answers = await asyncio.gather(*(client.delete(url) for client in [http, other] * 5))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 404: 9}


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("count to 3", "completed"),
        ("write 200 words", "incomplete"),
        ("Hello [[standin end_after=1]]", "failed"),
    ],
)
async def test_what_has_ended_can_be_deleted_and_not_cancelled(http: httpx.AsyncClient, text: str, status: str) -> None:
    final = await Stream.of_turn(http, text, max_output_tokens=16).read_final()
    assert final["status"] == status
    url = f"/v1/responses/{final['id']}"
    error = check_refusal(await http.post(f"{url}/cancel"), status=409, code=None)
    assert error["message"].startswith("Cannot cancel")
    assert (await http.delete(url)).status_code == 200


async def test_a_conversation_that_is_deleted_while_it_is_answered_takes_the_answer_along(
    http: httpx.AsyncClient, other: httpx.AsyncClient, standin: StandinServer
) -> None:
    conversation_id = await make_conversation(http)
    stream = Stream.of_turn(http, SLOW, conversation=conversation_id)
    await stream.see_words(2)
    assert (await other.delete(f"/v1/conversations/{conversation_id}")).status_code == 200
    await check_model_is_left(standin)
    await read_to_any_end(stream)
    check_refusal(await http.get(f"/v1/responses/{await stream.get_id()}"), status=404, code="response_not_found")
    refused = await ask(http, "Hi", conversation=conversation_id)
    check_refusal(refused, status=404, code="conversation_not_found")


async def test_a_response_cancelled_before_its_first_word_has_no_output(http: httpx.AsyncClient) -> None:
    stream = Stream.of_turn(http, "Hello [[standin headers_s=30]]", background=True)
    url = f"/v1/responses/{await stream.get_id()}"
    cancelled = (await http.post(f"{url}/cancel")).json()
    assert (cancelled["status"], cancelled["output"], cancelled["background"]) == ("cancelled", [], True)
    assert (await stream.read_final())["status"] == "cancelled"
    assert (await http.get(url)).json() == cancelled
