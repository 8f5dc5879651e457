"""The WebSocket: the same turns, events and errors as over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prompts.api.wire.create_response import CreateResponse
from tests.support.model_calls import ModelCalls, open_control
from tests.support.oracle import check_events
from tests.support.refusals import UNKNOWN_CONVERSATION, UNKNOWN_RESPONSE
from tests.support.server_fixtures import StartReplica
from tests.support.servers import StandinServer, eventually
from tests.support.service import Service
from tests.support.turns import Stream, ask, get_text, make_conversation, split_frames
from tests.support.websockets import TERMINAL, Frame, Talk, check_refused, open_talk

TOOL = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}


@pytest.fixture
async def talk(service: Service) -> AsyncIterator[Talk]:
    """A WebSocket of Alice's."""
    async with open_talk(service.url, service.alice_key) as talk:
        yield talk


async def test_it_works(talk: Talk) -> None:
    response = await talk.ask("count to 3")
    assert (get_text(response), response["status"]) == ("1 2 3", "completed")


async def test_its_frames_are_the_data_of_the_events_over_http(talk: Talk, http: httpx.AsyncClient) -> None:
    response = await talk.ask("count to 5")
    replayed = await http.get(f"/v1/responses/{response['id']}", params={"stream": "true"})
    *frames, done = split_frames(replayed.content)
    assert done == b"data: [DONE]\n\n"
    assert talk.raw == [frame.partition(b"\ndata: ")[2].removesuffix(b"\n\n") for frame in frames]


