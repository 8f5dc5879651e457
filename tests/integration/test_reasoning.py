"""Reasoning models: their reasoning is an item of its own, shown only as far as requested."""

from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from tests.support.model_calls import ModelCalls
from tests.support.oracle import read_frames
from tests.support.refusals import check_refusal
from tests.support.turns import ask, check_stored, get_text, make_conversation

THOUGHT = "Ada is a name, and I was asked to count."
THINK = f'count to 3 [[standin reason="{THOUGHT}"]]'
LOW = {"effort": "low"}
ENCRYPTED = ["reasoning.encrypted_content"]


async def test_it_works(alice: AsyncOpenAI) -> None:
    response = await alice.responses.create(model="stand-in", input=THINK, reasoning={"effort": "low"})
    thought, message = response.output
    assert thought.type == "reasoning"
    assert thought.summary == []
    assert [(part.type, part.text) for part in thought.content or []] == [("reasoning_text", THOUGHT)]
    assert message.type == "message"
    assert response.output_text == "1 2 3"
    assert response.usage is not None
    assert 0 < response.usage.output_tokens_details.reasoning_tokens < response.usage.output_tokens


async def test_thoughts_are_streamed_before_the_answer(http: httpx.AsyncClient) -> None:
    streamed = await ask(http, THINK, reasoning=LOW, stream=True)
    final = await check_stored(http, streamed)
    assert [item["type"] for item in final["output"]] == ["reasoning", "message"]
    events = read_frames(streamed.content)
    kinds = [event["type"].removeprefix("response.") for event in events]
    assert kinds.count("reasoning.delta") >= 1
    assert kinds.index("reasoning.done") < kinds.index("output_text.delta")
    added, done = (event for event in events if event.get("item", {}).get("type") == "reasoning")
    assert (added["type"], added["item"]["status"]) == ("response.output_item.added", "in_progress")
    assert not added["item"].get("content")
    assert (done["type"], done["item"]) == ("response.output_item.done", final["output"][0])


@pytest.mark.parametrize("effort", ["none", "low", "medium", "high", "xhigh"])
async def test_the_effort_is_echoed_and_reaches_the_model(
    http: httpx.AsyncClient, model_calls: ModelCalls, effort: str
) -> None:
    response = (await ask(http, f"Hello with effort {effort}", reasoning={"effort": effort})).json()
    assert response["reasoning"] == {"effort": effort, "summary": None}
    assert (await model_calls.get_body(f"with effort {effort}"))["reasoning_effort"] == effort


@pytest.mark.parametrize("summary", ["auto", "concise", "detailed"])
async def test_the_kind_of_summary_is_echoed(http: httpx.AsyncClient, summary: str) -> None:
    response = (await ask(http, "Hello", reasoning={"effort": "low", "summary": summary})).json()
    assert response["reasoning"] == {"effort": "low", "summary": summary}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_does_not_think_shows_no_thoughts(http: httpx.AsyncClient, stream: bool) -> None:
    answer = await ask(http, "count to 3", reasoning={"effort": "high"}, stream=stream)
    assert b"reasoning_text" not in answer.content
    assert b'"type":"reasoning"' not in answer.content


@pytest.mark.parametrize(
    ("reasoning", "param"),
    [
        ({"effort": ""}, "reasoning.effort"),
        ({"effort": "x" * 65}, "reasoning.effort"),
        ({"effort": 3}, "reasoning.effort"),
        ({"summary": 3}, "reasoning.summary"),
        ("high", "reasoning"),
    ],
)
async def test_odd_reasoning_is_refused_with_its_place(http: httpx.AsyncClient, reasoning: Any, param: str) -> None:
    check_refusal(await ask(http, "Hello", reasoning=reasoning), param=param)


