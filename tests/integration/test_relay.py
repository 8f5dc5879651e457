"""`/v1/chat/completions` and `/v1/embeddings`: the model's server answers, through us."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from openai import APIStatusError, AsyncOpenAI
from openai.types.chat import ChatCompletionToolParam
from redis.asyncio import Redis

from tests.support.model_calls import ModelCalls
from tests.support.refusals import check_refusal
from tests.support.server_fixtures import StartReplica
from tests.support.servers import StandinServer, eventually
from tests.support.service import Service
from tests.support.turns import Stream, open_client

CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"
COUNTED = "1 2 3 4 5 6 7 8 9"
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
pytestmark = pytest.mark.usefixtures("quiet_model")

ENDLESS = "count to 2000 [[standin token_s=0.05]]"


@pytest.fixture
async def control(standin: StandinServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client for the stand-in's control endpoints."""
    async with httpx.AsyncClient(base_url=standin.url, timeout=30) as client:
        await client.delete("/_control/calls")
        yield client


def chat(text: str, **body: Any) -> dict[str, Any]:
    """The body of a request with one message."""
    return {"messages": [{"role": "user", "content": text}], **body}


async def is_idle(control: httpx.AsyncClient) -> bool:
    """Whether the stand-in writes no answer."""
    return bool((await control.get("/_control/active")).json()["active"] == 0)


async def test_a_chat_completion(alice: AsyncOpenAI) -> None:
    answer = await alice.chat.completions.create(
        model="stand-in", messages=[{"role": "user", "content": "My name is Ada. What is my name?"}]
    )
    assert answer.choices[0].message.content == "Your name is Ada."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0


async def test_a_chat_completion_as_a_stream(alice: AsyncOpenAI) -> None:
    said, usage = "", None
    async for chunk in await alice.chat.completions.create(
        model="stand-in",
        messages=[{"role": "user", "content": "count to 9"}],
        stream=True,
        stream_options={"include_usage": True},
    ):
        said += "".join(choice.delta.content or "" for choice in chunk.choices)
        usage = chunk.usage or usage
    assert said == COUNTED
    assert usage is not None


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_is_called_and_its_output_used(alice: AsyncOpenAI, stream: bool) -> None:
    messages: list[Any] = [{"role": "user", "content": "get_weather city=Paris"}]
    arguments: dict[str, Any] = {"model": "stand-in", "tools": [WEATHER]}
    if stream:
        call: dict[str, Any] = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        async for chunk in await alice.chat.completions.create(messages=messages, stream=True, **arguments):
            for part in chunk.choices[0].delta.tool_calls or [] if chunk.choices else []:
                call["id"] += part.id or ""
                call["function"]["name"] += (part.function and part.function.name) or ""
                call["function"]["arguments"] += (part.function and part.function.arguments) or ""
    else:
        answer = await alice.chat.completions.create(messages=messages, **arguments)
        assert answer.choices[0].finish_reason == "tool_calls"
        call = answer.choices[0].message.tool_calls[0].model_dump()
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
    messages += [{"role": "assistant", "content": None, "tool_calls": [call]}]
    messages += [{"role": "tool", "tool_call_id": call["id"], "content": "sunny"}]
    answer = await alice.chat.completions.create(messages=messages, **arguments)
    assert "sunny" in (answer.choices[0].message.content or "")


async def test_embeddings(alice: AsyncOpenAI) -> None:
    answer = await alice.embeddings.create(model="stand-in-embedding", input=["one text", "another"])
    assert [len(entry.embedding) for entry in answer.data] == [256, 256]
    assert answer.usage.prompt_tokens > 0


