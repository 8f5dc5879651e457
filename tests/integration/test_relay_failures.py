"""What `/v1/chat/completions` and `/v1/embeddings` make of a model's server that misbehaves."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, BadRequestError

from tests.support.oracle import check_error
from tests.support.processes import find_free_ports
from tests.support.raw_model import JSON, RawModelServer, Reply, reply_json
from tests.support.refusals import check_refusal
from tests.support.server_fixtures import StartReplica
from tests.support.servers import Replica, eventually
from tests.support.service import Service
from tests.support.turns import Stream, open_client, wait_until_known

CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
COMPLETION = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
}
GOOD = reply_json(COMPLETION)
OPERATORS_KEY = "the key of the model's server"


@pytest.fixture(scope="module")
def raw_model() -> Iterator[RawModelServer]:
    """One for the module; each test says what it plays."""
    with RawModelServer() as server:
        server.models = reply_json({"data": [{"id": "llama3.2:latest"}, {"id": "models/gemini"}]})
        yield server


@pytest.fixture(scope="module")
def replica(service: Service, raw_model: RawModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A replica in front of it, with short limits."""
    limits = {"MAX_RUN_S": "6", "MODEL_ALIASES": '{"fast": "llama3.2"}', "WORKERS": "1"}
    environment = {**service.environment, "OPENAI_BASE_URL": raw_model.base_url, **limits}
    with Replica(tmp_path_factory.mktemp("relay"), environment) as running:
        yield running


@pytest.fixture
async def client(http: httpx.AsyncClient, replica: Replica) -> AsyncIterator[httpx.AsyncClient]:
    """Alice at that replica; what a foreign server answers is not held against the specification."""
    async with httpx.AsyncClient(base_url=replica.url, headers=http.headers, timeout=30) as opened:
        await wait_until_known(opened)
        yield opened


def refuse(status: int, message: str, *, code: Any = "c", kind: str = "t", **headers: str) -> Reply:
    """An error in OpenAI's envelope."""
    error = {"message": message, "type": kind, "param": None, "code": code}
    return reply_json({"error": error}, status, **headers)


async def test_the_body_goes_on_to_the_byte(client: httpx.AsyncClient, raw_model: RawModelServer) -> None:
    raw_model.play(GOOD)
    raw = b'{ "messages":[],\n"model" : "m", "x":1.0e+2, "y":"\\u00e9\\u0000", "stream":false }'
    await client.post(CHAT, content=raw, headers={"Content-Type": "application/json"})
    assert raw_model.asked[-1].raw == raw
    assert raw_model.asked[-1].path == "/v1/chat/completions"


async def test_of_the_clients_headers_none_goes_on(client: httpx.AsyncClient, raw_model: RawModelServer) -> None:
    raw_model.play(GOOD)
    headers = {"Cookie": "a=b", "OpenAI-Organization": "org-client", "X-Secret": "s", "TE": "trailers"}
    answer = await client.post(CHAT, json=BODY, headers=headers)
    sent = raw_model.asked[-1].headers
    assert sent["authorization"] == f"Bearer {OPERATORS_KEY}"
    assert not {"cookie", "openai-organization", "x-secret", "te"} & set(sent)
    assert OPERATORS_KEY not in answer.text


async def test_of_the_servers_headers_only_the_content_type_comes_back(
    client: httpx.AsyncClient, raw_model: RawModelServer
) -> None:
    json_type = {"content-type": "application/json; charset=utf-8"}
    told = {"set-cookie": "a=b", "server": "vllm-7", "x-request-id": "theirs", "openai-organization": "org-1"}
    raw_model.play(Reply(GOOD.steps, headers={**json_type, **told}))
    answer = await client.post(CHAT, json=BODY, headers={"x-request-id": "mine"})
    assert answer.json() == COMPLETION
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["x-request-id"] == "mine"
    assert not {"set-cookie", "openai-organization"} & set(answer.headers)
    assert answer.headers.get("server") != "vllm-7"


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("llama3.2", "llama3.2:latest"),
        ("llama3.2:latest", "llama3.2:latest"),
        ("fast", "llama3.2:latest"),
        ("gemini", "models/gemini"),
        ("unlisted", "unlisted"),
    ],
)
async def test_a_model_is_known_by_its_other_names(
    client: httpx.AsyncClient, raw_model: RawModelServer, asked: str, sent: str
) -> None:
    raw_model.play(GOOD)
    raw = b'{"b":1.0e+2,"model":"%b","c":"\\u00e9"}'
    answer = await client.post(CHAT, content=raw % asked.encode(), headers=JSON)
    assert answer.json() == COMPLETION
    assert raw_model.asked[-1].raw == raw % sent.encode()


