"""Every shape that model servers send, through the whole service: what a client sees, streamed and whole."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from tests.support.model_shapes.calls import TOOLS
from tests.support.model_shapes.shape import CALLED, DONE, GOOD, Shape, call, called, chunk, refuse, said, stream
from tests.support.model_shapes.table import SHAPES
from tests.support.raw_model import RawModelServer, Reply
from tests.support.servers import Replica
from tests.support.service import Service
from tests.support.turns import ask, check_stored, get_text, open_client, wait_until_known

# What nobody but the operator may read, beside what a shape itself says.
SECRETS = ("upstream-secret", "127.0.0.1")


@pytest.fixture(scope="module")
def raw_model() -> Iterator[RawModelServer]:
    """One for the module; each test says what it plays."""
    with RawModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def replica(service: Service, raw_model: RawModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A replica in front of it, with a Redis database of its own."""
    redis_url = service.environment["REDIS_URL"].removesuffix("/0") + "/3"
    # Failures are what is tested here, one after another: none may be refused because of those before it.
    model = {"OPENAI_BASE_URL": raw_model.base_url, "MODEL_BREAKER_FAILURES": "0"}
    environment = {**service.environment, "REDIS_URL": redis_url, **model}
    with Replica(tmp_path_factory.mktemp("shapes"), environment) as running:
        yield running


@pytest.fixture
async def client(http: httpx.AsyncClient, replica: Replica) -> AsyncIterator[httpx.AsyncClient]:
    """Alice at that replica, after her key is published."""
    async with open_client(http, replica) as opened:
        await wait_until_known(opened)
        yield opened


def read_output(response: dict[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    """The text and the calls of a response."""
    calls = [(item["name"], item["arguments"]) for item in response["output"] if item["type"] == "function_call"]
    return get_text(response), calls


def check_response(response: dict[str, Any], shape: Shape) -> None:
    """The response says what the shape says, and how it ended."""
    assert response["status"] == shape.status
    assert read_output(response) == (shape.text, [*shape.calls])
    assert (response["incomplete_details"] or {}).get("reason") == shape.reason
    for item in response["output"]:
        is_cut = item["type"] == "function_call" and shape.status != "completed"
        assert not is_cut or item["status"] == "incomplete"
    if shape.usage is not None:
        usage = response["usage"]
        written = 0 if response.get("eps:usage_estimated") else usage["output_tokens"]  # of the shape nobody counted it
        assert (usage["input_tokens"], written) == shape.usage


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.id} {shape.what}")
@pytest.mark.long
async def test_a_shape_whole(client: httpx.AsyncClient, raw_model: RawModelServer, shape: Shape) -> None:
    raw_model.play(*shape.replies)
    answer = await ask(client, "Hello", **shape.asked)
    assert not any(word in answer.text for word in (*SECRETS, shape.logged) if word)
    if shape.status == "failed":
        code = shape.code if not shape.text else answer.json()["error"]["code"]
        assert (answer.status_code, answer.json()["error"]["code"]) == (shape.http, code)
        if shape.retry_after_s is not None:
            assert shape.retry_after_s - 10 < int(answer.headers["retry-after"]) <= shape.retry_after_s
    else:
        check_response(answer.json(), shape)
    least, most = shape.tries or (1, 5)
    assert least <= len(raw_model.asked) <= most


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.id} {shape.what}")
async def test_a_shape_streamed(
    client: httpx.AsyncClient, raw_model: RawModelServer, replica: Replica, shape: Shape
) -> None:
    raw_model.play(*shape.replies)
    answer = await ask(client, "Hello", stream=True, **shape.asked)
    assert not any(word in answer.text for word in (*SECRETS, shape.logged) if word)
    response = await check_stored(client, answer)
    check_response(response, shape)
    assert (response["error"] is None) == (shape.status != "failed")
    assert shape.logged in replica.log


CALL_AND_OUTPUT: list[dict[str, Any]] = [
    {"type": "function_call", "call_id": "a", "name": "f", "arguments": '{"x":1}'},
    {"type": "function_call_output", "call_id": "a", "output": "1"},
]


def refuse_second_system_message(body: Any) -> Reply:
    """A chat template that takes one system message, first."""
    roles = [message["role"] for message in body["messages"]]
    return refuse(400, "System message must be at the beginning.") if "system" in roles[1:] else GOOD


