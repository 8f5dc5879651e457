"""The client's own functions: the model calls them, the client answers, the model continues."""

import json
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI
from openai.types.responses import ResponseFunctionToolCall

from tests.support.function_tools import ASK_BOTH, ASK_WEATHER, TIME, WEATHER, compose_output, find_calls, read_calls
from tests.support.model_calls import ModelCalls
from tests.support.oracle import read_frames
from tests.support.refusals import check_refusal
from tests.support.turns import Stream, ask, check_stored, get_text, make_conversation

BOTH = [WEATHER, TIME]


async def test_it_works(alice: AsyncOpenAI) -> None:
    response = await alice.responses.create(model="stand-in", input=ASK_WEATHER, tools=[WEATHER])
    [call] = response.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert (call.name, json.loads(call.arguments), call.status) == ("get_weather", {"city": "Paris"}, "completed")
    assert call.call_id
    assert call.id
    assert call.id != call.call_id
    assert response.status == "completed"
    assert response.output_text == ""


async def test_a_call_is_streamed_as_the_specification_says(http: httpx.AsyncClient) -> None:
    streamed = await http.post("/v1/responses", json={"input": ASK_WEATHER, "tools": [WEATHER], "stream": True})
    final = await check_stored(http, streamed)
    events = read_frames(streamed.content)
    kinds = [event["type"].removeprefix("response.") for event in events]
    deltas = kinds.count("function_call_arguments.delta")
    assert deltas >= 1
    assert kinds == [
        *("created", "in_progress", "output_item.added"),
        *["function_call_arguments.delta"] * deltas,
        *("function_call_arguments.done", "output_item.done", "completed"),
    ]
    added = events[2]["item"]
    assert (added["name"], added["arguments"], added["status"]) == ("get_weather", "", "in_progress")
    [call] = final["output"]
    assert {**added, "arguments": call["arguments"], "status": "completed"} == call


@pytest.mark.parametrize("stream", [False, True])
async def test_several_calls_of_one_answer_have_a_place_each(http: httpx.AsyncClient, stream: bool) -> None:
    if stream:
        final = await Stream.of_turn(http, ASK_BOTH, tools=BOTH).read_final()
    else:
        final = (await ask(http, ASK_BOTH, tools=BOTH)).json()
    assert read_calls(final) == [("get_weather", {"city": "Paris"}), ("get_time", {"zone": "UTC"})]
    assert len({call["call_id"] for call in final["output"]}) == 2
    assert len({call["id"] for call in final["output"]}) == 2
    assert final["parallel_tool_calls"] is True


async def test_one_call_at_a_time_when_calls_may_not_be_parallel(
    http: httpx.AsyncClient, model_calls: ModelCalls
) -> None:
    final = await Stream.of_turn(http, ASK_BOTH, tools=BOTH, parallel_tool_calls=False).read_final()
    assert read_calls(final) == [("get_weather", {"city": "Paris"})]
    assert final["parallel_tool_calls"] is False
    assert (await model_calls.get_body(ASK_BOTH))["parallel_tool_calls"] is False


async def test_the_model_is_given_the_functions_as_they_were_sent(
    http: httpx.AsyncClient, model_calls: ModelCalls
) -> None:
    await ask(http, ASK_BOTH, tools=BOTH)
    given = (await model_calls.get_body(ASK_BOTH))["tools"]
    assert given == [
        {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}
        for tool in BOTH
    ]


async def test_functions_are_echoed_whole(http: httpx.AsyncClient) -> None:
    bare = {"type": "function", "name": "ping"}
    response = (await ask(http, "Hello", tools=[*BOTH, bare])).json()
    assert response["tools"][:2] == BOTH
    assert set(response["tools"][2]) == {"type", "name", "description", "parameters", "strict"}
    assert response["tools"][2]["description"] is None


@pytest.mark.parametrize("parameters", [{}, None, {"type": "object", "properties": {}}])
async def test_a_function_without_parameters_is_called_without_arguments(
    http: httpx.AsyncClient, parameters: Any
) -> None:
    tool = {"type": "function", "name": "get_news", "parameters": parameters}
    response = (await ask(http, "Call get_news", tools=[tool])).json()
    assert read_calls(response) == [("get_news", {})]
    assert [item["arguments"] for item in response["output"]] == ["{}"]
    answer = await ask(
        http,
        "",
        input=[compose_output(response["output"][0], "all is quiet")],
        previous_response_id=response["id"],
    )
    assert "all is quiet" in get_text(answer.json())