async def make_thought(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    """A response whose first item is reasoning."""
    response: dict[str, Any] = (await ask(http, THINK, reasoning=LOW, **body)).json()
    assert response["output"][0]["type"] == "reasoning"
    return response


@pytest.mark.parametrize("store", [True, False])
async def test_thoughts_are_sealed_for_who_asks(http: httpx.AsyncClient, store: bool) -> None:
    response = await make_thought(http, include=ENCRYPTED, store=store)
    sealed = response["output"][0]["encrypted_content"]
    assert isinstance(sealed, str)
    assert sealed
    assert "Ada" not in sealed
    unasked = await make_thought(http, store=store)
    assert unasked["output"][0].get("encrypted_content") is None


@pytest.mark.parametrize("include", [[], ENCRYPTED])
async def test_thoughts_are_taken_back_as_input(http: httpx.AsyncClient, include: list[str]) -> None:
    first = await make_thought(http, include=include, store=False)
    items = [{"role": "user", "content": THINK}, *first["output"], {"role": "user", "content": "count to 2"}]
    second = await ask(http, "", input=items, reasoning=LOW, store=False, include=include)
    assert second.status_code == 200
    assert get_text(second.json()) == "1 2"


async def test_the_sdks_own_objects_are_taken_back_as_input(alice: AsyncOpenAI) -> None:
    items: Any = [{"role": "user", "content": THINK}]
    first = await alice.responses.create(model="stand-in", input=items, reasoning={"effort": "low"})
    items += [*first.output, {"role": "user", "content": "count to 2"}]
    second = await alice.responses.create(model="stand-in", input=items, reasoning={"effort": "low"})
    assert second.output_text == "1 2"


@pytest.mark.parametrize("way", ["previous_response_id", "conversation"])
async def test_a_turn_after_a_thought(http: httpx.AsyncClient, model_calls: ModelCalls, way: str) -> None:
    where = {"conversation": await make_conversation(http)} if way == "conversation" else {}
    first = await make_thought(http, **where)
    more = where or {"previous_response_id": first["id"]}
    assert get_text((await ask(http, "count to 2", **more)).json()) == "1 2"
    said = [m["content"] for m in await model_calls.get_messages("count to 2") if m["role"] == "assistant"]
    assert said == ["1 2 3"], "a thought is nothing the model said"


async def test_a_thought_is_an_item_of_its_conversation(alice: AsyncOpenAI, http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    response = await make_thought(http, conversation=conversation_id)
    page = await http.get(f"/v1/conversations/{conversation_id}/items", params={"order": "asc"})
    assert page.json()["data"][1:] == response["output"]
    assert [item.type async for item in alice.conversations.items.list(conversation_id, order="asc")] == [
        *("message", "reasoning", "message")
    ]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_budget_that_is_spent_on_thoughts_leaves_no_answer(http: httpx.AsyncClient, stream: bool) -> None:
    text = f'Hello [[standin reason="{"hm " * 60}"]]'
    answer = await ask(http, text, reasoning=LOW, max_output_tokens=16, stream=stream)
    final = (await check_stored(http, answer)) if stream else answer.json()
    assert (final["status"], final["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert [item["type"] for item in final["output"]] == ["reasoning"]
    assert final["output"][0]["status"] == "incomplete"


async def test_the_seal_of_a_thought_that_others_sealed_is_left_out_and_named(
    http: httpx.AsyncClient, bob: AsyncOpenAI
) -> None:
    sealed = (await make_thought(http, include=ENCRYPTED))["output"][0]
    bobs = await bob.responses.create(
        model="stand-in", input=THINK, reasoning={"effort": "low"}, include=["reasoning.encrypted_content"]
    )
    bobs_seal = bobs.output[0].model_dump()["encrypted_content"]
    changed = sealed["encrypted_content"][:-4] + "AAAA"
    for forged in ("forged", changed, bobs_seal):
        answer = await ask(http, "", input=[{**sealed, "encrypted_content": forged}, {"role": "user", "content": "Hi"}])
        assert answer.status_code == 200
        assert answer.json()["eps:ignored"] == ["input[0].encrypted_content"]
        [kept] = (await http.get(f"/v1/responses/{answer.json()['id']}/input_items?order=asc&limit=1")).json()["data"]
        assert kept["type"] == "reasoning"
        assert kept.get("encrypted_content") is None


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "reasoning"}, "input[0].summary"),
        ({"type": "reasoning", "summary": "x"}, "input[0].summary"),
        ({"type": "reasoning", "summary": [{"type": "x", "text": "x"}]}, "input[0].summary[0].type"),
        ({"type": "reasoning", "summary": [], "encrypted_content": 3}, "input[0].encrypted_content"),
    ],
)
async def test_odd_thoughts_are_refused_with_their_place(
    http: httpx.AsyncClient, item: dict[str, Any], param: str
) -> None:
    check_refusal(await ask(http, "", input=[item]), param=param)
