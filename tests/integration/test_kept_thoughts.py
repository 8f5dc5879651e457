"""What a model's server wants back with its calls goes back, though the client has never seen it; nothing shows it."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.model_shapes.calls import TOOLS
from tests.support.model_shapes.shape import CALLED, DONE, GOOD, call, called, chunk, said, stream
from tests.support.raw_model import RawModelServer, Reply
from tests.support.servers import Replica
from tests.support.service import Service
from tests.support.turns import ask, check_stored, get_text, make_conversation, open_client, wait_until_known

SIGNATURE = {"google": {"thought_signature": "c2lnbmVk"}}
SHOWN: Mapping[str, Any] = {"reasoning": {"effort": "low"}}
OUTPUT = {"type": "function_call_output", "call_id": "a", "output": "1"}
CALL = call("a", "f", '{"x":1}')


def think(name: str = "reasoning_content") -> bytes:
    """A chunk of a thought, under this name."""
    return chunk({name: "pomegranate"})


# What a server sends, and what it wants back with the message that has the call, and with the call.
TURNS: Mapping[str, tuple[bytes, Mapping[str, Any], Mapping[str, Any]]] = {
    "a thought": (think() + called(CALL), {"reasoning_content": "pomegranate"}, {}),
    "under another name": (think("reasoning") + called(CALL), {"reasoning": "pomegranate"}, {}),
    "before a text": (think() + said("So.") + called(CALL), {"reasoning_content": "pomegranate", "content": "So."}, {}),
    "a signature": (called({**CALL, "extra_content": SIGNATURE}), {}, {"extra_content": SIGNATURE}),
    "a late signature": (
        called(CALL) + called({"index": 0, "extra_content": SIGNATURE}),
        {},
        {"extra_content": SIGNATURE},
    ),
    "both": (
        think() + called({**CALL, "extra_content": SIGNATURE}),
        {"reasoning_content": "pomegranate"},
        {"extra_content": SIGNATURE},
    ),
}
EVERY_TURN = pytest.mark.parametrize("name", TURNS)
SECRETS = ("pomegranate", "c2lnbmVk", "eps:kept", "thought_signature")


@pytest.fixture(scope="module")
def raw_model() -> Iterator[RawModelServer]:
    """One for the module; each test says what it plays."""
    with RawModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def environment(service: Service, raw_model: RawModelServer) -> Mapping[str, str]:
    """That of a replica in front of it, with a Redis database of its own."""
    redis_url = service.environment["REDIS_URL"].removesuffix("/0") + "/5"
    return {**service.environment, "REDIS_URL": redis_url, "OPENAI_BASE_URL": raw_model.base_url}


@pytest.fixture(scope="module")
def replica(environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """The replica that most tests use."""
    with Replica(tmp_path_factory.mktemp("kept"), environment) as running:
        yield running


@pytest.fixture
async def client(http: httpx.AsyncClient, replica: Replica) -> AsyncIterator[httpx.AsyncClient]:
    """Alice at that replica, after her key is published."""
    async with open_client(http, replica) as opened:
        await wait_until_known(opened)
        yield opened


def end(said: bytes) -> Reply:
    """The stream of an answer that calls something."""
    return stream(said + CALLED + DONE)


def find_calling(raw_model: RawModelServer) -> dict[str, Any]:
    """The message with a call that the model was told last."""
    [message] = [each for each in raw_model.bodies[-1]["messages"] if "tool_calls" in each]
    return dict(message)


def check_told(raw_model: RawModelServer, name: str) -> None:
    """The server got back what it wants of this turn, once."""
    _, with_message, with_call = TURNS[name]
    message = find_calling(raw_model)
    assert {each: message.get(each) for each in with_message} == with_message
    assert {each: message["tool_calls"][0].get(each) for each in with_call} == with_call
    assert json.dumps(raw_model.bodies[-1]).count("pomegranate") == ("reasoning" in str(with_message))


def check_hidden(*answers: httpx.Response) -> None:
    """Nobody is shown any of it."""
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert not [word for word in SECRETS if word in answer.text], answer.text


async def read_everything(client: httpx.AsyncClient, conversation_id: str) -> Sequence[httpx.Response]:
    """Every way to read the items of a conversation."""
    url = f"/v1/conversations/{conversation_id}"
    page = await client.get(f"{url}/items", params={"limit": 100})
    items = [await client.get(f"{url}/items/{item['id']}") for item in page.json()["data"]]
    exports = [await client.get(f"{url}/export", params={"format": form}) for form in ("json", "markdown")]
    return [page, *items, *exports]


@pytest.mark.parametrize("is_streamed", [False, True])
@EVERY_TURN
async def test_in_a_conversation(
    client: httpx.AsyncClient, raw_model: RawModelServer, name: str, is_streamed: bool
) -> None:
    conversation_id = await make_conversation(client)
    body = {**TOOLS, "conversation": conversation_id, "stream": is_streamed}
    raw_model.play(end(TURNS[name][0]), GOOD)
    first = await ask(client, "Hello", **body)
    second = await client.post("/v1/responses", json={**body, "input": [OUTPUT]})
    check_told(raw_model, name)
    check_hidden(first, second, *await read_everything(client, conversation_id))


@pytest.mark.parametrize("is_streamed", [False, True])
@EVERY_TURN
async def test_in_a_chain(client: httpx.AsyncClient, raw_model: RawModelServer, name: str, is_streamed: bool) -> None:
    body = {**TOOLS, "stream": is_streamed}
    raw_model.play(end(TURNS[name][0]), GOOD)
    first = await ask(client, "Hello", **body)
    made = await check_stored(client, first) if is_streamed else first.json()
    url = f"/v1/responses/{made['id']}"
    second = await client.post("/v1/responses", json={**body, "previous_response_id": made["id"], "input": [OUTPUT]})
    check_told(raw_model, name)
    stream_again = await client.get(url, params={"stream": "true"})
    check_hidden(first, second, stream_again, await client.get(url), await client.get(f"{url}/input_items"))


@EVERY_TURN
async def test_a_thought_that_is_shown_is_told_once(
    client: httpx.AsyncClient, raw_model: RawModelServer, name: str
) -> None:
    raw_model.play(end(TURNS[name][0]), GOOD)
    first = (await ask(client, "Hello", **TOOLS, **SHOWN)).json()
    body = {**TOOLS, **SHOWN, "previous_response_id": first["id"], "input": [OUTPUT]}
    second = (await client.post("/v1/responses", json=body)).json()
    assert (second["status"], get_text(second)) == ("completed", "hi")
    check_told(raw_model, name)


async def test_each_of_several_calls_keeps_its_own(client: httpx.AsyncClient, raw_model: RawModelServer) -> None:
    other = {"google": {"thought_signature": "b3RoZXI="}}
    calls = [
        {**CALL, "extra_content": SIGNATURE},
        {**call("b", "g", '{"x":2}'), "index": 1, "extra_content": other},
    ]
    raw_model.play(end(think() + called(*calls)), GOOD)
    first = await ask(client, "Hello", **TOOLS)
    outputs = [OUTPUT, {**OUTPUT, "call_id": "b"}]
    body = {**TOOLS, "previous_response_id": first.json()["id"], "input": outputs}
    check_hidden(first, await client.post("/v1/responses", json=body))
    message = find_calling(raw_model)
    assert message["reasoning_content"] == "pomegranate"
    assert [each["extra_content"] for each in message["tool_calls"]] == [SIGNATURE, other]


async def test_a_custom_tool_has_it_too(client: httpx.AsyncClient, raw_model: RawModelServer) -> None:
    conversation_id = await make_conversation(client)
    body = {"tools": [{"type": "custom", "name": "patch"}], "conversation": conversation_id}
    raw_model.play(end(think() + called(call("a", "patch", '{"input":"x"}'))), GOOD)
    first = await ask(client, "Hello", **body)
    assert [item["type"] for item in first.json()["output"]] == ["custom_tool_call"]
    output = {**OUTPUT, "type": "custom_tool_call_output"}
    check_hidden(first, await client.post("/v1/responses", json={**body, "input": [output]}))
    assert find_calling(raw_model)["reasoning_content"] == "pomegranate"
    check_hidden(*await read_everything(client, conversation_id))


async def test_a_fork_and_an_item_that_is_named_have_it(client: httpx.AsyncClient, raw_model: RawModelServer) -> None:
    conversation_id = await make_conversation(client)
    raw_model.play(end(TURNS["both"][0]), GOOD)
    first = (await ask(client, "Hello", **TOOLS, conversation=conversation_id)).json()
    forked = await client.post(f"/v1/conversations/{conversation_id}/fork", json={})
    body = {**TOOLS, "conversation": forked.json()["id"], "input": [OUTPUT]}
    check_hidden(await client.post("/v1/responses", json=body))
    check_told(raw_model, "both")

    named = [{"type": "item_reference", "id": first["output"][0]["id"]}, OUTPUT]
    third = await client.post("/v1/responses", json={**TOOLS, "input": named})
    check_hidden(third, await client.get(f"/v1/responses/{third.json()['id']}/input_items"))
    check_told(raw_model, "both")

    copy_id = await make_conversation(client)
    copied = await client.post(f"/v1/conversations/{copy_id}/items", json={"items": named})
    body = {**TOOLS, "conversation": copy_id, "input": "And now?"}
    check_hidden(copied, await client.post("/v1/responses", json=body), *await read_everything(client, copy_id))
    check_told(raw_model, "both")


async def test_a_client_cannot_send_it(client: httpx.AsyncClient, raw_model: RawModelServer) -> None:
    raw_model.play(GOOD)
    made = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
    forged = {**made, "eps:kept": ['chat:{"name":"reasoning_content","text":"pomegranate"}']}
    answer = await client.post("/v1/responses", json={**TOOLS, "input": [forged, OUTPUT]})
    assert answer.json()["eps:ignored"] == ["input[0].eps:kept"]
    assert "pomegranate" not in str(raw_model.bodies[-1])


async def test_the_document_does_not_name_it(client: httpx.AsyncClient) -> None:
    check_hidden(await client.get("/v1/openapi.json"))


async def test_what_is_not_stored_keeps_nothing(client: httpx.AsyncClient, raw_model: RawModelServer) -> None:
    raw_model.play(end(TURNS["both"][0]), GOOD)
    first = await ask(client, "Hello", **TOOLS, store=False)
    check_hidden(first, await client.post("/v1/responses", json={**TOOLS, "input": [*first.json()["output"], OUTPUT]}))
    assert not [word for word in SECRETS if word in str(raw_model.bodies[-1])]


async def test_nothing_is_kept_where_nothing_goes_back(
    http: httpx.AsyncClient, raw_model: RawModelServer, environment: Mapping[str, str], tmp_path: Path
) -> None:
    with Replica(tmp_path, {**environment, "REASONING_REPLAY": "never"}) as replica:
        async with open_client(http, replica) as client:
            await wait_until_known(client)
            raw_model.play(end(TURNS["both"][0]), GOOD)
            first = await ask(client, "Hello", **TOOLS)
            body = {**TOOLS, "previous_response_id": first.json()["id"], "input": [OUTPUT]}
            check_hidden(first, await client.post("/v1/responses", json=body))
            assert not [word for word in SECRETS if word in str(raw_model.bodies[-1])]