async def test_a_turn_continues_one_over_http_and_is_continued_there(
    talk: Talk, http: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    first = (await ask(other, "My name is Ada.")).json()
    second = await talk.ask("I like tea.", previous_response_id=first["id"])
    third = (await ask(other, "What is my name?", previous_response_id=second["id"])).json()
    assert get_text(third) == "Your name is Ada."
    conversation_id = await make_conversation(http)
    await talk.ask("My name is Bob.", conversation=conversation_id)
    assert get_text((await ask(other, "What is my name?", conversation=conversation_id)).json()) == "Your name is Bob."


async def test_what_is_not_stored_is_remembered(talk: Talk, http: httpx.AsyncClient, service: Service) -> None:
    first = await talk.ask("My name is Ada.", store=False)
    second = await talk.ask("I like tea.", store=False, previous_response_id=first["id"])
    assert second["previous_response_id"] == first["id"]
    third = await talk.ask("What is my name?", store=False, previous_response_id=second["id"])
    assert get_text(third) == "Your name is Ada."
    assert third["eps:model_input"]["history_items"] == 4
    refused = await ask(http, "What is my name?", previous_response_id=second["id"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "previous_response_not_found")
    assert (await http.get(f"/v1/responses/{third['id']}")).status_code == 404
    async with open_talk(service.url, service.alice_key) as elsewhere:
        await elsewhere.create("What is my name?", store=False, previous_response_id=second["id"])
        await elsewhere.be_refused(status=404, code="previous_response_not_found", param="previous_response_id")
        assert get_text(await elsewhere.ask("My name is Bob. What is my name?", store=False)) == "Your name is Bob."


async def test_a_warm_up_asks_no_model_and_can_be_continued(talk: Talk, model_calls: ModelCalls) -> None:
    for store in (True, False):
        warm = await talk.ask("My name is Ada.", generate=False, store=store)
        assert (warm["status"], warm["output"], warm["usage"]["total_tokens"]) == ("completed", [], 0)
        assert "eps:usage_estimated" not in warm
        assert await model_calls.list_bodies() == []
        answer = await talk.ask("What is my name?", store=store, previous_response_id=warm["id"])
        assert get_text(answer) == "Your name is Ada."
        await model_calls.forget()


async def test_turns_wait_for_the_one_before(talk: Talk) -> None:
    for number in range(1, 4):
        await talk.create(f"count to {number} [[standin token_s=0.02]]")
    assert [get_text(await talk.read_final()) for _ in range(3)] == ["1", "1 2", "1 2 3"]


async def test_lanes_run_at_once_and_name_themselves(talk: Talk) -> None:
    """A slow lane holds up none of the others; in each lane turns keep their order."""
    await talk.create("count to 100 [[standin token_s=0.05]]", store=False)
    for lane in ("a", "b"):
        for number in (1, 2):
            await talk.create(f"count to {number}", stream_id=lane)
    lanes: dict[str | None, list[Frame]] = {None: [], "a": [], "b": []}
    while sum(frame["type"] == "response.completed" for frame in [*lanes["a"], *lanes["b"]]) < 4:
        frame = await talk.read()
        assert list(frame)[-1] == "stream_id" or "stream_id" not in frame
        lanes[frame.pop("stream_id", None)].append(frame)
    assert lanes[None][-1]["type"] != "response.completed"
    for lane in ("a", "b"):
        ends = [at + 1 for at, frame in enumerate(lanes[lane]) if frame["type"] == "response.completed"]
        assert get_text(check_events(lanes[lane][: ends[0]])) == "1"
        assert get_text(check_events(lanes[lane][ends[0] :])) == "1 2"


async def test_a_lane_forks_from_another_ones_response(talk: Talk) -> None:
    main = await talk.ask("My name is Ada.", store=False)
    await talk.create(
        "I am 30. [[standin token_s=0.05]]", store=False, stream_id="main", previous_response_id=main["id"]
    )
    await talk.create("What is my name?", store=False, stream_id="critic", previous_response_id=main["id"])
    texts: dict[str, str] = {}
    while len(texts) < 2:
        frame = await talk.read()
        if frame["type"] == "response.completed":
            texts[frame["stream_id"]] = get_text(frame["response"])
    assert texts["critic"] == "Your name is Ada."


@pytest.mark.parametrize("stream_id", ["", " ", "a b", "ä", "x" * 257, 1, ["a"]])
async def test_a_lane_has_a_plain_name(talk: Talk, stream_id: Any) -> None:
    await talk.create(stream_id=stream_id)
    await talk.be_refused(status=400, code="invalid_stream_id", param="stream_id")


async def test_a_connection_has_so_many_lanes(talk: Talk) -> None:
    names = [f"lane.{number}" for number in range(32)]
    for name in names:
        await talk.create("count to 1", stream_id=name, store=False)
    await talk.create("count to 1", stream_id="one-more")
    refused, done = None, 0
    while refused is None or done < len(names):
        frame = await talk.read()
        done += frame["type"] == "response.completed"
        if frame["type"] == "error":
            refused = frame
            check_refused(refused, status=400, code="websocket_stream_limit_reached", param="stream_id")
    assert refused["stream_id"] == "one-more"
    await talk.ask("The lane without a name is not counted.")
    await talk.create("So is one that is used again.", stream_id=names[0])
    assert (await talk.see("response.completed"))["stream_id"] == names[0]


async def test_so_many_turns_may_wait(talk: Talk) -> None:
    await talk.create("count to 2000 [[standin token_s=0.05]]", store=False)
    await talk.see("response.created")
    for _ in range(65):
        await talk.create("count to 1")
    while (frame := await talk.read())["type"] != "error":
        pass
    check_refused(frame, status=429, code="websocket_queue_full")
    assert int(frame["headers"]["retry-after"]) >= 1


async def test_calls_of_a_turn_that_is_not_stored_can_be_answered(talk: Talk) -> None:
    body = {"store": False, "tools": [TOOL]}
    called = await talk.ask('Call get_weather city="Paris"', **body)
    (call,) = called["output"]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "It rains."}
    answered = await talk.ask([output], previous_response_id=called["id"], **body)
    assert "It rains." in get_text(answered)
    again = await talk.ask("What did the tool say?", previous_response_id=answered["id"], **body)
    assert again["eps:model_input"]["history_items"] == 4


async def test_a_failed_continuation_forgets_what_it_continued(talk: Talk) -> None:
    """A refused one, and one whose model fails; the specification demands it of both."""
    for broken in (
        [{"type": "function_call_output", "call_id": "call_nobody", "output": "x"}],
        "Hi [[standin status=500]]",
    ):
        first = await talk.ask("My name is Ada.", store=False)
        continued = {"store": False, "previous_response_id": first["id"]}
        await talk.create(broken, **continued)
        last = (await talk.read_events())[-1]
        assert last["type"] == ("error" if isinstance(broken, list) else "response.failed"), last
        await talk.create("What is my name?", **continued)
        await talk.be_refused(status=404, code="previous_response_not_found", param="previous_response_id")


async def test_a_chain_may_mix_what_is_stored_and_what_is_not(talk: Talk, other: httpx.AsyncClient) -> None:
    stored = await talk.ask("My name is Ada.")
    passing = await talk.ask("I like tea.", store=False, previous_response_id=stored["id"])
    next_one = await talk.ask("What is my name?", store=False, previous_response_id=passing["id"])
    assert get_text(next_one) == "Your name is Ada."
    assert next_one["eps:model_input"]["history_items"] == 4
    kept = await talk.ask("I am 30.", previous_response_id=next_one["id"])
    assert kept["previous_response_id"] == next_one["id"]
    assert kept["eps:model_input"]["history_items"] == 6
    elsewhere = (await ask(other, "What is my name?", previous_response_id=kept["id"])).json()
    assert get_text(elsewhere) == "Your name is Ada."
    assert elsewhere["eps:model_input"]["history_items"] == 8
    items = (await other.get(f"/v1/responses/{kept['id']}/input_items", params={"order": "asc"})).json()["data"]
    assert [item["content"][0]["text"] for item in items if item["role"] == "user"] == [
        "I like tea.",
        "What is my name?",
        "I am 30.",
    ]


async def test_what_is_remembered_fits_the_window(service: Service, start_replica: StartReplica) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "HISTORY_TOKENS": "200"})
    async with open_talk(replica.url, service.alice_key) as talk:
        response = await talk.ask("My name is Ada.", store=False)
        for number in range(4):
            response = await talk.ask(f"{number} " + "word " * 60, store=False, previous_response_id=response["id"])
        account = response["eps:model_input"]
        assert account["history_tokens"] <= 200
        assert account["history_items"] in (1, 2, 3)
        assert account["history_items"] + account["dropped_items"] == 8


