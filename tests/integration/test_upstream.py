"""The model's server fails in every way the stand-in knows: what a client sees."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.processes import find_free_ports
from tests.support.server_fixtures import StartReplica
from tests.support.servers import StandinServer, eventually
from tests.support.service import Service
from tests.support.turns import ask, check_free_and_unmoved, check_stored, get_text, make_conversation

pytestmark = pytest.mark.usefixtures("quiet_model")

COUNTED = "1 2 3 4 5 6 7 8 9"


@pytest.fixture
async def standin_control(standin: StandinServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client for the stand-in's control endpoints."""
    async with httpx.AsyncClient(base_url=standin.url, timeout=30) as client:
        await client.delete("/_control/calls")
        yield client


async def fail_whole(http: httpx.AsyncClient, text: str) -> httpx.Response:
    """A whole turn that fails; returns its error."""
    conversation_id = await make_conversation(http)
    answer = await ask(http, text, conversation=conversation_id)
    await check_free_and_unmoved(http, conversation_id)
    return answer


async def fail_streamed(http: httpx.AsyncClient, text: str) -> dict[str, Any]:
    """A streamed turn that fails; returns the failed response."""
    conversation_id = await make_conversation(http)
    answer = await ask(http, text, conversation=conversation_id, stream=True)
    failed = await check_stored(http, answer)
    assert failed["status"] == "failed"
    assert failed["eps:usage_estimated"] is True
    await check_free_and_unmoved(http, conversation_id)
    return failed


@pytest.mark.parametrize(
    ("directive", "status", "code", "response_code"),
    [
        ("status=500", 502, "upstream_error", "server_error"),
        ("status=503", 502, "upstream_error", "server_error"),
        ("status=401", 502, "upstream_error", "server_error"),
        ("status=403", 502, "upstream_error", "server_error"),
        ("status=404", 502, "upstream_error", "server_error"),
        ("status=400", 400, "invalid_prompt", "invalid_prompt"),
        ("status=429", 429, "rate_limit_exceeded", "rate_limit_exceeded"),
        ("headers_s=60", 504, "upstream_timeout", "server_error"),
        ("first_token_s=60", 504, "upstream_timeout", "server_error"),
        ("cut_after=0", 502, "upstream_error", "server_error"),
        ("end_after=0", 502, "upstream_error", "server_error"),
        ("silence_after=0", 504, "upstream_timeout", "server_error"),
        ("garbage_after=0", 502, "upstream_error", "server_error"),
        ("error_after=0", 502, "upstream_error", "server_error"),
    ],
)
async def test_a_model_that_fails_before_its_first_word(
    http: httpx.AsyncClient,
    standin_control: httpx.AsyncClient,
    *,
    directive: str,
    status: int,
    code: str,
    response_code: str,
) -> None:
    text = f"count to 9 [[standin {directive}]]"
    whole, failed = await asyncio.gather(fail_whole(http, text), fail_streamed(http, text))
    assert (whole.status_code, whole.json()["error"]["code"]) == (status, code)
    assert failed["error"] == {"code": response_code, "message": whole.json()["error"]["message"]}
    assert failed["output"] == []
    assert (await standin_control.get("/_control/active?until=0")).json() == {"active": 0}


@pytest.mark.parametrize(
    ("directive", "status", "code"),
    [
        ("cut_after=3", 502, "upstream_error"),
        ("end_after=3", 502, "upstream_error"),
        ("garbage_after=3", 502, "upstream_error"),
        ("error_after=3", 502, "upstream_error"),
        ("silence_after=3", 504, "upstream_timeout"),
    ],
)
async def test_text_from_before_a_failure_is_kept(
    http: httpx.AsyncClient, standin_control: httpx.AsyncClient, directive: str, status: int, code: str
) -> None:
    text = f"count to 9 [[standin token_s=0.02 {directive}]]"
    whole, failed = await asyncio.gather(fail_whole(http, text), fail_streamed(http, text))
    assert (whole.status_code, whole.json()["error"]["code"]) == (status, code)
    assert failed["error"]["code"] == "server_error"
    assert get_text(failed)
    assert COUNTED.startswith(get_text(failed))
    assert [item["status"] for item in failed["output"]] == ["incomplete"]
    assert (await standin_control.get("/_control/active?until=0")).json() == {"active": 0}
    outcomes = [call["outcome"] for call in (await standin_control.get("/_control/calls")).json()]
    # Each failed turn, and the one after it.
    assert sorted(outcomes) == ["disconnected" if "silence" in directive else "failed"] * 2 + ["finished"] * 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("directive", ["status=500", "status=503", "status=503 retry_after=1"])
