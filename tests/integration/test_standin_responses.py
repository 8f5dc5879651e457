"""The stand-in as a server of the Responses protocol, checked with OpenAI's SDK and its types."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import msgspec
import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI, AsyncStream
from openai.types.responses import Response, ResponseStreamEvent
from openresponses_types import types as spec
from pydantic import BaseModel, TypeAdapter

from tests.support.oracle import check_events, check_response, read_frames
from tests.support.servers import StandinServer

MODEL = "stand-in"
KEY = "a-key-of-the-tests"
WAIT_S = 10.0  # far longer than anything on loopback takes: only a hang reaches it
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "name": "get_weather", "parameters": CITY, "strict": False}
CLOCK = {"type": "function", "name": "get_time", "parameters": None, "strict": None}
TOOLS: list[Any] = [WEATHER, CLOCK]
PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"},
}
SEALED: list[Any] = ["reasoning.encrypted_content"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with StandinServer(tmp_path_factory.mktemp("standin")) as server:
        yield server.url


@pytest_asyncio.fixture
async def client(url: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=WAIT_S) as client:
        yield client


@pytest_asyncio.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """The protocol without the SDK."""
    async with httpx.AsyncClient(base_url=url, timeout=WAIT_S) as http:
        yield http


async def _ask(client: AsyncOpenAI, asked: Any, **fields: Any) -> Any:
    answer = await client.responses.create(model=MODEL, input=asked, store=False, **fields)
    Response.model_validate(answer.model_dump(mode="json"), strict=True)  # the SDK does not check
    return answer


async def _read_events(http: httpx.AsyncClient, asked: Any, **fields: Any) -> list[dict[str, Any]]:
    """A whole stream; each event is checked with the SDK's types, and all with one another."""
    body = {"model": MODEL, "input": asked, "store": False, "stream": True, **fields}
    answer = await http.post("/v1/responses", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = read_frames(answer.content + b"data: [DONE]\n\n")
    for number, event in enumerate(events):
        EVENT.validate_python(event)
        assert event["sequence_number"] == number
    done = {event["output_index"]: event["item"] for event in _pick(events, "response.output_item.done")}
    assert events[-1]["response"]["output"] == [done[index] for index in sorted(done)]
    return events


def _check_events(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Hold OpenAI's events to our rules: ours have one field more."""
    response_id = events[-1]["response"]["id"]
    return check_events(
        [{**event, "response_id": response_id} if "content_part" in event["type"] else event for event in events]
    )


def _pick(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


def _join(events: list[dict[str, Any]], kind: str, index: int = 0) -> str:
    return "".join(event["delta"] for event in _pick(events, kind) if event["output_index"] == index)


async def _read_kinds_into(kinds: list[str], stream: AsyncStream[ResponseStreamEvent]) -> None:
    async for event in stream:
        kinds += [event.type]


async def _refuse(client: AsyncOpenAI, asked: Any, **fields: Any) -> Any:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model=MODEL, input=asked, **fields)
    return caught.value


async def test_it_works(client: AsyncOpenAI, http: httpx.AsyncClient) -> None:
    answer = await _ask(client, "count to 4", instructions="Be brief.", metadata={"a": "b"}, service_tier="auto")
    assert answer.output_text == "1 2 3 4"
    assert (answer.instructions, answer.metadata, answer.service_tier) == ("Be brief.", {"a": "b"}, "default")
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (5, 4, 9)
    raw = await http.post("/v1/responses", json={"model": MODEL, "input": "count to 4", "store": False})
    check_response(raw.json())


@pytest.mark.parametrize(
    "asked", ["count to 12", "Who are you?", "repeat: a\n\n  b  c", "Hello", "Hello [[standin refuse]]", "repeat:"]
)
async def test_both_protocols_say_the_same(client: AsyncOpenAI, http: httpx.AsyncClient, asked: str) -> None:
    chat = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": asked}])
    message = chat.choices[0].message
    final = _check_events(await _read_events(http, asked))
    part = final["output"][0]["content"][0]
    assert (part.get("text"), part.get("refusal")) == (message.content, message.refusal)
    whole = await http.post("/v1/responses", json={"model": MODEL, "input": asked})
    assert whole.json()["output"] == final["output"]


async def test_events_come_in_openais_order(http: httpx.AsyncClient) -> None:
    kinds = [event["type"].removeprefix("response.") for event in await _read_events(http, "count to 2")]
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


async def test_the_sdk_follows_a_stream_to_its_end(client: AsyncOpenAI) -> None:
    async with client.responses.stream(model=MODEL, input="count to 30", store=False) as stream:
        texts = [event.delta async for event in stream if event.type == "response.output_text.delta"]
        final = await stream.get_final_response()
    assert "".join(texts) == final.output_text == " ".join(map(str, range(1, 31)))


async def test_a_window_is_replayed_with_calls_results_and_sealed_thoughts(client: AsyncOpenAI) -> None:
    window: list[Any] = [{"role": "user", "content": 'get_weather city=Oslo [[standin reason="I look."]]'}]
    first = await _ask(client, window, tools=TOOLS, include=SEALED, reasoning={"effort": "low"})
    thought, call = first.output
    assert (thought.type, call.type) == ("reasoning", "function_call")
    assert thought.encrypted_content
    assert call.arguments == '{"city":"Oslo"}'
    window += [thought.model_dump(exclude_none=True), call.model_dump(exclude_none=True)]
    told = [{"type": "input_text", "text": "It is 12"}, {"type": "input_text", "text": "degrees"}]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": told}
    second = await _ask(client, [*window, result], tools=TOOLS)
    assert second.output_text == "get_weather returned: It is 12\ndegrees"
    window += [result, *(item.model_dump(exclude_none=True) for item in second.output)]
    third = await _ask(client, [*window, {"role": "user", "content": "Hello"}], tools=TOOLS)
    assert "I see 5 messages" in third.output_text


async def test_a_custom_tool_gets_text_and_its_result_is_replayed(client: AsyncOpenAI, http: httpx.AsyncClient) -> None:
    patch = "*** Begin Patch\n*** Delete File: a\n*** End Patch"
    asked: list[Any] = [{"role": "user", "content": f"apply_patch <<END\n{patch}\nEND"}]
    events = await _read_events(http, asked, tools=[PATCH])
    assert _join(events, "response.custom_tool_call_input.delta") == patch
    assert [event["input"] for event in _pick(events, "response.custom_tool_call_input.done")] == [patch]
    (call,) = events[-1]["response"]["output"]
    assert (call["type"], call["name"], call["input"], call["status"]) == (
        "custom_tool_call",
        "apply_patch",
        patch,
        "completed",
    )
    result = {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "Done."}
    told = await _ask(client, [*asked, call, result], tools=[PATCH])
    assert told.output_text == "apply_patch returned: Done."
    forced = await _ask(client, "Do it.", tools=[*TOOLS, PATCH], tool_choice={"type": "custom", "name": "apply_patch"})
    assert [item.input for item in forced.output] == ["Do it."]


async def test_a_call_says_its_namespace(client: AsyncOpenAI) -> None:
    agents = {"type": "namespace", "name": "agents", "description": "Helpers.", "tools": [WEATHER, PATCH]}
    answer = await _ask(client, "get_weather city=Oslo, apply_patch `x`", tools=[agents, CLOCK])
    assert [(item.type, item.name, item.namespace) for item in answer.output] == [
        ("function_call", "get_weather", "agents"),
        ("custom_tool_call", "apply_patch", "agents"),
    ]
    again = await _ask(client, "get_time", tools=[agents, CLOCK])
    assert [(item.name, item.namespace) for item in again.output] == [("get_time", None)]


async def test_thoughts_come_summed_up_and_in_full(http: httpx.AsyncClient) -> None:
    asked = 'count to 2 [[standin reason="Let me count." summary="Counting it is."]]'
    events = await _read_events(http, asked, reasoning={"summary": "auto"}, include=SEALED)
    assert _join(events, "response.reasoning_summary_text.delta") == "Counting it is."
    assert _join(events, "response.reasoning_text.delta") == "Let me count."
    assert _join(events, "response.output_text.delta", 1) == "1 2"
    thought = events[-1]["response"]["output"][0]
    assert thought["summary"] == [{"type": "summary_text", "text": "Counting it is."}]
    assert thought["content"] == [{"type": "reasoning_text", "text": "Let me count."}]
    assert events[-1]["response"]["usage"]["output_tokens_details"]["reasoning_tokens"] == 7
    spec.ReasoningBody.model_validate(thought)
    unasked = await _read_events(http, asked)
    assert set(unasked[-1]["response"]["output"][0]) == {"id", "type", "summary", "content"}
    assert unasked[-1]["response"]["output"][0]["summary"] == []


async def test_reasoning_that_another_server_sealed_is_refused(client: AsyncOpenAI) -> None:
    said = {"role": "assistant", "content": "Hi"}
    thought = {"type": "reasoning", "id": "rs_1", "summary": []}
    window = [{"role": "user", "content": "Hello"}, {**thought, "encrypted_content": "gAAAAABforeign"}, said]
    assert (await _refuse(client, window)).code == "invalid_encrypted_content"
    with pytest.raises(openai.NotFoundError, match="not persisted"):
        await _ask(client, [window[0], thought, said])
    shown = {**thought, "content": [{"type": "reasoning_text", "text": "Hm"}]}
    assert "following item" in (await _refuse(client, [window[0], shown])).message
    error = await _refuse(client, [window[0], {**shown, "status": "completed"}, said])
    assert (error.code, error.param) == ("unknown_parameter", "input[1].status")


async def test_calls_stream_one_after_another_or_alternate(http: httpx.AsyncClient) -> None:
    asked = "get_weather city=Reykjavik and get_time"
    for directive in ("", " [[standin interleave=1]]"):
        events = await _read_events(http, asked + directive, tools=TOOLS)
        first, second = events[-1]["response"]["output"]
        assert (first["name"], second["name"]) == ("get_weather", "get_time")
        assert _join(events, "response.function_call_arguments.delta") == first["arguments"] == '{"city":"Reykjavik"}'
        assert _join(events, "response.function_call_arguments.delta", 1) == second["arguments"] == "{}"
        done = [event["arguments"] for event in _pick(events, "response.function_call_arguments.done")]
        assert sorted(done) == sorted([first["arguments"], second["arguments"]])
        spec.FunctionCall.model_validate(first)
        order = [event["output_index"] for event in events if event["type"].endswith((".delta", ".done"))]
        assert (order != sorted(order)) is bool(directive)


async def test_tool_choice(client: AsyncOpenAI) -> None:
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "get_time"}]}
    for choice, names in (
        ("none", []),
        ("required", ["get_weather"]),
        ({"type": "function", "name": "get_time"}, ["get_time"]),
        (allowed, []),
        ({**allowed, "mode": "required"}, ["get_time"]),
    ):
        answer = await _ask(client, "Hello", tools=TOOLS, tool_choice=choice)
        assert [item.name for item in answer.output if item.type == "function_call"] == names
    both = await _ask(client, "get_weather and get_time", tools=TOOLS, tool_choice=allowed)
    assert [item.type for item in both.output] == ["function_call"]
    one = await _ask(client, "get_weather and get_time", tools=TOOLS, parallel_tool_calls=False)
    assert len(one.output) == 1


