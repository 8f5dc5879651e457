"""A call, its output, the answer: with a chain, with a conversation, and with nothing stored."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from tests.support.function_tools import ASK_BOTH, ASK_WEATHER, TIME, WEATHER, compose_output, find_calls
from tests.support.model_calls import ModelCalls
from tests.support.refusals import check_refusal
from tests.support.turns import ask, check_free_and_unmoved, get_text, make_conversation

BOTH = [WEATHER, TIME]
UNKNOWN_CALL = {"call_id": "call_nobody_made"}

GoOn = Callable[[dict[str, Any], list[dict[str, Any]]], Awaitable[httpx.Response]]
Loop = tuple[dict[str, Any], GoOn]


@pytest.fixture(params=["previous_response_id", "conversation", "stateless", "stateless, nothing stored"])
async def loop(request: pytest.FixtureRequest, http: httpx.AsyncClient) -> Loop:
    """A first turn that calls two functions, and how the second turn continues it."""
    way: str = request.param
    body: dict[str, Any] = {"tools": BOTH}
    if way == "conversation":
        body["conversation"] = await make_conversation(http)
    if way == "stateless, nothing stored":
        body["store"] = False
    first = (await ask(http, ASK_BOTH, **body)).json()

    async def go_on(first: dict[str, Any], outputs: list[dict[str, Any]]) -> httpx.Response:
        more, items = dict(body), outputs
        if way == "previous_response_id":
            more["previous_response_id"] = first["id"]
        if way.startswith("stateless"):
            items = [{"role": "user", "content": ASK_BOTH}, *first["output"], *outputs]
        return await ask(http, "", **{**more, "input": items})

    return first, go_on


async def test_the_answer_follows_from_the_outputs(loop: Loop) -> None:
    first, go_on = loop
    weather, time = find_calls(first)
    answer = await go_on(first, [compose_output(weather, "21 degrees"), compose_output(time, "noon")])
    assert answer.status_code == 200
    text = get_text(answer.json())
    assert "get_weather returned: 21 degrees" in text
    assert "get_time returned: noon" in text


async def test_outputs_may_come_in_any_order(loop: Loop, model_calls: ModelCalls) -> None:
    first, go_on = loop
    weather, time = find_calls(first)
    answer = await go_on(first, [compose_output(time, "noon"), compose_output(weather, "21 degrees")])
    assert "get_weather returned: 21 degrees" in get_text(answer.json())
    messages = await model_calls.get_messages("21 degrees")
    results = {message["tool_call_id"]: message["content"] for message in messages if message["role"] == "tool"}
    assert {call_id: str(content) for call_id, content in results.items()} == {
        weather["call_id"]: "21 degrees",
        time["call_id"]: "noon",
    }


async def test_the_model_sees_question_calls_and_outputs_in_order(loop: Loop, model_calls: ModelCalls) -> None:
    first, go_on = loop
    weather, time = find_calls(first)
    await go_on(first, [compose_output(weather, "21 degrees"), compose_output(time, "noon")])
    user, assistant, *results = await model_calls.get_messages("21 degrees")
    assert (user["role"], assistant["role"]) == ("user", "assistant")
    called = [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in assistant["tool_calls"]]
    assert called == [(call["call_id"], call["name"], call["arguments"]) for call in (weather, time)]
    assert [(message["role"], message["tool_call_id"]) for message in results] == [
        ("tool", weather["call_id"]),
        ("tool", time["call_id"]),
    ]


async def test_an_output_may_be_parts(loop: Loop, model_calls: ModelCalls) -> None:
    first, go_on = loop
    weather, time = find_calls(first)
    parts = [{"type": "input_text", "text": "21 degrees"}, {"type": "input_text", "text": "and sunny"}]
    answer = await go_on(first, [compose_output(weather, parts), compose_output(time, "noon")])
    assert answer.status_code == 200
    messages = str(await model_calls.get_messages("21 degrees"))
    assert messages.index("21 degrees") < messages.index("and sunny")


async def test_an_output_for_an_unknown_call_is_refused(loop: Loop, model_calls: ModelCalls) -> None:
    first, go_on = loop
    await model_calls.forget()
    answer = await go_on(first, [compose_output(UNKNOWN_CALL, "21 degrees")])
    error = check_refusal(answer)
    assert error["param"].endswith("].call_id")
    assert "call_nobody_made" in error["message"]
    assert await model_calls.list_bodies() == []


async def test_an_output_without_any_history_is_refused(http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    for where in ({}, {"conversation": conversation_id}):
        answer = await ask(http, "", **{"input": [compose_output(UNKNOWN_CALL, "x")], **where})
        check_refusal(answer, param="input[0].call_id")
    await check_free_and_unmoved(http, conversation_id)


async def test_a_call_of_another_owner_is_unknown(http: httpx.AsyncClient, bob: AsyncOpenAI) -> None:
    tools: Any = BOTH
    bobs = await bob.responses.create(model="stand-in", input=ASK_WEATHER, tools=tools)
    output = compose_output({"call_id": bobs.output[0].model_dump()["call_id"]}, "x")
    check_refusal(await ask(http, "", input=[output]), param="input[0].call_id")


async def test_an_output_before_its_call_is_refused(http: httpx.AsyncClient) -> None:
    call = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"}
    answer = await ask(http, "", input=[compose_output(call, "x"), call])
    check_refusal(answer, param="input[0].call_id")


async def test_a_client_may_bring_calls_of_its_own(http: httpx.AsyncClient) -> None:
    call = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city":"Paris"}'}
    items = [{"role": "user", "content": "Weather?"}, call, compose_output(call, "21 degrees")]
    assert "get_weather returned: 21 degrees" in get_text((await ask(http, "", input=items)).json())


async def test_the_sdks_own_objects_are_taken_back_as_input(alice: AsyncOpenAI) -> None:
    tools: Any = BOTH
    items: Any = [{"role": "user", "content": ASK_BOTH}]
    first = await alice.responses.create(model="stand-in", input=items, tools=tools)
    items += first.output
    items += [compose_output(call.model_dump(), "21 degrees") for call in first.output]
    second = await alice.responses.create(model="stand-in", input=items, tools=tools)
    assert "get_weather returned: 21 degrees" in second.output_text


async def test_a_question_may_come_with_the_outputs(http: httpx.AsyncClient) -> None:
    first = (await ask(http, ASK_WEATHER, tools=[WEATHER])).json()
    items = [compose_output(first["output"][0], "the wind is strong"), {"role": "user", "content": "What is the wind?"}]
    answer = await ask(http, "", input=items, previous_response_id=first["id"])
    assert "strong" in get_text(answer.json())


async def test_what_a_function_returned_is_remembered_later(http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    first = (await ask(http, ASK_WEATHER, tools=[WEATHER], conversation=conversation_id)).json()
    output = compose_output(first["output"][0], "The wind is strong.")
    await ask(http, "", input=[output], conversation=conversation_id)
    answer = await ask(http, "What is the wind?", conversation=conversation_id)
    assert get_text(answer.json()) == "The wind is strong."


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "function_call_output", "call_id": "", "output": "x"}, "input[0].call_id"),
        ({"type": "function_call_output", "call_id": "c" * 65, "output": "x"}, "input[0].call_id"),
        ({"type": "function_call_output", "output": "x"}, "input[0].call_id"),
        ({"type": "function_call_output", "call_id": "c"}, "input[0].output"),
        ({"type": "function_call_output", "call_id": "c", "output": {"a": 1}}, "input[0].output"),
        ({"type": "function_call_output", "call_id": "c", "output": None}, "input[0].output"),
        ({"type": "function_call_output", "call_id": "c", "output": [{"type": "x"}]}, "input[0].output[0].type"),
        ({"type": "function_call", "call_id": "c", "arguments": "{}"}, "input[0].name"),
        ({"type": "function_call", "call_id": "c", "name": "two words", "arguments": "{}"}, "input[0].name"),
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}, "input[0].arguments"),
        ({"type": "function_call", "call_id": "c", "name": "f"}, "input[0].arguments"),
        ({"type": "function_call", "name": "f", "arguments": "{}"}, "input[0].call_id"),
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": "", "status": "x"}, "input[0].status"),
    ],
)
async def test_odd_items_are_refused_with_their_place(
    http: httpx.AsyncClient, item: dict[str, Any], param: str
) -> None:
    check_refusal(await ask(http, "", input=[item]), param=param)
