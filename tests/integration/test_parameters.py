"""Every parameter of a response: echoed from the first event to the stored object, and sent to the model."""

from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI
from openresponses_types.types import CreateResponseBody

from tests.support.function_tools import ASK_WEATHER, WEATHER, find_calls
from tests.support.model_calls import ModelCalls
from tests.support.oracle import read_frames
from tests.support.refusals import check_refusal
from tests.support.turns import ask, check_stored, get_text, make_conversation

# The value, and the field that the model's server gets for it (None: none).
HONOURED: dict[str, tuple[Any, dict[str, Any] | None]] = {
    "instructions": ("Be brief.", None),
    "temperature": (0.3, {"temperature": 0.3}),
    "top_p": (0.7, {"top_p": 0.7}),
    "presence_penalty": (-1.5, {"presence_penalty": -1.5}),
    "frequency_penalty": (1.5, {"frequency_penalty": 1.5}),
    "max_output_tokens": (100, {"max_completion_tokens": 100}),
    "max_tool_calls": (3, None),
    "parallel_tool_calls": (False, None),
    "metadata": ({"topic": "demo"}, None),
    "safety_identifier": ("user-1", {"safety_identifier": "user-1"}),
    "prompt_cache_key": ("cache-1", {"prompt_cache_key": "cache-1"}),
    "top_logprobs": (3, None),
    "truncation": ("auto", None),
    "store": (False, None),
    "background": (False, None),
}


@pytest.mark.parametrize("name", HONOURED)
async def test_a_parameter_is_echoed_and_seen_by_the_model(
    http: httpx.AsyncClient, model_calls: ModelCalls, name: str
) -> None:
    value, asked = HONOURED[name]
    text = f"Hello, here is {name}."
    response = (await ask(http, text, **{name: value})).json()
    assert response[name] == value
    body = await model_calls.get_body(text)
    assert {key: body.get(key) for key in asked or {}} == (asked or {})


async def test_all_parameters_at_once_from_the_first_event_to_the_stored_object(http: httpx.AsyncClient) -> None:
    given = {name: value for name, (value, _) in HONOURED.items() if name != "store"}
    streamed = await ask(http, "Hello", stream=True, **given)
    final = await check_stored(http, streamed)
    for event in read_frames(streamed.content):
        if "response" in event:
            assert {name: event["response"][name] for name in given} == given
    assert {name: final[name] for name in given} == given


async def test_parameters_do_not_carry_over_to_the_next_turn(http: httpx.AsyncClient) -> None:
    given = {name: value for name, (value, _) in HONOURED.items() if name not in ("store", "background")}
    first = (await ask(http, "Hello", **given)).json()
    second = (await ask(http, "Hello", previous_response_id=first["id"])).json()
    assert [name for name in given if second[name] == first[name]] == []


@pytest.mark.parametrize("name", sorted(set(CreateResponseBody.model_fields) - {"input"}))
async def test_null_is_the_same_as_nothing(http: httpx.AsyncClient, name: str) -> None:
    assert (await ask(http, "Hello", **{name: None})).status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("include", [3]),
        ("safety_identifier", "x" * 129),
        ("prompt_cache_key", "x" * 4_097),
        ("prompt_cache_retention", 24),
        ("prompt_cache_options", "ttl"),
        ("truncation", "sometimes"),
        ("service_tier", 1),
        ("service_tier", "x" * 65),
        ("store", "yes"),
        ("background", 1),
        ("stream_options", []),
        ("user", 3),
        ("context_management", "compaction"),
    ],
)
async def test_an_odd_value_is_refused_with_its_place(http: httpx.AsyncClient, name: str, value: Any) -> None:
    error = check_refusal(await ask(http, "Hello", **{name: value}))
    assert error["param"].startswith(name)


@pytest.mark.parametrize("tier", ["auto", "default", "flex", "priority"])
async def test_a_service_tier_is_requested_and_reported(
    http: httpx.AsyncClient, model_calls: ModelCalls, tier: str
) -> None:
    """The answer reports the tier that served it; `default` when the model's server reports none."""
    text = f"Hello in {tier}"
    response = (await ask(http, text, service_tier=tier)).json()
    assert response["service_tier"] in {tier, "default"} - {"auto"}
    if tier in ("flex", "priority"):
        assert (await model_calls.get_body(text))["service_tier"] == tier