def allow(mode: str, *names: str) -> dict[str, Any]:
    """An `allowed_tools` choice."""
    return {"type": "allowed_tools", "mode": mode, "tools": [{"type": "function", "name": name} for name in names]}


CHOICES: list[tuple[Any, str, list[str]]] = [
    ("auto", ASK_WEATHER, ["get_weather"]),
    ("auto", "Hello", []),
    ("none", ASK_BOTH, []),
    ("required", "Hello", ["get_weather"]),
    ({"type": "function", "name": "get_time"}, "Hello", ["get_time"]),
    ({"type": "function", "name": "get_time"}, ASK_WEATHER, ["get_time"]),
    (allow("auto", "get_time"), ASK_BOTH, ["get_time"]),
    (allow("auto", "get_time"), ASK_WEATHER, []),
    (allow("auto", "get_time", "get_weather"), ASK_BOTH, ["get_weather", "get_time"]),
    (allow("required", "get_time"), "Hello", ["get_time"]),
    (allow("required", "get_time"), ASK_WEATHER, ["get_time"]),
    (allow("none", "get_time"), ASK_BOTH, []),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("choice", "text", "expected"), CHOICES)
async def test_a_tool_choice_is_obeyed_and_echoed(
    http: httpx.AsyncClient, choice: Any, text: str, expected: list[str], stream: bool
) -> None:
    if stream:
        response = await Stream.of_turn(http, text, tools=BOTH, tool_choice=choice).read_final()
    else:
        response = (await ask(http, text, tools=BOTH, tool_choice=choice)).json()
    assert [name for name, _ in read_calls(response)] == expected
    assert response["tool_choice"] == choice
    assert response["tools"] == BOTH
    assert bool(get_text(response)) == (not expected)