async def test_structured_output_fits_the_model(client: AsyncOpenAI) -> None:
    class Next(BaseModel):
        answer: str
        follow_up_questions: list[str]

    answer = await client.responses.parse(model=MODEL, input="count to 3", text_format=Next, store=False)
    assert answer.output_parsed is not None
    assert answer.output_parsed.answer == "1 2 3"
    assert len(set(answer.output_parsed.follow_up_questions)) == 3
    plain = await _ask(client, "count to 3", text={"format": {"type": "json_object"}})
    assert plain.output_text == '{"answer":"1 2 3"}'
    spoilt = await _ask(client, "count to 3 [[standin bad_json]]", text={"format": {"type": "json_object"}})
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(spoilt.output_text)


async def test_likelihoods_are_shown_when_they_are_asked_for(http: httpx.AsyncClient) -> None:
    events = await _read_events(http, "count to 3", include=["message.output_text.logprobs"], top_logprobs=2)
    streamed = [one for event in _pick(events, "response.output_text.delta") for one in event["logprobs"]]
    final = _check_events(events)
    assert final["output"][0]["content"][0]["logprobs"] == streamed
    assert [(one["token"], len(one["top_logprobs"])) for one in streamed] == [("1", 2), (" 2", 2), (" 3", 2)]
    unasked = await _read_events(http, "count to 3", top_logprobs=2)
    assert all(event["logprobs"] == [] for event in _pick(unasked, "response.output_text.delta"))