async def test_a_user_is_passed_on(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    assert (await ask(http, "Hello from a user", user="user-1")).status_code == 200
    assert (await model_calls.get_body("Hello from a user"))["user"] == "user-1"


async def test_metadata_at_its_bounds(http: httpx.AsyncClient) -> None:
    metadata = {f"{n:02}" + "k" * 62: "🦀" * 512 for n in range(16)}
    assert (await ask(http, "Hello", metadata=metadata)).json()["metadata"] == metadata


async def test_a_conversation_may_be_named_by_an_object(http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    response = (await ask(http, "Hello", conversation={"id": conversation_id})).json()
    assert response["conversation"] == {"id": conversation_id}
    assert "conversation" not in (await ask(http, "Hello")).json()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("options", [{}, {"include_obfuscation": False}])
async def test_without_obfuscation_there_is_none(
    http: httpx.AsyncClient, options: dict[str, Any], stream: bool
) -> None:
    answer = await ask(http, "count to 3", stream=stream, stream_options=options)
    assert answer.status_code == 200
    assert options == {} or b'"obfuscation"' not in answer.content


INCLUDABLE = [
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
    "message.input_image.image_url",
    "file_search_call.results",
    "web_search_call.action.sources",
    "computer_call_output.output.image_url",
]


@pytest.mark.parametrize("stream", [False, True])
async def test_include_may_name_what_the_response_does_not_have(http: httpx.AsyncClient, stream: bool) -> None:
    assert (await ask(http, "Hello", include=INCLUDABLE, stream=stream)).status_code == 200


async def test_include_changes_nothing_in_a_retrieved_response(http: httpx.AsyncClient) -> None:
    url = f"/v1/responses/{(await ask(http, 'Hello')).json()['id']}"
    plain, including = await http.get(url), await http.get(url, params={"include[]": INCLUDABLE})
    assert including.status_code == 200
    assert including.content == plain.content


LOGPROBS = ["message.output_text.logprobs"]


async def test_log_probabilities_are_those_of_the_text(alice: AsyncOpenAI) -> None:
    response = await alice.responses.create(
        model="stand-in", input="count to 5", include=["message.output_text.logprobs"], top_logprobs=2
    )
    [message] = response.output
    assert message.type == "message"
    [part] = message.content
    assert part.type == "output_text"
    assert part.logprobs
    assert "".join(entry.token for entry in part.logprobs) == part.text == "1 2 3 4 5"
    for entry in part.logprobs:
        assert entry.logprob <= 0
        assert bytes(entry.bytes).decode() == entry.token
        assert 1 <= len(entry.top_logprobs) <= 2
    assert response.top_logprobs == 2


async def test_streamed_log_probabilities_add_up_to_the_stored_ones(http: httpx.AsyncClient) -> None:
    streamed = await ask(http, "count to 5", stream=True, include=LOGPROBS, top_logprobs=1)
    final = await check_stored(http, streamed)
    events = read_frames(streamed.content)
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    stored = final["output"][0]["content"][0]["logprobs"]
    assert stored
    assert [entry for event in deltas for entry in event["logprobs"]] == stored
    for event in deltas:
        assert "".join(entry["token"] for entry in event["logprobs"]) == event["delta"]
    assert [event["logprobs"] for event in events if event["type"] == "response.output_text.done"] == [stored]


async def test_the_model_is_asked_for_log_probabilities(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    await ask(http, "Hello with", include=LOGPROBS, top_logprobs=4)
    body = await model_calls.get_body("Hello with")
    assert (body["logprobs"], body["top_logprobs"]) == (True, 4)


async def test_without_asking_there_are_no_log_probabilities(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    response = (await ask(http, "Hello without")).json()
    assert response["output"][0]["content"][0]["logprobs"] == []
    assert not (await model_calls.get_body("Hello without")).get("logprobs")


async def test_a_function_call_has_no_log_probabilities(http: httpx.AsyncClient) -> None:
    response = (await ask(http, ASK_WEATHER, tools=[WEATHER], include=LOGPROBS)).json()
    assert [item["type"] for item in response["output"]] == ["function_call"]
    assert len(find_calls(response)) == 1
    assert "logprobs" not in response["output"][0]


PHASES = ("commentary", "final_answer")


async def test_the_phases_of_earlier_messages_are_taken(http: httpx.AsyncClient) -> None:
    items = [
        {"type": "message", "role": "assistant", "phase": phase, "content": f"This is {phase}."} for phase in PHASES
    ]
    answer = await ask(http, "", input=[*items, {"type": "message", "role": "user", "content": "count to 2"}])
    assert get_text(answer.json()) == "1 2"


async def test_a_phase_stays_with_its_message_and_none_is_made_up(http: httpx.AsyncClient) -> None:
    items = [{"role": "assistant", "phase": phase, "content": "x"} for phase in PHASES]
    conversation_id = (await http.post("/v1/conversations", json={"items": items})).json()["id"]
    await ask(http, "Hello", conversation=conversation_id)
    page = (await http.get(f"/v1/conversations/{conversation_id}/items", params={"order": "asc"})).json()
    assert [item.get("phase", "none") for item in page["data"]] == [*PHASES, "none", "none"]


async def test_an_unknown_phase_is_refused(http: httpx.AsyncClient) -> None:
    items = [{"role": "assistant", "phase": "prelude", "content": "x"}, {"role": "user", "content": "Hi"}]
    check_refusal(await ask(http, "", input=items), param="input[0].phase")