async def test_functions_do_not_carry_over_to_the_next_turn(http: httpx.AsyncClient) -> None:
    first = (await ask(http, "Hello", tools=[WEATHER])).json()
    second = (await ask(http, ASK_WEATHER, previous_response_id=first["id"])).json()
    assert find_calls(second) == []
    assert (second["tools"], second["tool_choice"]) == ([], "auto")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_the_budget_cuts_is_incomplete_and_last(http: httpx.AsyncClient, stream: bool) -> None:
    text = f'Call get_weather city="{"very " * 60}long"'
    if stream:
        final = await Stream.of_turn(http, text, tools=[WEATHER], max_output_tokens=16).read_final()
    else:
        final = (await ask(http, text, tools=[WEATHER], max_output_tokens=16)).json()
    assert (final["status"], final["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert [item["status"] for item in final["output"]] == ["incomplete"]
    assert final["output"][0]["name"] == "get_weather"


async def test_a_call_and_its_output_are_items_of_the_conversation(alice: AsyncOpenAI, http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    first = (await ask(http, ASK_WEATHER, tools=[WEATHER], conversation=conversation_id)).json()
    output = compose_output(first["output"][0], "21 degrees")
    await ask(http, "", input=[output], tools=[WEATHER], conversation=conversation_id)
    page = await alice.conversations.items.list(conversation_id, order="asc")
    kinds = [item.type for item in page.data]
    assert kinds == ["message", "function_call", "function_call_output", "message"]
    assert page.data[1].id == first["output"][0]["id"]
    assert len({item.id for item in page.data}) == 4


ODD_TOOLS: list[tuple[dict[str, Any], str]] = [
    ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ({"tools": [WEATHER, {"type": "function", "name": ""}]}, "tools[1].name"),
    ({"tools": [{"type": "function", "name": "two words"}]}, "tools[0].name"),
    ({"tools": [{"type": "function", "name": "ü"}]}, "tools[0].name"),
    ({"tools": [{"type": "function", "name": "x" * 65}]}, "tools[0].name"),
    ({"tools": [{"type": "function", "name": 3}]}, "tools[0].name"),
    ({"tools": [WEATHER | {"description": 3}]}, "tools[0].description"),
    ({"tools": [WEATHER | {"parameters": "x"}]}, "tools[0].parameters"),
    ({"tools": [WEATHER | {"strict": "yes"}]}, "tools[0].strict"),
    ({"tools": [{"name": "x"}]}, "tools[0].type"),
    ({"tools": ["get_weather"]}, "tools[0]"),
    ({"tools": BOTH, "tool_choice": "invalid_choice"}, "tool_choice"),
    ({"tools": BOTH, "tool_choice": 3}, "tool_choice"),
    ({"tools": BOTH, "tool_choice": {"type": "function", "name": "nobody"}}, "tool_choice"),
    ({"tools": BOTH, "tool_choice": {"type": "function"}}, "tool_choice.name"),
    ({"tools": BOTH, "tool_choice": allow("required", "get_time", "nobody")}, "tool_choice"),
    ({"tools": BOTH, "tool_choice": allow("required")}, "tool_choice.tools"),
    ({"tools": BOTH, "tool_choice": allow("sometimes", "get_time")}, "tool_choice.mode"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tools": [], "tool_choice": {"type": "function", "name": "get_time"}}, "tool_choice"),
    ({"tools": BOTH, "parallel_tool_calls": "no"}, "parallel_tool_calls"),
]


@pytest.mark.parametrize(("body", "param"), ODD_TOOLS)
async def test_odd_tools_are_refused_with_their_place(
    http: httpx.AsyncClient, body: dict[str, Any], param: str
) -> None:
    error = check_refusal(await ask(http, "Hello", **body))
    # Inside `tool_choice` the path may be more precise than expected here.
    assert error["param"] == param or (param == "tool_choice" and error["param"].startswith("tool_choice."))


async def test_the_nested_dialect_of_chat_completions_is_refused_and_not_misread(http: httpx.AsyncClient) -> None:
    nested = {"type": "function", "function": {"name": "get_weather", "parameters": {}}}
    error = check_refusal(await ask(http, "Hello", tools=[nested]))
    assert error["param"] in ("tools[0].name", "tools[0].function")


HOSTED = ("web_search", "web_search_preview", "code_interpreter", "image_generation", "computer_use_preview", "mcp")


@pytest.mark.parametrize("kind", [*HOSTED, "shell", "apply_patch", "nonsense"])
async def test_a_tool_that_nobody_runs_here_is_left_out_and_named(
    http: httpx.AsyncClient, model_calls: ModelCalls, kind: str
) -> None:
    text = f"Hello beside {kind}"
    response = (await ask(http, text, tools=[WEATHER, {"type": kind, "name": "x"}])).json()
    assert response["eps:ignored"] == ["tools[1]"]
    assert [tool["name"] for tool in response["tools"]] == ["get_weather"]
    assert [tool["type"] for tool in (await model_calls.get_body(text))["tools"]] == ["function"]
    alone = (await ask(http, "Hello", tools=[{"type": kind}])).json()
    assert (alone["tools"], alone["eps:ignored"]) == ([], ["tools[0]"])


@pytest.mark.parametrize("kind", [*HOSTED, "nonsense"])
async def test_a_choice_that_needs_an_ignored_tool_is_refused(http: httpx.AsyncClient, kind: str) -> None:
    tools = [WEATHER, {"type": kind}]
    needs: list[Any] = [{"type": kind}, {"type": "allowed_tools", "mode": "required", "tools": [{"type": kind}]}]
    for choice in needs:
        answer = await ask(http, "Hello", tools=tools, tool_choice=choice)
        assert check_refusal(answer, code=None)["param"].startswith("tool_choice")
    check_refusal(await ask(http, "Hello", tools=tools[1:], tool_choice="required"), param="tool_choice")
    either = {"type": "allowed_tools", "tools": [{"type": kind}, {"type": "function", "name": "get_weather"}]}
    response = (await ask(http, "Hello", tools=tools, tool_choice=either)).json()
    assert response["eps:ignored"] == ["tools[1]", "tool_choice.tools[0]"]
    assert [each["name"] for each in response["tool_choice"]["tools"]] == ["get_weather"]


async def test_a_name_that_no_model_takes_is_told(http: httpx.AsyncClient) -> None:
    error = check_refusal(await ask(http, "Hello", tools=[WEATHER | {"name": "files.read"}]), param="tools[0].name")
    assert "'files.read'" in error["message"]