async def test_an_answer_may_be_cut_by_its_budget_or_a_filter(http: httpx.AsyncClient) -> None:
    final = _check_events(await _read_events(http, "count to 50", max_output_tokens=16))
    assert final["incomplete_details"] == {"reason": "max_output_tokens"}
    final = _check_events(await _read_events(http, "count to 5 [[standin finish=content_filter]]"))
    assert final["incomplete_details"] == {"reason": "content_filter"}
    asked = f"get_time, get_weather city={'x' * 200}"
    called = (await _read_events(http, asked, tools=TOOLS, max_output_tokens=16))[-1]["response"]
    assert [item["status"] for item in called["output"]] == ["completed", "incomplete"]


@pytest.mark.parametrize("instruction", [[], [{"role": "developer", "content": "Continue exactly where it stopped."}]])
async def test_an_unfinished_answer_is_continued(client: AsyncOpenAI, instruction: list[Any]) -> None:
    begun = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "in_progress",
        "content": [{"type": "output_text", "text": "1 2 3", "annotations": []}],
    }
    answer = await _ask(client, [{"role": "user", "content": "count to 6"}, begun, *instruction])
    assert answer.output_text == " 4 5 6"


async def test_an_answer_may_fail_in_the_middle(client: AsyncOpenAI, http: httpx.AsyncClient) -> None:
    asked = "count to 5 [[standin failed_after=2 code=rate_limit_exceeded]]"
    final = (await _read_events(http, asked))[-1]["response"]
    assert (final["status"], final["error"]["code"]) == ("failed", "rate_limit_exceeded")
    assert final["output"][0]["content"][0]["text"] == "1 2"
    assert final["output"][0]["status"] == "incomplete"
    whole = await _ask(client, asked)
    assert whole.status == "failed"
    assert whole.output_text == "1 2"


