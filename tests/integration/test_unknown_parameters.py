"""What a newer client sends: the unknown is left out and named, what is known and wrong is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.model_calls import ModelCalls
from tests.support.oracle import read_frames
from tests.support.refusals import check_refusal
from tests.support.servers import Replica, StandinServer, ValkeyServer, eventually
from tests.support.service import ALICE_KEY, prepare, service_environment
from tests.support.turns import ask, get_text, make_conversation

USER = {"role": "user", "content": "count to 2"}


async def test_it_works(http: httpx.AsyncClient) -> None:
    response = (await ask(http, "count to 2", client_metadata={"client": "x"})).json()
    assert get_text(response) == "1 2"
    assert response["eps:ignored"] == ["client_metadata"]
    assert (await http.get(f"/v1/responses/{response['id']}")).json() == response


UNKNOWN: list[tuple[dict[str, Any], list[str]]] = [
    ({"foo": 1, "bar": [1]}, ["foo", "bar"]),
    ({"moderation": None, "background_options": None}, []),
    ({"reasoning": {"effort": "low", "context": "auto"}}, ["reasoning.context"]),
    ({"text": {"format": {"type": "text", "foo": 1}, "bar": 1}}, ["text.format.foo", "text.bar"]),
    ({"stream_options": {"foo": 1}}, ["stream_options.foo"]),
    ({"include": ["message.output_text.logprobs", "something.new"]}, ["include[1]"]),
    ({"input": [{**USER, "end_turn": True, "parsed": None}]}, ["input[0].end_turn"]),
    ({"input": [{**USER, "call_id": "call_1"}]}, ["input[0].call_id"]),
    (
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "count to 2", "cache_control": {}}]}]},
        ["input[0].content[0].cache_control"],
    ),
    (
        {
            "input": [
                {
                    "type": "local_shell_call",
                    "call_id": "call_1",
                    "action": {"type": "exec", "command": ["ls"], "env": {}, "user": None, "sandbox": "none"},
                },
                USER,
            ]
        },
        ["input[0].action.sandbox"],
    ),
    (
        {
            "input": [
                {
                    "role": "assistant",
                    "content": [
                        {
                            "type": "output_text",
                            "text": "Hi",
                            "logprobs": [
                                {"token": "Hi", "logprob": -0.1, "bytes": None, "top_logprobs": [], "rank": 1}
                            ],
                        }
                    ],
                },
                USER,
            ]
        },
        ["input[0].content[0].logprobs[0].rank"],
    ),
    (
        {"tools": [{"type": "function", "name": "f", "async": None, "output_schema": None, "rank": 1}]},
        ["tools[0].rank"],
    ),
    ({"tool_choice": "none", "max_infer_iters": 3, "guardrails": ["x"]}, ["max_infer_iters", "guardrails"]),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("body", "ignored"), UNKNOWN)
async def test_the_unknown_is_left_out_and_named(
    http: httpx.AsyncClient, body: dict[str, Any], ignored: list[str], stream: bool
) -> None:
    answer = await ask(http, "count to 2", stream=stream, **body)
    assert answer.status_code == 200, answer.text
    response = read_frames(answer.content)[-1]["response"] if stream else answer.json()
    assert response["status"] == "completed"
    assert response.get("eps:ignored", []) == ignored
    if stream:
        assert read_frames(answer.content)[0]["response"].get("eps:ignored", []) == ignored


async def test_what_is_known_and_wrong_is_refused_beside_the_unknown(http: httpx.AsyncClient) -> None:
    check_refusal(await ask(http, "Hello", foo=1, temperature=3), param="temperature")
    check_refusal(await ask(http, "Hello", foo=1, input=[{"role": "boss", "content": "x"}]), param="input[0].role")


@pytest.mark.parametrize(
    ("path", "body", "ignored"),
    [
        ("/v1/conversations", {"items": [{**USER, "foo": 1}], "bar": 1}, ["items[0].foo", "bar"]),
        ("/v1/conversations/{conv}", {"metadata": {}, "foo": 1}, ["foo"]),
        ("/v1/conversations/{conv}/items", {"items": [{**USER, "foo": 1}]}, ["items[0].foo"]),
        ("/v1/conversations/{conv}/fork", {"foo": 1}, ["foo"]),
        ("/v1/responses/input_tokens", {"input": "x", "foo": 1}, ["foo"]),
        ("/v1/responses/compact", {"model": "stand-in", "input": "x", "foo": 1}, ["foo"]),
    ],
)
async def test_every_body_is_read_so(
    http: httpx.AsyncClient, path: str, body: dict[str, Any], ignored: list[str]
) -> None:
    answer = await http.post(path.format(conv=await make_conversation(http)), json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["eps:ignored"] == ignored


async def test_an_unknown_include_of_a_list_is_named(http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    response = (await ask(http, "count to 2", conversation=conversation_id)).json()
    query = "include[]=something.new&include[]=file_search_call.results"
    for path in (f"/v1/conversations/{conversation_id}/items", f"/v1/responses/{response['id']}/input_items"):
        assert (await http.get(f"{path}?{query}")).json()["eps:ignored"] == ["include[0]"]
    assert (await http.get(f"/v1/responses/{response['id']}?{query}")).json() == response


async def test_many_names_are_told_in_short(http: httpx.AsyncClient) -> None:
    response = (await ask(http, "count to 2", **{f"field_{n}": 1 for n in range(5_000)}, **{"x" * 10_000: 1})).json()
    assert len(response["eps:ignored"]) == 101
    assert response["eps:ignored"][-1] == "and 4,901 more"
    long = (await ask(http, "count to 2", **{"x" * 10_000: 1})).json()
    assert long["eps:ignored"] == ["x" * 200]


async def test_values_that_newer_models_know_reach_the_models_server(
    http: httpx.AsyncClient, model_calls: ModelCalls
) -> None:
    http.event_hooks = {}  # the specification does not know them yet
    text = "Hello with newer values"
    body = {"reasoning": {"effort": "max"}, "service_tier": "fast", "text": {"verbosity": "tiny"}}
    response = (await ask(http, text, **body)).json()
    assert response["reasoning"]["effort"] == "max"
    asked = await model_calls.get_body(text)
    assert (asked["reasoning_effort"], asked["service_tier"], asked["verbosity"]) == ("max", "fast", "tiny")
    assert "eps:ignored" not in response


async def test_the_servers_refusal_of_a_newer_value_is_told(http: httpx.AsyncClient) -> None:
    answer = await ask(http, "Hello [[standin status=400 code=invalid_value]]", reasoning={"effort": "max"})
    check_refusal(answer, code=None)


async def test_the_model_servers_own_options_reach_it(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    options = {
        "top_k": 20,
        "min_p": 0.1,
        "seed": 7,
        "stop": ["###"],
        "chat_template_kwargs": {"enable_thinking": False},
    }
    text = "Hello with options"
    response = (await ask(http, text, **options, repetition_penalty=None)).json()
    assert "eps:ignored" not in response
    asked = await model_calls.get_body(text)
    assert {name: asked[name] for name in options} == options
    assert "repetition_penalty" not in asked


async def test_a_retry_with_other_options_is_another_request(http: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "options-1"}
    body = {"input": "count to 2", "seed": 1}
    first = (await http.post("/v1/responses", json=body, headers=headers)).json()
    assert (await http.post("/v1/responses", json=body, headers=headers)).json() == first
    assert (await http.post("/v1/responses", json={**body, "seed": 2}, headers=headers)).status_code == 422


async def test_hints_for_the_cache_are_taken(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    text, key = "Hello with hints", "k" * 100
    hints = {"prompt_cache_retention": "24h", "prompt_cache_options": {"mode": "implicit"}}
    response = (await ask(http, text, prompt_cache_key=key, **hints)).json()
    assert response["prompt_cache_key"] == key
    asked = await model_calls.get_body(text)
    assert {name: asked[name] for name in hints} == hints
    assert len(asked["prompt_cache_key"]) == 64


@contextmanager
def run_replica(environment: dict[str, str], directory: Path) -> Iterator[Replica]:
    """A replica of one process with these settings, at which Alice has a key."""
    prepare(environment)
    with Replica(directory / "replica", environment | {"WORKERS": "1"}) as replica:
        yield replica


def connect(replica: Replica) -> httpx.AsyncClient:
    """Plain HTTP as Alice."""
    return httpx.AsyncClient(base_url=replica.url, headers={"Authorization": f"Bearer {ALICE_KEY}"}, timeout=30)


async def test_what_is_left_out_is_logged_and_counted(
    own_valkey: ValkeyServer, standin: StandinServer, tmp_path: Path
) -> None:
    with run_replica(service_environment(own_valkey, standin, tmp_path), tmp_path) as replica:
        async with connect(replica) as http:
            tools = [{"type": "web_search"}, {"type": "mcp", "server_label": "x"}]
            assert (await ask(http, "count to 2", foo=1, tools=tools)).status_code == 200

            async def is_counted() -> bool:
                shown = (await http.get(replica.metrics_url)).text
                counts = ('{kind="field"} 1.0', '{kind="tool"} 2.0')
                return all(f"eps_ignored_parameters_total{count}" in shown for count in counts)

            await eventually(is_counted, within_s=10)
        assert '"ignored":["foo","tools[0]","tools[1]"]' in replica.log.replace(", ", ",").replace(": ", ":")


async def test_a_strict_server_refuses_the_unknown(
    own_valkey: ValkeyServer, standin: StandinServer, tmp_path: Path
) -> None:
    environment = service_environment(own_valkey, standin, tmp_path) | {"STRICT_REQUESTS": "true"}
    with run_replica(environment, tmp_path) as replica:
        async with connect(replica) as http:
            for body, ignored in UNKNOWN:
                answer = await ask(http, "count to 2", **body)
                if ignored:
                    check_refusal(answer, param=ignored[0])
                else:
                    assert answer.status_code == 200
            check_refusal(await ask(http, "x", tools=[{"type": "web_search"}]), param="tools[0]")
            assert (await ask(http, "count to 2", seed=1)).status_code == 200