@pytest.mark.parametrize(
    ("sent", "status", "code", "param"),
    [
        (b"\x00\x01", 400, "invalid_request_error", None),
        (b'{"type":"response.create","input":"Hi"}', 400, "invalid_request_error", None),
        ("", 400, "invalid_request_error", None),
        ("Hello", 400, "invalid_request_error", None),
        ("[1]", 400, "invalid_request_error", None),
        ("null", 400, "invalid_request_error", None),
        ('{"type":"response.create","input":"Hi"', 400, "invalid_request_error", None),
        ("[" * 5000, 400, "invalid_request_error", None),
        ('{"type":"response.create","input":' + "[" * 5000 + "]" * 5000 + "}", 400, "invalid_request_error", None),
        ('{"input":"Hi"}', 400, "invalid_request_error", "type"),
        ('{"type":"response.cancel"}', 400, "invalid_request_error", "type"),
        ('{"type":["response.create"]}', 400, "invalid_request_error", "type"),
        ('{"type":"response.create"}', 400, "invalid_request_error", "input"),
        ('{"type":"response.create","input":[]}', 400, "invalid_request_error", "input"),
        ('{"type":"response.create","input":1}', 400, "invalid_request_error", "input"),
        ('{"type":"response.create","input":"\\u0000"}', 400, "invalid_request_error", "input"),
        ('{"type":"response.create","input":"Hi","temperature":3}', 400, "invalid_request_error", "temperature"),
        ('{"type":"response.create","input":"Hi","generate":"no"}', 400, "invalid_request_error", "generate"),
        ('{"type":"response.create","input":"Hi","stream":true}', 400, "unsupported_parameter", "stream"),
        ('{"type":"response.create","input":"Hi","stream":false}', 400, "unsupported_parameter", "stream"),
        ('{"type":"response.create","input":"Hi","stream_options":{}}', 400, "unsupported_parameter", "stream_options"),
        ('{"type":"response.create","input":"Hi","background":true}', 400, "unsupported_parameter", "background"),
        ('{"type":"response.create","input":"Hi","background":false}', 400, "unsupported_parameter", "background"),
        ('{"type":"response.create","input":"Hi","model":"nobody"}', 404, "model_not_found", "model"),
        (
            '{"type":"response.create","input":"Hi","conversation":"resp_1"}',
            400,
            "invalid_request_error",
            "conversation",
        ),
        (
            f'{{"type":"response.create","input":"Hi","previous_response_id":"{UNKNOWN_RESPONSE}"}}',
            404,
            "previous_response_not_found",
            "previous_response_id",
        ),
        (
            f'{{"type":"response.create","input":"Hi","conversation":"{UNKNOWN_CONVERSATION}"}}',
            404,
            "conversation_not_found",
            "conversation",
        ),
    ],
)
async def test_what_is_wrong_is_refused_and_the_socket_stays_open(
    talk: Talk, sent: Any, status: int, code: str, param: str | None
) -> None:
    await talk.send(sent)
    await talk.be_refused(status=status, code=code, param=param)
    assert get_text(await talk.ask("count to 2")) == "1 2"


