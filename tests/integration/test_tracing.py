"""Traces as a collector receives them: one a turn, from the request to the model, and a link at a takeover."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

import httpx
import pytest

from tests.support.collector import Collector, Span, run_collector
from tests.support.model_calls import ModelCalls
from tests.support.server_fixtures import StartReplica, StartValkey
from tests.support.servers import Replica, eventually
from tests.support.service import Service
from tests.support.turns import Stream, ask, get_text, make_conversation, open_client
from tests.support.websockets import open_talk

CLIENT_TRACE = "0af7651916cd43dd8448eb211c80319c"
CLIENT_SPAN = "b7ad6b7169203331"
TRACEPARENT = f"00-{CLIENT_TRACE}-{CLIENT_SPAN}-01"
CREATE = "POST /v1/responses"
RUN = "invoke_agent"
CALL = "chat stand-in"
SECRET = "Xylophone-4711"
OpenReplica: TypeAlias = Callable[..., AbstractAsyncContextManager[tuple[Replica, httpx.AsyncClient]]]
# Spans are sent twice a second instead of every five.
QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "500"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with run_collector() as running:
        yield running


@pytest.fixture
def environment(service: Service, start_valkey: StartValkey, collector: Collector) -> Mapping[str, str]:
    """That of replicas by themselves, which send their spans to the collector."""
    valkey = start_valkey()
    own = {"REDIS_URL": valkey.url, "CACHE_URL": valkey.cache_url, "LEASE_S": "1"}
    return {**service.environment, **own, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **QUICK}


@pytest.fixture
def open_replica(http: httpx.AsyncClient, start_replica: StartReplica, environment: Mapping[str, str]) -> OpenReplica:
    """Opens a replica, with other variables beside those, and a client whom it knows."""

    @asynccontextmanager
    async def open_one(**variables: str) -> AsyncIterator[tuple[Replica, httpx.AsyncClient]]:
        replica = await asyncio.to_thread(start_replica, {**environment, **variables})
        async with open_client(http, replica) as client:
            await eventually(partial(knows_alice, client))
            yield replica, client

    return open_one


async def knows_alice(client: httpx.AsyncClient) -> bool:
    """Whether the keys are published: a replica does that when it starts."""
    return (await client.get("/v1/models")).status_code == 200


async def get_span(collector: Collector, name: str, **attributes: Any) -> Span:
    """The only span of this name, as soon as it has come."""

    def find() -> Span:
        [span] = collector.find(name, **attributes)
        return span

    return await eventually(find, within_s=20)


def list_names(spans: list[Span]) -> list[str]:
    return sorted(span.name for span in spans)


async def test_a_turn_is_one_trace_from_the_request_to_the_model(
    open_replica: OpenReplica, collector: Collector, model_calls: ModelCalls
) -> None:
    async with open_replica() as (_, client):
        conversation = await make_conversation(client)
        body = {"input": f"repeat: {SECRET}", "conversation": conversation, "temperature": 0.5, "max_output_tokens": 50}
        answer = await client.post("/v1/responses", json=body, headers={"traceparent": TRACEPARENT})
        response = answer.json()
        request = await get_span(collector, CREATE)
        run = await get_span(collector, RUN)
        call = await get_span(collector, CALL)
        await eventually(lambda: collector.find("EVALSHA commit"))

    assert (request.trace_id, request.parent_id) == (CLIENT_TRACE, CLIENT_SPAN)
    assert {span.trace_id for span in (run, call)} == {CLIENT_TRACE}
    assert run.parent_id == request.span_id
    assert call.parent_id == run.span_id
    assert (request.kind, run.kind, call.kind) == ("SERVER", "INTERNAL", "CLIENT")
    # The owner of the key may be remembered: `EVALSHA owner` is not in every request.
    assert "EVALSHA admit" in list_names(collector.get_children(request))
    assert "EVALSHA commit" in list_names(collector.get_children(run))

    assert request.attributes["http.route"] == "/v1/responses"
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["eps.request_id"] == answer.headers["x-request-id"]
    about_both = {
        "gen_ai.request.model": "stand-in",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.provider.name": "openai",
        "gen_ai.output.type": "text",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": response["usage"]["input_tokens"],
        "gen_ai.usage.output_tokens": response["usage"]["output_tokens"],
    }
    assert about_both.items() <= run.attributes.items()
    assert about_both.items() <= call.attributes.items()
    about_the_run = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.response.id": response["id"],
        "gen_ai.response.model": "stand-in",
        "gen_ai.conversation.id": conversation,
        "eps.run.ending": "completed",
        "eps.run.is_takeover": False,
    }
    assert about_the_run.items() <= run.attributes.items()
    assert call.attributes["gen_ai.operation.name"] == "chat"
    assert call.attributes["server.address"] == "127.0.0.1"
    assert call.attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert run.resource["service.name"] == "enhanced-prompt-service"
    assert run.resource["service.instance.id"].startswith("rep_")

    # The model's server is told whose work it does; nobody is told what was said.
    assert await model_calls.get_traceparent(SECRET) == call.traceparent
    assert SECRET not in repr(collector.spans)


async def test_a_turn_on_a_websocket_belongs_to_the_trace_of_its_upgrade(
    open_replica: OpenReplica, collector: Collector, service: Service
) -> None:
    async with (
        open_replica() as (replica, _),
        open_talk(replica.url, service.alice_key, traceparent=TRACEPARENT) as talk,
    ):
        response = await talk.ask("Hello")
        turn = await get_span(collector, "WEBSOCKET /v1/responses")
        run = await get_span(collector, RUN)
    assert (turn.trace_id, turn.parent_id, turn.kind) == (CLIENT_TRACE, CLIENT_SPAN, "SERVER")
    assert (run.trace_id, run.parent_id) == (CLIENT_TRACE, turn.span_id)
    assert run.attributes["gen_ai.response.id"] == response["id"]
    assert turn.attributes["eps.request_id"].endswith(".1")


@pytest.mark.long
async def test_a_takeover_is_a_trace_with_a_link_to_the_one_it_goes_on_with(
    open_replica: OpenReplica, collector: Collector
) -> None:
    text = "count to 30 [[standin token_s=0.1]]"
    async with open_replica() as (_, other), open_replica() as (replica, client):
        creator = Stream.of_turn(client, text, headers={"traceparent": TRACEPARENT})
        await creator.see_words(2)
        response_id = await creator.get_id()
        await asyncio.to_thread(replica.kill)
        await creator.read_broken()
        final = await Stream.of_response(other, response_id).read_final()
    assert get_text(final) == " ".join(map(str, range(1, 31)))
    run = await get_span(collector, RUN, eps__run__is_takeover=True)
    call = await get_span(collector, CALL)
    assert [trace_id for trace_id, _ in run.links] == [CLIENT_TRACE]
    assert run.trace_id != CLIENT_TRACE
    assert run.parent_id == ""
    assert call.parent_id == run.span_id
    assert run.attributes["gen_ai.response.id"] == response_id


@pytest.mark.long
async def test_a_handed_over_run_says_so_and_its_successor_links_to_it(
    open_replica: OpenReplica, collector: Collector
) -> None:
    async with open_replica(), open_replica(DRAIN_S="2") as (replica, client):
        stream = Stream.of_turn(client, "count to 40 [[standin token_s=0.1]]", headers={"traceparent": TRACEPARENT})
        await stream.see_words(2)
        replica.terminate()
        first = await get_span(collector, RUN, eps__run__ending="handed_over")
        await stream.leave()
        second = await get_span(collector, RUN, eps__run__is_takeover=True)
        await asyncio.to_thread(replica.wait)
    assert first.trace_id == CLIENT_TRACE
    assert not first.is_error
    assert [trace_id for trace_id, _ in second.links] == [CLIENT_TRACE]


async def test_the_span_of_a_stream_ends_with_it_and_that_of_a_failure_says_why(
    open_replica: OpenReplica, collector: Collector
) -> None:
    async with open_replica() as (_, client):
        await Stream.of_turn(client, "count to 10 [[standin token_s=0.05]]").read()
        run = await get_span(collector, RUN)
        request = await get_span(collector, CREATE)
        assert request.end_ns >= run.start_ns + 400_000_000
        await ask(client, "Hello [[standin status=500]]")
        failed = await get_span(collector, RUN, eps__run__ending="failed")
        failed_request = await get_span(collector, CREATE, http__response__status_code=502)
    assert failed.attributes["error.type"] == "upstream_error"
    assert failed.is_error
    [call] = [span for span in collector.get_children(failed) if span.name == CALL]
    assert call.attributes["error.type"] == "upstream_error"
    assert failed_request.is_error


async def test_what_is_said_is_in_the_spans_only_when_asked_for(
    open_replica: OpenReplica, collector: Collector
) -> None:
    async with open_replica(OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="true") as (_, client):
        await ask(client, f"repeat: {SECRET}", instructions="Be kind.")
        call = await get_span(collector, CALL)
    assert json.loads(call.attributes["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be kind."}]},
        {"role": "user", "parts": [{"type": "text", "content": f"repeat: {SECRET}"}]},
    ]
    assert json.loads(call.attributes["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": SECRET}], "finish_reason": "stop"}
    ]


async def test_chores_probes_and_a_client_without_a_trace(open_replica: OpenReplica, collector: Collector) -> None:
    async with open_replica() as (replica, client):
        await client.get("/readyz")
        await client.get("/healthz")
        await ask(client, "Hello")
        request = await get_span(collector, CREATE)
        await asyncio.to_thread(replica.stop)
    assert request.parent_id == ""
    roots = [span for span in collector.spans if not span.parent_id]
    assert {span.kind for span in roots} == {"SERVER"}
    assert not [span for span in roots if "readyz" in span.name or "healthz" in span.name]
    line = next(json.loads(line) for line in replica.log.splitlines() if '"run_ended"' in line)
    assert line["trace_id"] == request.trace_id


@pytest.mark.parametrize(
    "is_refused",
    [False, pytest.param(True, marks=pytest.mark.long)],
    ids=["no endpoint", "a protocol that it does not speak"],
)
async def test_nothing_is_traced_when_it_is_off(
    open_replica: OpenReplica, collector: Collector, model_calls: ModelCalls, is_refused: bool
) -> None:
    variables = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"} if is_refused else {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}
    async with open_replica(**variables) as (replica, client):
        await client.post("/v1/responses", json={"input": f"repeat: {SECRET}"}, headers={"traceparent": TRACEPARENT})
        assert await model_calls.get_traceparent(SECRET) is None
        await asyncio.to_thread(replica.stop)
    assert collector.spans == []
    assert ('"not_traced"' in replica.log) == is_refused


@pytest.mark.long
async def test_a_collector_that_is_away_holds_up_nothing(open_replica: OpenReplica) -> None:
    async with open_replica(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", DRAIN_S="1") as (replica, client):
        assert (await ask(client, "Hello")).json()["status"] == "completed"
    replica.terminate()
    # The drain, the linger of two seconds, the three seconds that spans are given; the rest is for a busy machine.
    assert await asyncio.to_thread(replica.wait, within_s=20) == 0