async def test_an_error_may_come_in_the_stream(http: httpx.AsyncClient) -> None:
    body = {"model": MODEL, "input": "count to 5 [[standin error_after=2]]", "stream": True}
    events = read_frames((await http.post("/v1/responses", json=body)).content + b"data: [DONE]\n\n")
    assert EVENT.validate_python(events[-1]).code == "server_error"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


@pytest.mark.parametrize(
    ("after", "last"),
    [
        (0, "response.in_progress"),
        (1, "response.reasoning_text.delta"),
        (3, "response.output_item.added"),
        (5, "response.function_call_arguments.delta"),
    ],
)
async def test_a_stream_may_break_anywhere(client: AsyncOpenAI, after: int, last: str) -> None:
    asked = f'get_weather city=Reykjavik [[standin reason="One two" cut_after={after}]]'
    stream = await client.responses.create(model=MODEL, input=asked, stream=True, tools=TOOLS, store=False)
    kinds: list[str] = []
    with pytest.raises(openai.APIConnectionError):
        await _read_kinds_into(kinds, stream)
    assert kinds[-1] == last


async def test_error_statuses_and_first_failures(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        await _ask(client, "Hello [[standin status=429 retry_after=2]]")
    assert caught.value.response.headers["retry-after"] == "2"
    error = await _refuse(client, "Hello [[standin status=400 code=context_length_exceeded]]")
    assert error.code == "context_length_exceeded"
    retrying = client.with_options(max_retries=1)
    assert (await _ask(retrying, "count to 2 [[standin fail=1 retry_after=0.01]]")).output_text == "1 2"


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"store": True}, "unsupported_parameter", "store"),
        ({"background": True}, "unsupported_parameter", "background"),
        ({"conversation": "conv_1"}, "unsupported_parameter", "conversation"),
        ({"previous_response_id": "resp_1"}, "previous_response_not_found", "previous_response_id"),
        ({"extra_body": {"messages": []}}, "unknown_parameter", "messages"),
        ({"max_output_tokens": 5}, "integer_below_min_value", "max_output_tokens"),
        ({"temperature": "hot"}, "invalid_type", "temperature"),
        ({"include": ["everything"]}, "invalid_value", "include[0]"),
        ({"tools": [{"type": "web_search"}]}, "invalid_value", "tools[0].type"),
        ({"text": {"format": {"type": "json_schema"}}}, "missing_required_parameter", "text.format.name"),
    ],
)
async def test_what_it_cannot_do_is_refused(client: AsyncOpenAI, fields: Any, code: str, param: str) -> None:
    error = await _refuse(client, "Hello", **fields)
    assert (error.code, error.param) == (code, param)


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ([{"role": "wizard", "content": "Hello"}], "input[0].role"),
        ([{"role": "user", "content": [{"type": "output_text", "text": "Hello"}]}], "input[0].content[0]"),
        ([{"role": "assistant", "content": [{"type": "input_text", "text": "Hello"}]}], "input[0].content[0]"),
        ([{"role": "user", "content": [{"type": "input_audio"}]}], "input[0].content[0].type"),
        ([{"type": "function_call_output", "call_id": "call_1", "output": "12"}], "input"),
        ([{"type": "function_call", "call_id": "call_1", "name": "get_time", "arguments": "{}"}], "input"),
    ],
)
async def test_an_invalid_window_is_refused(client: AsyncOpenAI, items: Any, param: str) -> None:
    assert (await _refuse(client, items)).param == param


async def test_an_item_by_reference_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="msg_1"):
        await _ask(client, [{"type": "item_reference", "id": "msg_1"}])


async def test_calls_are_logged(client: AsyncOpenAI, http: httpx.AsyncClient) -> None:
    identity: dict[str, Any] = {"safety_identifier": "ada", "prompt_cache_key": "one", "metadata": {"a": "b"}}
    answer = await _ask(client, "count to 3", **identity)
    assert (answer.safety_identifier, answer.prompt_cache_key) == ("ada", "one")
    call = (await http.get("/_control/calls")).json()[-1]
    assert (call["path"], call["outcome"], call["tokens_sent"]) == ("/v1/responses", "finished", 3)
    assert call["body"] == {"model": MODEL, "input": "count to 3", "store": False, **identity}