async def test_a_refusal_says_what_it_says_over_http(talk: Talk, http: httpx.AsyncClient) -> None:
    for body in ({"temperature": 3}, {"model": "nobody"}, {"tools": [{"type": "function"}]}, {"metadata": {"a": 1}}):
        over_http = (await http.post("/v1/responses", json={"input": "Hi", **body})).json()["error"]
        await talk.create("Hi", **body)
        assert (await talk.read())["error"] == over_http


async def test_what_is_not_known_is_left_out_and_named(talk: Talk) -> None:
    response = await talk.ask("Hello", client_metadata={"a": "b"}, novelty=1)
    assert response["eps:ignored"] == ["client_metadata", "novelty"]


async def test_a_failure_of_the_model_ends_the_turn_and_not_the_socket(talk: Talk) -> None:
    await talk.create("Hello [[standin error_after=2]]")
    failed = (await talk.read_events())[-1]
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert get_text(await talk.ask("count to 2")) == "1 2"


async def test_a_busy_conversation_is_refused_with_the_response_that_is_active(
    talk: Talk, http: httpx.AsyncClient, service: Service
) -> None:
    conversation_id = await make_conversation(http)
    await talk.create("count to 100 [[standin token_s=0.05]]", conversation=conversation_id)
    active_id = (await talk.see("response.created"))["response"]["id"]
    async with open_talk(service.url, service.alice_key) as second:
        await second.create("Hello", conversation=conversation_id)
        refused = await second.be_refused(status=409, code="conversation_locked", param="conversation")
        assert refused["error"]["active_response_id"] == active_id
        assert refused["headers"]["x-should-retry"] == "false"
        cancelled = await http.post(f"/v1/responses/{active_id}/cancel")
        assert cancelled.json()["status"] == "cancelled"
        last = (await talk.read_events())[-1]
        assert (last["type"], last["response"]["status"]) == ("response.incomplete", "cancelled")
        await second.ask("Hello", conversation=conversation_id)