async def test_without_a_model_it_is_the_servers_default(http: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    for path, body in ((CHAT, chat("Hello")), (CHAT, chat("Hello", model=None)), (EMBEDDINGS, {"input": "Hello"})):
        assert (await http.post(path, json=body)).status_code == 200
    calls = (await control.get("/_control/calls")).json()
    assert [call["body"]["model"] for call in calls] == ["stand-in", "stand-in", "stand-in-embedding"]


async def test_the_answer_is_that_of_the_models_server_to_the_byte(http: httpx.AsyncClient, service: Service) -> None:
    body = chat("count to 9", model="stand-in", stream=True, seed=1)
    ours = await http.post(CHAT, json=body)
    async with httpx.AsyncClient() as direct:
        theirs = await direct.post(f"{service.standin.base_url}/chat/completions", json=body)
    assert _without_ids(ours.text) == _without_ids(theirs.text)
    assert ours.headers["content-type"] == theirs.headers["content-type"]
    assert ours.headers["cache-control"] == "no-cache, no-transform"
    assert ours.headers["x-accel-buffering"] == "no"


def _without_ids(stream: str) -> list[dict[str, Any]]:
    chunks = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]
    return [{**chunk, "id": "", "created": 0} for chunk in chunks]


async def test_words_are_passed_on_as_they_come(http: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    async with http.stream("POST", CHAT, json=chat(ENDLESS, stream=True)) as answer:
        parts = answer.aiter_bytes()
        for _ in range(3):
            assert await anext(parts)
        assert not await is_idle(control)
    await eventually(lambda: is_idle(control))
    [call] = (await control.get("/_control/calls")).json()
    assert call["outcome"] == "disconnected"


async def test_a_client_that_leaves_a_whole_answer_closes_the_connection(
    http: httpx.AsyncClient, control: httpx.AsyncClient
) -> None:
    asking = asyncio.create_task(http.post(CHAT, json=chat("Hello [[standin headers_s=2]]")))
    await eventually(lambda: _has_begun(control))
    asking.cancel()
    await eventually(lambda: is_idle(control), within_s=1.5)


async def _has_begun(control: httpx.AsyncClient) -> bool:
    return not await is_idle(control)


async def test_nothing_is_kept(http: httpx.AsyncClient, service: Service) -> None:
    async with Redis.from_url(service.valkey.url) as redis:

        async def list_keys() -> set[bytes]:
            """All of them, but for those of API keys: there it is counted what an owner asks and what runs."""
            return {key async for key in redis.scan_iter("eps:{*}:*") if b"{keys}" not in key}

        before = await list_keys()
        await http.post(CHAT, json=chat("My name is Ada.", store=True))
        await http.post(CHAT, json=chat("My name is Ada.", stream=True))
        assert await list_keys() - before == set()


async def test_each_request_has_one_line_in_the_log(http: httpx.AsyncClient, service: Service) -> None:
    headers = {"x-request-id": "relayed-and-logged"}
    await http.post(CHAT, json=chat("count to 9", stream=True, stream_options={"include_usage": True}), headers=headers)

    async def find() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in service.replica.log.splitlines() if line.startswith("{")]
        return [
            line for line in lines if line.get("request_id") == headers["x-request-id"] and line["event"] == "relayed"
        ]

    async def is_there() -> bool:
        return bool(await find())

    await eventually(is_there)
    [line] = await find()
    assert line["owner"] == "alice"
    assert (line["model"], line["status"], line["ending"]) == ("stand-in", 200, "completed")
    assert line["output_tokens"] > 0
    assert line["took_ms"] > 0
    assert "count to" not in json.dumps(line)


