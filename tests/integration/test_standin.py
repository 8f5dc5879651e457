"""The stand-in over real HTTP with OpenAI's SDK: every feature, and every fault."""

import base64
import hashlib
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI, AsyncStream, OpenAI
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

MODEL = "stand-in"
KEY = "a-key-of-the-tests"
WAIT_S = 10.0  # far longer than anything on loopback takes: only a hang reaches it
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time"}}


def _find_free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def _run_standin(**environ: str) -> Iterator[str]:
    """Run a stand-in in its own process; yields its URL."""
    port = _find_free_port()
    command = [sys.executable, "-m", "uvicorn", "standin.app:app", "--port", str(port), "--no-access-log"]
    with subprocess.Popen(command, env=os.environ | environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("Uvicorn running" in line for line in iter(process.stderr.readline, "")), "it did not start"
        yield f"http://127.0.0.1:{port}"
        process.kill()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with _run_standin() as url:
        yield url


@pytest_asyncio.fixture
async def control(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client for the control endpoints, with no calls logged and no defaults set."""
    async with httpx.AsyncClient(base_url=f"{url}/_control", timeout=WAIT_S) as client:
        await client.delete("/calls")
        yield client
        await client.delete("/defaults")


@pytest_asyncio.fixture
async def client(url: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=WAIT_S) as client:
        yield client


def _say(*texts: str | dict[str, Any]) -> list[Any]:
    return [{"role": "user", "content": text} if isinstance(text, str) else text for text in texts]


async def _ask(client: AsyncOpenAI, *texts: str | dict[str, Any], **fields: Any) -> Any:
    return await client.chat.completions.create(model=MODEL, messages=_say(*texts), **fields)


async def _stream(client: AsyncOpenAI, *texts: str | dict[str, Any], **fields: Any) -> AsyncStream[ChatCompletionChunk]:
    stream: AsyncStream[ChatCompletionChunk] = await _ask(client, *texts, stream=True, **fields)
    return stream


async def _read_texts(stream: AsyncStream[ChatCompletionChunk]) -> list[str]:
    texts: list[str] = []
    await _read_into(texts, stream)
    return texts


async def _read_into(texts: list[str], stream: AsyncStream[ChatCompletionChunk]) -> None:
    async for chunk in stream:
        texts += [delta.content for delta in _list_deltas(chunk) if delta.content]


def _list_deltas(chunk: ChatCompletionChunk) -> list[Any]:
    return [choice.delta for choice in chunk.choices]


async def _look(control: httpx.AsyncClient, path: str, params: dict[str, int] | None = None) -> Any:
    return (await control.get(path, params=params)).json()


async def _get_last_call(control: httpx.AsyncClient) -> Any:
    return (await _look(control, "/calls"))[-1]


async def test_it_works(client: AsyncOpenAI) -> None:
    answer = await _ask(client, "My name is Ada.", "What is my name?")
    assert answer.choices[0].message.content == "Your name is Ada."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.object == "chat.completion"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (8, 4, 12)
    assert answer.usage.prompt_tokens_details.cached_tokens == 0
    assert answer.usage.completion_tokens_details.reasoning_tokens == 0


def test_it_works_for_the_synchronous_client(url: str) -> None:
    with OpenAI(base_url=f"{url}/v1", api_key=KEY) as client:
        chunks = client.chat.completions.create(model=MODEL, messages=_say("count to 30"), stream=True)
        texts = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(texts) == " ".join(map(str, range(1, 31)))


async def test_stream_is_the_whole_answer_in_tokens(client: AsyncOpenAI) -> None:
    chunks = [chunk async for chunk in await _stream(client, "count to 50")]
    texts = [delta.content for chunk in chunks for delta in _list_deltas(chunk)]
    assert texts[:3] == ["", "1", " 2"]
    assert len(texts) == 52
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 51 + ["stop"]
    assert all(chunk.usage is None for chunk in chunks)
    assert len({chunk.id for chunk in chunks}) == 1


async def test_usage_comes_last_when_asked_for(client: AsyncOpenAI) -> None:
    chunks = [chunk async for chunk in await _stream(client, "count to 5", stream_options={"include_usage": True})]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 5
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_stream_ends_with_done(url: str) -> None:
    body = {"model": MODEL, "messages": _say("count to 3"), "stream": True}
    async with httpx.AsyncClient(base_url=url, timeout=WAIT_S) as client:
        answer = await client.post("/v1/chat/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")
    assert all(line.startswith("data: ") for line in answer.text.split("\n\n") if line)


async def test_tools_are_called_whole_and_in_pieces(client: AsyncOpenAI) -> None:
    question, tools = "get_weather city=Reykjavik and get_time", [WEATHER, CLOCK]
    answer = await _ask(client, question, tools=tools)
    whole = answer.choices[0].message.tool_calls
    assert [call.function.name for call in whole] == ["get_weather", "get_time"]
    assert whole[0].function.arguments == '{"city":"Reykjavik"}'
    assert answer.choices[0].message.content is None
    assert answer.choices[0].finish_reason == "tool_calls"
    chunks = [chunk async for chunk in await _stream(client, question, tools=tools)]
    deltas = [call for chunk in chunks for delta in _list_deltas(chunk) for call in delta.tool_calls or ()]
    pieces = [call.function.arguments for call in deltas if call.index == 0]
    assert "".join(pieces) == '{"city":"Reykjavik"}'
    assert len(pieces) > 3
    assert [call.id for call in deltas if call.id] == [call.id for call in whole]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_tool_choice_and_parallel_tool_calls(client: AsyncOpenAI) -> None:
    named: Any = {"type": "function", "function": {"name": "get_time"}}
    tools = [WEATHER, CLOCK]
    for fields, names in (
        ({"tool_choice": "none"}, []),
        ({"tool_choice": "auto"}, []),
        ({"tool_choice": "required"}, ["get_weather"]),
        ({"tool_choice": named}, ["get_time"]),
    ):
        calls = (await _ask(client, "Hello", tools=tools, **fields)).choices[0].message.tool_calls or []
        assert [call.function.name for call in calls] == names
    answer = await _ask(client, "get_time, get_weather", tools=tools, parallel_tool_calls=False)
    assert len(answer.choices[0].message.tool_calls) == 1


async def test_tool_results_are_used(client: AsyncOpenAI) -> None:
    asked = await _ask(client, "get_weather", tools=[WEATHER])
    message = asked.choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "12 degrees"}
    answer = await _ask(client, "get_weather", message.model_dump(exclude_none=True), result, tools=[WEATHER])
    assert answer.choices[0].message.content == "get_weather returned: 12 degrees"


async def test_structured_output_fits_the_model(client: AsyncOpenAI) -> None:
    class Step(BaseModel):
        title: str
        minutes: int

    class Plan(BaseModel):
        answer: str
        steps: list[Step]
        note: str | None

    plan = await client.chat.completions.parse(model=MODEL, messages=_say("count to 3"), response_format=Plan)
    assert plan.choices[0].message.parsed is not None
    assert plan.choices[0].message.parsed.answer == "1 2 3"
    answer = await _ask(client, "count to 3", response_format={"type": "json_object"})
    assert answer.choices[0].message.content == '{"answer":"1 2 3"}'


async def test_logprobs(client: AsyncOpenAI) -> None:
    answer = await _ask(client, "count to 4", logprobs=True, top_logprobs=3)
    tokens = answer.choices[0].logprobs.content
    assert [token.token for token in tokens] == ["1", " 2", " 3", " 4"]
    assert bytes(tokens[1].bytes) == b" 2"
    likelihoods = [option.logprob for option in tokens[0].top_logprobs]
    assert len(likelihoods) == 3
    assert likelihoods == sorted(likelihoods, reverse=True)
    chunks = [chunk async for chunk in await _stream(client, "count to 4", logprobs=True)]
    streamed = [choice.logprobs for chunk in chunks for choice in chunk.choices if choice.logprobs]
    assert [token.token for one in streamed for token in one.content or ()] == ["1", " 2", " 3", " 4"]


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
async def test_limits_and_stops(client: AsyncOpenAI, limit: str) -> None:
    cut = await _ask(client, "count to 9", **{limit: 3})
    assert (cut.choices[0].message.content, cut.choices[0].finish_reason) == ("1 2 3", "length")
    stopped = await _ask(client, "count to 9", stop=" 4")
    assert (stopped.choices[0].message.content, stopped.choices[0].finish_reason) == ("1 2 3", "stop")


async def test_an_unfinished_answer_is_continued(client: AsyncOpenAI) -> None:
    begun = {"role": "assistant", "content": "1 2 3"}
    assert await _read_texts(await _stream(client, "count to 6", begun)) == [" 4", " 5", " 6"]
    echoed = await _ask(client, "count to 6 [[standin echo_prefix]]", begun)
    assert echoed.choices[0].message.content == "1 2 3 4 5 6"


async def test_an_unfinished_answer_may_be_refused_as_the_last_message(client: AsyncOpenAI) -> None:
    question, begun = "count to 6 [[standin no_prefix]]", {"role": "assistant", "content": "1 2 3"}
    with pytest.raises(openai.BadRequestError):
        await _ask(client, question, begun)
    request = {"role": "user", "content": "Continue exactly where you stopped."}
    assert (await _ask(client, question, begun, request)).choices[0].message.content == " 4 5 6"
    assert (await _ask(client, question)).choices[0].message.content == "1 2 3 4 5 6"


async def test_reasoning_refusal_and_content_filter(client: AsyncOpenAI) -> None:
    chunks = [chunk async for chunk in await _stream(client, 'count to 3 [[standin reason="Let me count."]]')]
    deltas = [delta.model_dump() for chunk in chunks for delta in _list_deltas(chunk)]
    thoughts = [delta.get("reasoning_content") or "" for delta in deltas]
    assert "".join(thoughts) == "Let me count."
    assert deltas[-2]["content"] == " 3"
    answer = await _ask(client, "count to 3 [[standin reason=Hm]]")
    assert answer.choices[0].message.reasoning_content == "Hm"
    assert answer.usage.completion_tokens_details.reasoning_tokens == 1
    chunks = [chunk async for chunk in await _stream(client, "Hello [[standin refuse]]")]
    assert "refuse" in "".join(delta.refusal or "" for chunk in chunks for delta in _list_deltas(chunk))
    answer = await _ask(client, "Hello [[standin finish=content_filter]]")
    assert answer.choices[0].finish_reason == "content_filter"


async def test_embeddings(client: AsyncOpenAI) -> None:
    texts = ["Refunds take 30 days.", "refunds take days"]
    answer = await client.embeddings.create(model="stand-in-embedding", input=texts)  # the SDK requests base64
    floats = await client.embeddings.create(model="stand-in-embedding", input=texts[0], encoding_format="float")
    assert answer.data[0].embedding == pytest.approx(floats.data[0].embedding, abs=1e-6)
    assert answer.usage.prompt_tokens == 9
    small = await client.embeddings.create(
        model="stand-in-embedding", input="a", dimensions=8, encoding_format="base64"
    )
    encoded: Any = small.data[0].embedding
    assert len(struct.unpack("<8f", base64.b64decode(encoded))) == 8


async def test_models(client: AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["stand-in", "stand-in-embedding"]
    assert (await client.models.retrieve("stand-in-embedding")).object == "model"


async def test_an_unknown_model_is_not_found_anywhere(client: AsyncOpenAI) -> None:
    for asking in (
        client.models.retrieve("gpt-x"),
        client.embeddings.create(model="gpt-x", input="a"),
        client.chat.completions.create(model="gpt-x", messages=_say("Hello")),
    ):
        with pytest.raises(openai.NotFoundError) as caught:
            await asking
        assert caught.value.code == "model_not_found"


async def test_bad_requests_are_explained(url: str, control: httpx.AsyncClient) -> None:
    bodies = [b"{", b'"\xff"', b"[" * 100_000, b'{"model": "stand-in", "messages": [{"role": "wizard"}]}']
    async with httpx.AsyncClient(base_url=url, timeout=WAIT_S) as client:
        answers = [await client.post("/v1/chat/completions", content=body) for body in bodies]
        lost = [await client.get("/v1/nothing"), await client.get("/v1/chat/completions")]
    assert [answer.status_code for answer in answers] == [400] * 4
    assert all(answer.json()["error"]["type"] == "invalid_request_error" for answer in answers)
    assert answers[-1].json()["error"]["param"] == "messages[0].role"
    assert [answer.status_code for answer in lost] == [404, 405]
    assert [call["outcome"] for call in await _look(control, "/calls")] == ["failed"] * 4


async def test_a_key_is_required_when_one_is_set_and_defaults_come_from_the_environment() -> None:
    with _run_standin(STANDIN_API_KEY="sesame", STANDIN_DEFAULTS="finish=content_filter") as url:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as stranger:
            with pytest.raises(openai.AuthenticationError):
                await _ask(stranger, "Hello")
            with pytest.raises(openai.AuthenticationError):
                await stranger.models.list()
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="sesame", max_retries=0) as friend:
            assert (await _ask(friend, "Hello")).choices[0].finish_reason == "content_filter"


async def test_first_token_may_be_slow_while_headers_are_not(client: AsyncOpenAI) -> None:
    stream = await _stream(client, "count to 3 [[standin first_token_s=0.4]]")
    started = time.monotonic()
    assert await _read_texts(stream) == ["1", " 2", " 3"]
    assert time.monotonic() - started > 0.3


async def test_headers_may_never_come(client: AsyncOpenAI, control: httpx.AsyncClient) -> None:
    with pytest.raises(openai.APITimeoutError):
        await _stream(client, "Hello [[standin headers_s=60]]", timeout=0.3)
    assert await _look(control, "/active", {"until": 0}) == {"active": 0}
    assert (await _get_last_call(control))["outcome"] == "disconnected"


async def test_tokens_may_be_slow(client: AsyncOpenAI) -> None:
    moments = []
    async for chunk in await _stream(client, "count to 4 [[standin token_s=0.1]]"):
        moments += [time.monotonic()] * any(delta.content for delta in _list_deltas(chunk))
    assert len(moments) == 4
    assert moments[-1] - moments[0] > 0.25
    started = time.monotonic()
    await _ask(client, "count to 4 [[standin token_s=0.1]]")
    assert time.monotonic() - started > 0.25


async def test_several_tokens_in_an_event(client: AsyncOpenAI) -> None:
    texts = await _read_texts(await _stream(client, "count to 5 [[standin tokens_at_once=2]]"))
    assert texts == ["1 2", " 3 4", " 5"]


async def test_any_error_status_with_retry_after(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        await _ask(client, "Hello [[standin status=429 retry_after=1.5]]")
    assert caught.value.response.headers["retry-after"] == "1.5"
    assert caught.value.code == "rate_limit_exceeded"
    with pytest.raises(openai.InternalServerError):
        await _stream(client, "Hello [[standin status=503]]")


async def test_connection_is_cut_after_so_many_tokens(client: AsyncOpenAI, control: httpx.AsyncClient) -> None:
    texts: list[str] = []
    stream = await _stream(client, "count to 50 [[standin cut_after=20]]")
    with pytest.raises(openai.APIConnectionError):
        await _read_into(texts, stream)
    assert "".join(texts) == " ".join(map(str, range(1, 21)))
    call = await _get_last_call(control)
    assert (call["outcome"], call["tokens_sent"]) == ("failed", 20)


async def test_a_cut_may_come_before_anything_and_never_after_the_end(client: AsyncOpenAI) -> None:
    stream = await _stream(client, "count to 5 [[standin cut_after=0]]")
    with pytest.raises(openai.APIConnectionError):
        await _read_texts(stream)
    assert len(await _read_texts(await _stream(client, "count to 5 [[standin cut_after=6]]"))) == 5


async def test_stream_may_just_end(client: AsyncOpenAI) -> None:
    chunks = [chunk async for chunk in await _stream(client, "count to 5 [[standin end_after=2]]")]
    assert [delta.content for chunk in chunks for delta in _list_deltas(chunk)] == ["", "1", " 2"]
    assert all(choice.finish_reason is None for chunk in chunks for choice in chunk.choices)


async def test_stream_may_fall_silent_until_the_client_leaves(client: AsyncOpenAI, control: httpx.AsyncClient) -> None:
    stream = await _stream(client, "count to 5 [[standin silence_after=2]]", timeout=0.3)
    with pytest.raises(openai.APITimeoutError):
        await _read_texts(stream)
    await stream.close()
    assert await _look(control, "/active", {"until": 0}) == {"active": 0}
    call = await _get_last_call(control)
    assert (call["outcome"], call["tokens_sent"]) == ("disconnected", 2)


async def test_stream_may_turn_to_garbage(url: str) -> None:
    body = {"model": MODEL, "messages": _say("count to 5 [[standin garbage_after=2]]"), "stream": True}
    async with httpx.AsyncClient(base_url=url, timeout=WAIT_S) as client:
        answer = await client.post("/v1/chat/completions", json=body)
    assert b'" 2"' in answer.content
    assert b'" 3"' not in answer.content
    assert answer.content.endswith(b"neither JSON nor an event stream\r\n")


async def test_an_error_may_come_in_the_stream(client: AsyncOpenAI) -> None:
    texts: list[str] = []
    stream = await _stream(client, "count to 5 [[standin error_after=2]]")
    with pytest.raises(openai.APIError, match="told to fail"):
        await _read_into(texts, stream)
    assert texts == ["1", " 2"]


async def test_whole_answers_break_too(client: AsyncOpenAI, control: httpx.AsyncClient) -> None:
    with pytest.raises(openai.APIConnectionError):
        await _ask(client, "count to 50 [[standin cut_after=20]]")
    with pytest.raises(openai.InternalServerError):
        await _ask(client, "count to 50 [[standin error_after=20]]")
    with pytest.raises(openai.APITimeoutError):
        await _ask(client, "count to 50 [[standin silence_after=20]]", timeout=0.3)
    for broken in ("end_after=1", "garbage_after=1"):
        with pytest.raises(ValueError, match=r"."):  # any message of the JSON parser
            await _ask(client, f"count to 50 [[standin {broken}]]")
    await _look(control, "/active", {"until": 0})
    outcomes = [call["outcome"] for call in await _look(control, "/calls")]
    assert outcomes == ["failed", "failed", "disconnected", "failed", "failed"]


async def test_first_requests_fail_and_then_all_is_well(client: AsyncOpenAI) -> None:
    retrying = client.with_options(max_retries=2)
    answer = await _ask(retrying, "count to 2 [[standin fail=2 status=503 retry_after=0.01 key=first-two]]")
    assert answer.choices[0].message.content == "1 2"
    with pytest.raises(openai.InternalServerError):
        await _ask(client, "count to 2 [[standin fail=1]]")
    assert (await _ask(client, "count to 2 [[standin fail=1]]")).choices[0].message.content == "1 2"


async def test_an_answer_that_was_cut_once_can_be_continued(client: AsyncOpenAI) -> None:
    question, texts = "count to 9 [[standin fail=1 cut_after=4]]", list[str]()
    stream = await _stream(client, question)
    with pytest.raises(openai.APIConnectionError):
        await _read_into(texts, stream)
    begun = {"role": "assistant", "content": "".join(texts)}
    texts += await _read_texts(await _stream(client, question, begun))
    assert "".join(texts) == "1 2 3 4 5 6 7 8 9"


async def test_usage_may_be_missing(client: AsyncOpenAI) -> None:
    assert (await _ask(client, "Hello [[standin no_usage]]")).usage is None
    stream = await _stream(client, "count to 2 [[standin no_usage]]", stream_options={"include_usage": True})
    assert all([chunk.choices and chunk.usage is None async for chunk in stream])


async def test_a_misspelt_directive_is_refused(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await _ask(client, "Hello [[standin cut_afer=3]]")
    assert caught.value.code == "bad_directive"


async def test_it_stops_when_the_client_leaves(client: AsyncOpenAI, control: httpx.AsyncClient) -> None:
    stream = await _stream(client, "count to 10000 [[standin token_s=0.01]]")
    first = await anext(stream)
    assert first.choices
    assert await _look(control, "/active", {"until": 1}) == {"active": 1}
    await stream.close()
    assert await _look(control, "/active", {"until": 0}) == {"active": 0}
    call = await _get_last_call(control)
    assert call["outcome"] == "disconnected"
    assert call["tokens_sent"] < 5000
    assert call["ended_at"] > call["started_at"]


async def test_defaults_hold_until_they_are_reset(client: AsyncOpenAI, control: httpx.AsyncClient) -> None:
    assert (await control.post("/defaults", json={"status": 503})).json() == {"status": 503}
    with pytest.raises(openai.InternalServerError):
        await _ask(client, "Hello")
    with pytest.raises(openai.InternalServerError):
        await client.embeddings.create(model="stand-in-embedding", input="a")
    with pytest.raises(openai.RateLimitError):
        await _ask(client, "Hello [[standin status=429]]")
    assert (await control.post("/defaults", json={"nonsense": 1})).status_code == 400
    assert await _look(control, "/defaults") == {"status": 503}
    assert (await control.delete("/defaults")).json() == {}
    assert (await _ask(client, "Hello")).choices


async def test_calls_are_logged(client: AsyncOpenAI, control: httpx.AsyncClient) -> None:
    await _ask(client, "Hello", temperature=0.5)
    first = await _get_last_call(control)
    await _read_texts(await _stream(client, "count to 3"))
    (second,) = await _look(control, "/calls", {"since": first["index"] + 1})
    assert (first["path"], first["model"], first["stream"]) == ("/v1/chat/completions", MODEL, False)
    assert first["messages"] == [{"role": "user", "content": "Hello"}]
    assert first["body"]["temperature"] == 0.5
    assert first["authorization_sha256"] == hashlib.sha256(f"Bearer {KEY}".encode()).hexdigest()
    assert (second["stream"], second["outcome"], second["tokens_sent"]) == (True, "finished", 3)
    await control.delete("/calls")
    assert await _look(control, "/calls") == []


def test_it_is_alive(url: str) -> None:
    answer = httpx.get(f"{url}/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert httpx.get(f"{url}/_control/nothing").status_code == 404
    assert httpx.get(f"{url}/_control/calls?since=x").status_code == 400