async def test_what_is_stored_goes_on_when_its_client_leaves(
    service: Service, http: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    """It can be followed at another replica, and gives way to the next turn of its conversation."""
    conversation_id = await make_conversation(http)
    async with open_talk(service.url, service.alice_key) as talk:
        await talk.create("count to 60 [[standin token_s=0.05]]", conversation=conversation_id)
        response_id = (await talk.see("response.created"))["response"]["id"]
        await talk.see("response.output_text.delta")
    stream = Stream.of_response(other, response_id)
    await stream.see_words(3)
    assert [frame.partition(b"\ndata: ")[2].strip() for frame in split_frames(stream.raw)][: len(talk.raw)] == talk.raw
    await stream.leave()

    async def is_free() -> bool:
        return (await ask(http, "Hello", conversation=conversation_id)).status_code == 200

    await eventually(is_free)
    assert (await http.get(f"/v1/responses/{response_id}")).json()["status"] in ("cancelled", "completed")


@pytest.mark.usefixtures("quiet_model")
@pytest.mark.parametrize("way", ["close", "abort"])
async def test_what_is_not_stored_stops_when_its_client_leaves(
    service: Service, standin: StandinServer, way: str
) -> None:
    async with open_talk(service.url, service.alice_key) as talk:
        await talk.create("count to 500 [[standin token_s=0.05]]", store=False)
        await talk.see("response.output_text.delta")
        if way == "abort":
            talk.connection.transport.abort()
    async with open_control(standin) as control:
        answer = await control.get("/_control/active", params={"until": "0", "within_s": "5"})
    assert answer.json() == {"active": 0}


async def test_a_compacted_history_begins_a_new_chain(talk: Talk, http: httpx.AsyncClient) -> None:
    told = [{"role": "user", "content": "My name is Ada."}, {"role": "assistant", "content": "Hello Ada."}]
    compacted = (await http.post("/v1/responses/compact", json={"model": "stand-in", "input": told})).json()
    given = [*compacted["output"], {"role": "user", "content": "I like tea."}]
    first = await talk.ask(given, store=False)
    second = await talk.ask("What is my name?", store=False, previous_response_id=first["id"])
    assert get_text(second) == "Your name is Ada."


async def test_a_history_that_is_not_stored_is_compacted_by_itself(talk: Talk) -> None:
    body = {"store": False, "context_management": [{"type": "compaction", "compact_threshold": 200}]}
    response = await talk.ask("My name is Ada.", **body)
    kinds: list[str] = []
    for number in range(3):
        response = await talk.ask(f"{number} " + "word " * 200, previous_response_id=response["id"], **body)
        kinds += [item["type"] for item in response["output"]]
    assert "compaction" in kinds
    last = await talk.ask("What is my name?", previous_response_id=response["id"], **body)
    assert get_text(last) == "Your name is Ada."


async def test_what_a_model_wants_back_with_its_calls_is_remembered(talk: Talk, model_calls: ModelCalls) -> None:
    """As in a stored history: the client, which sends only what is new, has not seen it."""
    body = {"store": False, "tools": [TOOL]}
    called = await talk.ask('Call get_weather city="Paris" [[standin reason=pomegranate]]', **body)
    assert "pomegranate" not in str(called["output"])
    (call,) = called["output"]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "It rains."}
    await talk.ask([output], previous_response_id=called["id"], **body)
    [calling] = [message for message in (await model_calls.list_bodies())[-1]["messages"] if message.get("tool_calls")]
    assert calling["reasoning_content"] == "pomegranate"


async def test_a_large_answer_is_one_message(talk: Talk) -> None:
    response = await talk.ask("write 20000 words [[standin tokens_at_once=500]]", store=False)
    assert len(get_text(response).split()) == 20_000


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
FIELDS = st.sampled_from([*CreateResponse.__struct_fields__, "type", "stream_id", "generate", "novelty"])
CREATES = st.dictionaries(FIELDS, ANYTHING, max_size=6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.lists(st.binary() | st.text() | CREATES | ANYTHING, min_size=1, max_size=5))
async def test_whatever_is_sent_is_answered_and_costs_nobody_the_connection(
    service: Service, frames: list[Any]
) -> None:
    async with open_talk(service.url, service.alice_key) as talk:
        for sent in frames:
            is_event = isinstance(sent, dict)
            event = {"type": "response.create", "store": False, **sent} if is_event else sent
            text = sent if isinstance(sent, str | bytes) else json.dumps(event)
            await talk.send(text.encode("utf-8", "replace").decode() if isinstance(text, str) else text)
            last = (await talk.read_events())[-1]
            assert last["type"] in TERMINAL or last["status"] < 500, (sent, last)
        assert get_text(await talk.ask("count to 1", stream_id="last", store=False)) == "1"


async def test_what_is_deleted_behind_what_is_remembered_is_not_found(talk: Talk, http: httpx.AsyncClient) -> None:
    stored = await talk.ask("My name is Ada.")
    passing = await talk.ask("I like tea.", store=False, previous_response_id=stored["id"])
    await http.delete(f"/v1/responses/{stored['id']}")
    await talk.create("What is my name?", store=False, previous_response_id=passing["id"])
    refused = await talk.be_refused(status=404, code="previous_response_not_found", param="previous_response_id")
    assert passing["id"] in refused["error"]["message"]