@pytest.mark.parametrize(("path", "status"), [(CHAT, 400), (CHAT, 409), (CHAT, 422), (EMBEDDINGS, 404), (CHAT, 500)])
async def test_an_error_in_the_envelope_is_told_as_it_is(
    client: httpx.AsyncClient, raw_model: RawModelServer, path: str, status: int
) -> None:
    reply = refuse(status, "Unknown field 'tools[0].x'.", code="unknown_parameter", kind="invalid_request_error")
    raw_model.play(reply)
    answer = await client.post(path, json=BODY)
    assert answer.status_code == status
    assert answer.content == reply.steps[0]
    assert len(raw_model.asked) == 1  # the client decides about another try


async def test_a_rate_limit_keeps_its_pause(client: httpx.AsyncClient, raw_model: RawModelServer) -> None:
    raw_model.play(refuse(429, "Slow down.", code="insufficient_quota", retry_after="7"))
    answer = await client.post(CHAT, json={**BODY, "stream": True})
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "insufficient_quota")
    assert answer.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    "words",
    [
        "Connection to 10.2.3.4:8000 refused.",
        "Cannot reach http://vllm.models.svc.cluster.local/v1",
        "Rate limit reached for organization org-AbCdEf123456.",
        f"The key {OPERATORS_KEY} has no access.",
        "Your key sk-proj-1234567890 is over its limit.",
        "\\u0031\\u0032\\u0037.0.0.1 is away",
    ],
)
async def test_an_error_that_names_what_is_the_operators_keeps_its_code_only(
    client: httpx.AsyncClient, raw_model: RawModelServer, words: str
) -> None:
    body = b'{"error": {"message": "%b", "type": "t", "param": "p", "code": "a_code"}}' % words.encode()
    raw_model.play(Reply([body], 500, JSON))
    answer = await client.post(CHAT, json=BODY)
    error = check_refusal(answer, status=500, code="a_code", param="p")
    assert error["message"] == "The model's server failed with HTTP 500. Try again in a moment."


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (refuse(401, "Incorrect API key provided: sk-abc."), 502, "upstream_error"),
        (refuse(403, "You may not."), 502, "upstream_error"),
        (Reply([b"<html>502</html>"], 502, {"content-type": "text/html"}), 502, "upstream_error"),
        (Reply([b"<html>400</html>"], 400, {"content-type": "text/html"}), 502, "upstream_error"),
        (Reply([b"<html>404</html>"], 404, {"content-type": "text/html"}), 502, "upstream_error"),
        (Reply([b"<html>hi</html>"], 200, {"content-type": "text/html"}), 502, "upstream_error"),
        (Reply([b""], 500, {}), 502, "upstream_error"),
        (Reply([b"x" * 1_000_000], 503, {}), 502, "upstream_error"),
        (reply_json({"detail": "Not Found"}, 404), 404, "unknown_url"),
        (reply_json({"object": "error", "message": "bad", "code": 400}, 400), 400, "invalid_prompt"),
        (reply_json({"error": "model 'm' not found"}, 404), 404, "model_not_found"),
        (Reply([b"busy"], 429, {"retry-after": "3"}), 429, "rate_limit_exceeded"),
        (Reply([], 302, {"location": "http://127.0.0.1:1/"}), 502, "upstream_error"),
        (Reply([], 307, {"location": "/v1/models"}), 502, "upstream_error"),
        (Reply(["abort"]), 502, "upstream_error"),
        (Reply([b"", "abort"], 200, JSON), 502, "upstream_error"),
        (Reply([b'{"id":', "abort"], 200, JSON), 502, "upstream_error"),
        (Reply([]), 502, "upstream_error"),
        (Reply(["hang"], 200, JSON), 504, "upstream_timeout"),
        (Reply([b"{", "hang"], 200, JSON), 504, "upstream_timeout"),
        (Reply(["hang"]), 504, "upstream_timeout"),
    ],
)
async def test_any_other_failure_is_told_in_our_words(
    client: httpx.AsyncClient, raw_model: RawModelServer, reply: Reply, status: int, code: str
) -> None:
    raw_model.play(reply)
    answer = await client.post(CHAT, json={**BODY, "stream": True})
    check_refusal(answer, status=status, code=code)
    check_error(answer.json())
    assert not [word for word in ("127.0.0.1", "html", "sk-abc", OPERATORS_KEY) if word in answer.text]