async def test_a_short_failure_of_the_models_server_is_never_noticed(
    http: httpx.AsyncClient, standin_control: httpx.AsyncClient, directive: str, stream: bool
) -> None:
    text = f"count to 9 [[standin fail=1 {directive} key=short-{directive.replace(' ', '-')}-{stream}]]"
    answer = await ask(http, text, stream=stream)
    response = await check_stored(http, answer) if stream else answer.json()
    assert response["status"] == "completed"
    assert get_text(response) == COUNTED
    assert len((await standin_control.get("/_control/calls")).json()) == 2


async def test_a_request_that_the_model_refuses_is_not_repeated(
    http: httpx.AsyncClient, standin_control: httpx.AsyncClient
) -> None:
    for directive in ("status=400", "status=401", "status=429 retry_after=1"):
        await ask(http, f"Hello [[standin {directive}]]")
    assert len((await standin_control.get("/_control/calls")).json()) == 3


@pytest.mark.timed
async def test_a_rate_limit_is_reported_at_once_with_its_pause(http: httpx.AsyncClient) -> None:
    began = time.monotonic()
    whole = await fail_whole(http, "Hello [[standin status=429 retry_after=7]]")
    failed = await fail_streamed(http, "Hello [[standin status=429 retry_after=7]]")
    assert time.monotonic() - began < 2
    assert whole.headers["retry-after"] == "7"
    assert failed["error"]["code"] == "rate_limit_exceeded"


async def test_what_a_server_does_not_report_is_estimated(http: httpx.AsyncClient) -> None:
    final = await check_stored(http, await ask(http, "count to 9 [[standin no_usage]]", stream=True))
    assert final["status"] == "completed"
    assert final["usage"]["input_tokens"] > 0
    assert final["usage"]["output_tokens"] > 0
    assert final["eps:usage_estimated"] is True
    assert get_text(final) == COUNTED


async def test_a_model_that_thinks_aloud_first_shows_only_its_answer(http: httpx.AsyncClient) -> None:
    text = 'count to 9 [[standin reason="Let me think about numbers" token_s=0.02]]'
    final = await check_stored(http, await ask(http, text, stream=True))
    assert get_text(final) == COUNTED
    assert final["usage"]["output_tokens_details"]["reasoning_tokens"] > 0


async def test_a_model_just_within_its_time_limits_is_waited_for(http: httpx.AsyncClient) -> None:
    text = "count to 2 [[standin first_token_s=2.5 token_s=1.5]]"
    final = await check_stored(http, await ask(http, text, stream=True))
    assert get_text(final) == "1 2"


@pytest.mark.timed
async def test_the_created_event_is_sent_while_the_model_is_silent(
    http: httpx.AsyncClient, standin_control: httpx.AsyncClient
) -> None:
    body = {"input": "Hello [[standin first_token_s=2]]", "stream": True}
    began = time.monotonic()
    async with http.stream("POST", "/v1/responses", json=body) as answer:
        first = await anext(answer.aiter_bytes())
        assert time.monotonic() - began < 1
        assert first.startswith(b"event: response.created\n")
        calls = (await standin_control.get("/_control/calls")).json()
        assert [call["tokens_sent"] for call in calls] in ([], [0])


async def test_the_run_goes_on_when_its_client_leaves(
    http: httpx.AsyncClient, standin_control: httpx.AsyncClient
) -> None:
    body = {"input": "count to 9 [[standin token_s=0.05]]", "stream": True}
    async with http.stream("POST", "/v1/responses", json=body) as answer:
        response_id = (await anext(answer.aiter_bytes())).split(b'"id":"')[1].split(b'"')[0].decode()

    async def completed() -> bool:
        return get_text((await http.get(f"/v1/responses/{response_id}")).json()) == COUNTED

    await eventually(completed)
    assert [call["outcome"] for call in (await standin_control.get("/_control/calls")).json()] == ["finished"]


async def test_a_models_server_that_cannot_be_reached_and_comes_back(
    service: Service,
    http: httpx.AsyncClient,
    start_replica: StartReplica,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    standin = StandinServer(tmp_path_factory.mktemp("standin"))
    standin.ports = find_free_ports(1)
    replica = await asyncio.to_thread(start_replica, {**service.environment, "OPENAI_BASE_URL": standin.base_url})
    async with httpx.AsyncClient(base_url=replica.url, headers=http.headers, timeout=30) as client:
        assert (await client.get("/v1/models")).json()["data"] == []
        whole = await ask(client, "Hello")
        assert (whole.status_code, whole.json()["error"]["code"]) == (502, "upstream_error")
        streamed = await check_stored(client, await ask(client, "Hello", stream=True))
        assert streamed["error"]["code"] == "server_error"
        await asyncio.to_thread(standin.start)
        try:
            back = await ask(client, "count to 9")
            assert get_text(back.json()) == COUNTED
        finally:
            await asyncio.to_thread(standin.kill)