@pytest.mark.parametrize("path", [CHAT, EMBEDDINGS])
@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"messages": [', None),
        (b"", None),
        (b"[]", None),
        (b'{"messages": [], "input": "\xff"}', None),
        (b'{"model": 3}', "model"),
        (b'{"model": ""}', "model"),
        (b'{"model": ["stand-in"]}', "model"),
    ],
)
async def test_what_is_no_request_is_refused_here(
    http: httpx.AsyncClient, control: httpx.AsyncClient, path: str, body: bytes, param: str | None
) -> None:
    answer = await http.post(path, content=body, headers={"Content-Type": "application/json"})
    check_refusal(answer, status=400, code="invalid_request_error", param=param)
    assert (await control.get("/_control/calls")).json() == []


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_models_server_refuses_is_told_in_its_words(
    http: httpx.AsyncClient, alice: AsyncOpenAI, stream: bool
) -> None:
    answer = await http.post(CHAT, json={"model": "stand-in", "messages": "Hello", "stream": stream})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, "messages", "invalid_type")
    with pytest.raises(APIStatusError) as raised:
        await alice.chat.completions.create(
            model="nobody-serves-this", messages=[{"role": "user", "content": "Hello"}], stream=stream
        )
    assert raised.value.status_code == 404
    assert raised.value.code == "model_not_found"


async def test_a_body_that_is_too_large_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post(CHAT, json=chat("x" * 10 * 1024 * 1024))
    check_refusal(answer, status=413, code="request_too_large")


@pytest.mark.parametrize("path", [CHAT, EMBEDDINGS])
async def test_without_a_good_key_nothing_is_handed_on(
    http: httpx.AsyncClient, control: httpx.AsyncClient, path: str
) -> None:
    for authorization in ("Bearer nonsense", "Bearer the key of the model's server"):
        answer = await http.post(path, json=chat("Hello"), headers={"Authorization": authorization})
        check_refusal(answer, status=401, code="invalid_api_key")
    assert (await control.get("/_control/calls")).json() == []


async def test_a_relayed_answer_has_the_place_of_a_run(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica, control: httpx.AsyncClient
) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "MAX_RUNS": "1", "WORKERS": "1"})
    async with open_client(http, replica) as client:

        async def is_answered() -> bool:
            return (await client.post(CHAT, json=chat("Hello"))).status_code == 200

        await eventually(is_answered)  # the keys are published soon after the start
        stream = Stream(client, "POST", CHAT, json=chat(ENDLESS, stream=True))
        await eventually(lambda: _has_begun(control))
        for path, body in ((CHAT, chat("Hello")), (EMBEDDINGS, {"input": "x"}), ("/v1/responses", {"input": "Hello"})):
            refused = await client.post(path, json=body)
            check_refusal(refused, status=503, code="overloaded")
            assert refused.headers["retry-after"]
        await stream.leave()
        await eventually(is_answered)  # its place is free again


async def test_a_drain_waits_for_a_relayed_answer_and_takes_no_new_one(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica, control: httpx.AsyncClient
) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "DRAIN_S": "20"})
    async with open_client(http, replica) as client:

        async def is_answered() -> bool:
            return (await client.post(CHAT, json=chat("Hello"))).status_code == 200

        await eventually(is_answered)
        whole = asyncio.create_task(client.post(CHAT, json=chat("count to 40 [[standin token_s=0.05]]")))
        await eventually(lambda: _has_begun(control))
        replica.terminate()

        async def is_refused() -> bool:
            answer = await client.post(CHAT, json=chat("Hello"))
            return answer.status_code == 503 and answer.json()["error"]["code"] == "draining"

        await eventually(is_refused, within_s=2)
        assert "39 40" in (await whole).text


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "http://2130706433/", "file:///etc/passwd"])
async def test_no_private_host_is_named_in_what_is_handed_on(
    http: httpx.AsyncClient, model_calls: ModelCalls, url: str
) -> None:
    messages = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    refused = await http.post(CHAT, json={"model": "m", "messages": messages})
    check_refusal(refused, code=None, param="messages[0].content[0].image_url.url")
    refused = await http.post(EMBEDDINGS, json={"model": "m", "messages": messages})
    check_refusal(refused, code=None, param="messages[0].content[0].image_url.url")
    refused = await http.post(EMBEDDINGS, json={"model": "m", "input": [{"image": url}]})
    check_refusal(refused, code=None, param="input[0].image")
    assert await model_calls.list_bodies() == []