async def test_a_server_that_cannot_be_reached(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    nowhere = {"OPENAI_BASE_URL": f"http://127.0.0.1:{find_free_ports(1)[0]}/v1", "MODEL_BREAKER_FAILURES": "3"}
    replica = await asyncio.to_thread(start_replica, {**service.environment, **nowhere, "WORKERS": "1"})
    async with open_client(http, replica) as client:
        await wait_until_known(client)
        for _ in range(3):
            check_refusal(await client.post(CHAT, json=BODY), status=502, code="upstream_error")
        refused = await client.post(EMBEDDINGS, json={"model": "m", "input": "x"})
        check_refusal(refused, status=503, code="upstream_unavailable")  # and so is a turn: one breaker for both
        check_refusal(await client.post("/v1/responses", json={"input": "x"}), status=503, code="upstream_unavailable")


@pytest.mark.parametrize("last", ["abort", "hang"])
async def test_a_stream_that_breaks_off_never_ends_cleanly(
    client: httpx.AsyncClient, raw_model: RawModelServer, last: Any
) -> None:
    raw_model.play(Reply([CHUNK, CHUNK, 0.2, last]))
    stream = Stream(client, "POST", CHAT, json={**BODY, "stream": True})
    assert await stream.read_broken() == CHUNK + CHUNK


async def test_an_error_inside_a_stream_comes_through(client: httpx.AsyncClient, raw_model: RawModelServer) -> None:
    told = b'data: {"error":{"message":"overloaded","code":"c"}}\n\n'
    raw_model.play(Reply([CHUNK, told]))
    answer = await client.post(CHAT, json={**BODY, "stream": True})
    assert answer.content == CHUNK + told


async def test_any_framing_comes_through_to_the_byte(client: httpx.AsyncClient, raw_model: RawModelServer) -> None:
    odd = b': comment\r\n\r\nevent: x\rdata: {"a":\xff\n\ndata: null\n\n' + CHUNK + DONE
    raw_model.play(Reply([odd], is_cut_small=True))
    answer = await client.post(CHAT, json={**BODY, "stream": True})
    assert answer.content == odd
    assert answer.headers["content-type"] == "text/event-stream"


async def test_a_whole_answer_though_a_stream_was_asked_for(
    client: httpx.AsyncClient, raw_model: RawModelServer
) -> None:
    raw_model.play(GOOD)
    answer = await client.post(CHAT, json={**BODY, "stream": True})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == COMPLETION


async def test_a_large_answer_is_passed_on_and_not_held(client: httpx.AsyncClient, raw_model: RawModelServer) -> None:
    vectors = {"object": "list", "data": [{"embedding": [0.125] * 1_000_000}], "usage": {"prompt_tokens": 3}}
    raw_model.play(reply_json(vectors))
    answer = await client.post(EMBEDDINGS, json={"model": "m", "input": "x"})
    assert answer.json() == vectors


async def test_an_answer_has_the_time_of_a_run(client: httpx.AsyncClient, raw_model: RawModelServer) -> None:
    raw_model.play(Reply([CHUNK, 1.0] * 20))
    stream = Stream(client, "POST", CHAT, json={**BODY, "stream": True})
    assert (await stream.read_broken(within_s=15)).startswith(CHUNK + CHUNK)


async def test_a_client_that_reads_nothing_keeps_no_place(
    service: Service, raw_model: RawModelServer, http: httpx.AsyncClient, start_replica: StartReplica
) -> None:
    raw_model.play(Reply([CHUNK * 10_000] * 200))
    limits = {"MAX_RUN_S": "2", "MAX_RUNS": "1", "WORKERS": "1", "OPENAI_BASE_URL": raw_model.base_url}
    replica = await asyncio.to_thread(start_replica, {**service.environment, **limits})
    async with httpx.AsyncClient(base_url=replica.url, headers=http.headers, timeout=30) as client:
        await wait_until_known(client)
        async with client.stream("POST", CHAT, json={**BODY, "stream": True}) as unread:
            assert unread.status_code == 200
            check_refusal(await client.post(CHAT, json=BODY), status=503, code="overloaded")
            raw_model.play(GOOD)

            async def is_free() -> bool:
                return (await client.post(CHAT, json=BODY)).status_code == 200

            await eventually(is_free)


async def test_the_sdk_reads_a_refusal(replica: Replica, service: Service, raw_model: RawModelServer) -> None:
    raw_model.play(refuse(400, "Too many stops.", code="stops"))
    async with AsyncOpenAI(base_url=f"{replica.url}/v1", api_key=service.alice_key, max_retries=0) as sdk:
        with pytest.raises(BadRequestError, match=r"Too many stops\.") as raised:
            await sdk.embeddings.create(model="m", input="x")
    assert raised.value.code == "stops"