async def test_a_template_that_takes_one_system_message(client: httpx.AsyncClient, raw_model: RawModelServer) -> None:
    raw_model.play(refuse_second_system_message)
    given = [
        {"type": "message", "role": "developer", "content": "RULE-B."},
        {"type": "message", "role": "user", "content": "one"},
        {"type": "message", "role": "assistant", "content": "two"},
        {"type": "message", "role": "developer", "content": "RULE-C."},
        {"type": "message", "role": "user", "content": "three"},
    ]
    answer = await client.post("/v1/responses", json={"instructions": "RULE-A.", "input": given})
    assert answer.json()["status"] == "completed"
    system, *others = raw_model.bodies[-1]["messages"]
    assert system == {"role": "system", "content": "RULE-A.\n\nRULE-B.\n\nRULE-C."}
    assert [message["content"] for message in others] == ["one", "two", "three"]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_a_thought_before_a_call_goes_back_with_it(
    client: httpx.AsyncClient, raw_model: RawModelServer, name: str
) -> None:
    raw_model.play(stream(chunk({name: "why"}) + called(call("a", "f", '{"x":1}')) + CALLED + DONE), GOOD)
    first = (await ask(client, "Hello", **TOOLS, reasoning={"effort": "low"})).json()
    body = {**TOOLS, "previous_response_id": first["id"], "input": CALL_AND_OUTPUT[1:]}
    second = (await client.post("/v1/responses", json=body)).json()
    assert (second["status"], get_text(second)) == ("completed", "hi")
    [message] = [message for message in raw_model.bodies[-1]["messages"] if "tool_calls" in message]
    assert message[name] == "why"


async def test_a_thought_that_only_the_server_can_read_goes_back_sealed(
    client: httpx.AsyncClient, raw_model: RawModelServer
) -> None:
    signature = {"google": {"thought_signature": "c2lnbmVk"}}
    raw_model.play(stream(called(call("a", "f", '{"x":1}', extra_content=signature)) + CALLED + DONE), GOOD)
    body = {**TOOLS, "store": False, "include": ["reasoning.encrypted_content"]}
    first = (await ask(client, "Hello", **body)).json()
    assert [item["type"] for item in first["output"]] == ["reasoning", "function_call"]
    assert "c2lnbmVk" not in str(first)
    second = await client.post("/v1/responses", json={**body, "input": [*first["output"], CALL_AND_OUTPUT[1]]})
    assert second.json()["status"] == "completed"
    [message] = [message for message in raw_model.bodies[-1]["messages"] if "tool_calls" in message]
    assert message["tool_calls"][0]["extra_content"] == signature


async def test_a_client_that_keeps_its_own_history(client: httpx.AsyncClient, raw_model: RawModelServer) -> None:
    raw_model.play(GOOD)
    thought = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "why"}]}
    given = [{"role": "user", "content": "Hello"}, thought, *CALL_AND_OUTPUT]
    answer = (await client.post("/v1/responses", json={**TOOLS, "input": given})).json()
    assert answer["status"] == "completed"
    message = raw_model.bodies[-1]["messages"][1]
    assert "why" in (message.get("reasoning_content"), message.get("reasoning"))


async def test_text_before_a_call_stays_with_it(client: httpx.AsyncClient, raw_model: RawModelServer) -> None:
    raw_model.play(stream(said("hm") + called(call("a", "f", '{"x":1}')) + CALLED + DONE), GOOD)
    first = (await ask(client, "Hello", **TOOLS)).json()
    body = {**TOOLS, "previous_response_id": first["id"], "input": CALL_AND_OUTPUT[1:]}
    assert (await client.post("/v1/responses", json=body)).json()["status"] == "completed"
    roles = [message["role"] for message in raw_model.bodies[-1]["messages"]]
    assert roles == ["user", "assistant", "tool"]
    assert raw_model.bodies[-1]["messages"][1]["content"] == "hm"


async def test_an_output_behind_the_question_said_again_keeps_its_place(
    client: httpx.AsyncClient, raw_model: RawModelServer
) -> None:
    raw_model.play(GOOD)
    question, (made, output) = {"role": "user", "content": "Hello"}, CALL_AND_OUTPUT
    answer = await client.post("/v1/responses", json={**TOOLS, "input": [question, made, question, output]})
    assert answer.json()["status"] == "completed"
    roles = [message["role"] for message in raw_model.bodies[-1]["messages"]]
    assert roles == ["user", "user", "assistant", "tool"]
