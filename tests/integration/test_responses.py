"""`POST /v1/responses` and `GET /v1/responses/{id}`, through the SDK and on the wire."""

from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from tests.support.oracle import check_events, read_frames


async def test_it_works(alice: AsyncOpenAI) -> None:
    response = await alice.responses.create(model="stand-in", input="repeat: Good morning!")
    assert response.status == "completed"
    assert response.output_text == "Good morning!"


async def stream(http: httpx.AsyncClient, **body: Any) -> list[dict[str, Any]]:
    """The events of one streamed response, checked."""
    answer = await http.post("/v1/responses", json={"model": "stand-in", "stream": True, **body})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"
    events = read_frames(answer.content)
    check_events(events)
    return events


async def test_a_stream_says_what_the_whole_answer_says(http: httpx.AsyncClient) -> None:
    events = await stream(http, input="count to 20")
    final = events[-1]["response"]
    assert final["output"][0]["content"][0]["text"] == " ".join(str(n) for n in range(1, 21))
    assert final["usage"]["output_tokens"] > 0
    assert {"input_tokens_details", "output_tokens_details"} <= set(final["usage"])


async def test_get_gives_the_terminal_events_object_byte_for_byte(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/responses", json={"input": 'repeat: ünï\n\t"code" 🦀', "stream": True})
    events = read_frames(answer.content)
    terminal = answer.content.rsplit(b"\n\n", 3)[1]
    stored = await http.get(f"/v1/responses/{events[0]['response']['id']}")
    assert stored.content in terminal


async def test_whole_and_stored_are_the_same(http: httpx.AsyncClient) -> None:
    whole = await http.post("/v1/responses", json={"input": "Hello"})
    stored = await http.get(f"/v1/responses/{whole.json()['id']}")
    assert stored.content == whole.content


async def test_the_echo_repeats_the_request(http: httpx.AsyncClient) -> None:
    asked = {
        "instructions": "Be brief.",
        "temperature": 0.5,
        "top_p": 0.25,
        "presence_penalty": -1,
        "frequency_penalty": 2,
        "max_output_tokens": 500,
        "metadata": {"ticket": "42"},
    }
    answer = (await http.post("/v1/responses", json={"input": "Hello", **asked})).json()
    assert {key: answer[key] for key in asked} == asked
    assert answer["model"] == "stand-in"


async def test_max_output_tokens_ends_the_answer_as_incomplete(http: httpx.AsyncClient) -> None:
    events = await stream(http, input="count to 1000", max_output_tokens=16)
    final = events[-1]["response"]
    assert events[-1]["type"] == "response.incomplete"
    assert final["status"] == "incomplete"
    assert final["incomplete_details"] == {"reason": "max_output_tokens"}
    assert final["output"][-1]["status"] == "incomplete"
    assert final["usage"]["output_tokens"] == 16


async def test_a_content_filter_ends_the_answer_as_incomplete(http: httpx.AsyncClient) -> None:
    events = await stream(http, input="repeat: nasty [[standin finish=content_filter]]")
    assert events[-1]["response"]["incomplete_details"] == {"reason": "content_filter"}


async def test_a_refusal_is_a_part_of_its_own(http: httpx.AsyncClient) -> None:
    events = await stream(http, input="Hello [[standin refuse=true]]")
    final = events[-1]["response"]
    assert final["status"] == "completed"
    [part] = final["output"][0]["content"]
    assert set(part) == {"type", "refusal"}
    assert part["type"] == "refusal"
    assert "".join(event["delta"] for event in events if event["type"] == "response.refusal.delta") == part["refusal"]
    [done] = [event for event in events if event["type"] == "response.refusal.done"]
    assert done["refusal"] == part["refusal"]
    whole = (await http.post("/v1/responses", json={"input": "Hello [[standin refuse=true]]"})).json()
    assert [item["content"] for item in whole["output"]] == [[part]]


async def test_message_items_the_short_and_the_long_way(http: httpx.AsyncClient) -> None:
    items = [
        {"role": "developer", "content": "The code word is swordfish."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "My name is Ada."}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Hello Ada.", "annotations": []}]},
        {"role": "user", "content": "What is my name?"},
    ]
    answer = (await http.post("/v1/responses", json={"input": items})).json()
    assert answer["output"][0]["content"][0]["text"] == "Your name is Ada."


async def test_output_items_can_be_sent_back_as_input(alice: AsyncOpenAI) -> None:
    first = await alice.responses.create(input="My name is Ada.", model="stand-in")
    replayed: Any = [{"role": "user", "content": "My name is Ada."}]
    replayed += [item.model_dump() for item in first.output] + [{"role": "user", "content": "What is my name?"}]
    second = await alice.responses.create(input=replayed, model="stand-in")
    assert second.output_text == "Your name is Ada."


async def test_a_conversation_remembers(alice: AsyncOpenAI) -> None:
    conversation = await alice.conversations.create()
    for text in ("My name is Ada.", "I live in London.", "Hello again."):
        await alice.responses.create(input=text, conversation=conversation.id, model="stand-in")
    last = await alice.responses.create(input="What is my name?", conversation=conversation.id, model="stand-in")
    assert last.output_text == "Your name is Ada."
    assert last.conversation is not None
    assert last.conversation.id == conversation.id
    items = await alice.conversations.items.list(conversation.id, order="asc", limit=100)
    assert [item.role for item in items.data if item.type == "message"] == ["user", "assistant"] * 4


async def test_instructions_do_not_carry_over(alice: AsyncOpenAI) -> None:
    first = await alice.responses.create(input="Hello", instructions="My name is Bob.", model="stand-in")
    second = await alice.responses.create(input="What is my name?", previous_response_id=first.id, model="stand-in")
    assert "Bob" not in second.output_text


async def test_two_answers_to_one_earlier_response_do_not_know_each_other(alice: AsyncOpenAI) -> None:
    first = await alice.responses.create(input="My name is Ada.", model="stand-in")
    await alice.responses.create(input="My name is Bob.", previous_response_id=first.id, model="stand-in")
    other = await alice.responses.create(input="What is my name?", previous_response_id=first.id, model="stand-in")
    assert other.output_text == "Your name is Ada."


async def test_a_chain_may_leave_a_conversation_without_changing_it(alice: AsyncOpenAI) -> None:
    conversation = await alice.conversations.create()
    first = await alice.responses.create(input="My name is Ada.", conversation=conversation.id, model="stand-in")
    await alice.responses.create(input="My name is Bob.", previous_response_id=first.id, model="stand-in")
    answer = await alice.responses.create(input="What is my name?", conversation=conversation.id, model="stand-in")
    assert answer.output_text == "Your name is Ada."


async def test_conversation_and_previous_response_exclude_each_other(http: httpx.AsyncClient) -> None:
    body = {"input": "Hi", "conversation": "conv_" + "0" * 32, "previous_response_id": "resp_" + "0" * 32}
    answer = await http.post("/v1/responses", json=body)
    assert answer.status_code == 400
    assert "mutually exclusive" in answer.json()["error"]["message"]


async def test_the_history_stops_at_its_budget_newest_first(alice: AsyncOpenAI) -> None:
    conversation = await alice.conversations.create()
    await alice.responses.create(input="My name is Ada.", conversation=conversation.id, model="stand-in")
    long_text = f"My city is Paris. {'word ' * 30_000} Count to 1."  # above HISTORY_TOKENS, however tokens are counted
    await alice.responses.create(input=long_text, conversation=conversation.id, model="stand-in")
    answer = await alice.responses.create(input="What is my name?", conversation=conversation.id, model="stand-in")
    assert "Ada" not in answer.output_text


@pytest.mark.parametrize("stream", [False, True])
async def test_the_default_model_answers_when_none_is_named(http: httpx.AsyncClient, stream: bool) -> None:
    answer = await http.post("/v1/responses", json={"input": "Hi", "stream": stream})
    assert answer.status_code == 200
    assert b'"model":"stand-in"' in answer.content
