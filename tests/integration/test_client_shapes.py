"""What clients really send, shape by shape: each gets its answer, or a refusal that says what to do."""

from typing import Any

import httpx
import pytest

from tests.support.function_tools import ASK_WEATHER, WEATHER
from tests.support.model_calls import ModelCalls
from tests.support.oracle import read_frames
from tests.support.refusals import UNKNOWN_ITEM, check_refusal
from tests.support.turns import ask, get_text, make_conversation

USER: dict[str, Any] = {"role": "user", "content": "count to 2"}
PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
CALL = {"type": "function_call", "call_id": "c1", "name": "view_image", "arguments": '{"path": "a.png"}'}
# A name, what is sent beside the question or in its place, and what is left out.
SHAPES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "the metadata of Codex": ({"client_metadata": {"x-codex-installation-id": "1"}}, ["client_metadata"]),
    "a search of the web beside a function": ({"tools": [WEATHER, {"type": "web_search"}]}, ["tools[1]"]),
    "a search of the web alone": ({"tools": [{"type": "web_search"}], "tool_choice": "auto"}, ["tools[0]"]),
    "an image tool": (
        {"tools": [WEATHER, {"type": "image_generation", "output_format": "png"}]},
        ["tools[1]"],
    ),
    "a search for tools that the server makes": ({"tools": [WEATHER, {"type": "tool_search"}]}, ["tools[1]"]),
    "an assistant's message in the short form": (
        {"input": [{"role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}, USER]},
        [],
    ),
    "an assistant's message with nulls": (
        {
            "input": [
                {
                    "type": "message",
                    "id": None,
                    "status": None,
                    "phase": None,
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "Hi", "annotations": None, "logprobs": None}],
                },
                USER,
            ]
        },
        [],
    ),
    "a thought without an id": (
        {"input": [{"type": "reasoning", "summary": [], "content": None, "encrypted_content": None}, USER]},
        [],
    ),
    "a thought that others sealed": (
        {"input": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAABo"}, USER]},
        ["input[0].encrypted_content"],
    ),
    "an empty list of parts": ({"input": [{"role": "assistant", "content": []}, USER]}, []),
    "an empty text": ({"input": [{"role": "assistant", "content": ""}, USER]}, []),
    "an unknown key of a message": ({"input": [{**USER, "end_turn": True}]}, ["input[0].end_turn"]),
    "an image that a function returned": (
        {
            "input": [
                {"role": "user", "content": "Look."},
                CALL,
                {
                    "type": "function_call_output",
                    "call_id": "c1",
                    "output": [
                        {"type": "input_text", "text": "a.png"},
                        {"type": "input_image", "image_url": PIXEL, "detail": "original"},
                    ],
                },
                USER,
            ]
        },
        [],
    ),
    "an effort of a newer model": ({"reasoning": {"effort": "max", "summary": "auto"}}, []),
    "a context of thoughts": ({"reasoning": {"context": "current_turn"}}, ["reasoning.context"]),
    "a tier of a newer server": ({"service_tier": "fast"}, []),
    "a long cache key": ({"prompt_cache_key": "k" * 100}, []),
    "sources of searches": ({"include": ["web_search_call.action.sources"]}, []),
    "images of a computer": ({"include": ["computer_call_output.output.image_url"]}, []),
    "an empty text, empty values and a budget": (
        {"text": {}, "metadata": {"agent": ""}, "thinking": {"type": "enabled", "budget_tokens": 2_000}},
        ["thinking"],
    ),
    "no model": ({"model": None}, []),
    "a history with ids of others": (
        {
            "input": [
                {"role": "user", "content": "My name is Ada.", "id": "msg_of_theirs"},
                {"type": "reasoning", "id": "rs_of_theirs", "summary": [{"type": "summary_text", "text": "Hm."}]},
                {"type": "function_call", "id": "fc_of_theirs", "call_id": "c1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "x"},
                USER,
            ]
        },
        [],
    ),
    "events as Codex asks for them": (
        {"include": ["reasoning.encrypted_content"], "store": False, "parallel_tool_calls": False},
        [],
    ),
    "obfuscation": ({"stream_options": {"include_obfuscation": True}}, []),
    "everything null": (
        {
            **dict.fromkeys(("tools", "tool_choice", "text", "reasoning", "include", "metadata", "truncation")),
            **dict.fromkeys(("moderation", "background_options", "prompt", "conversation", "user", "temperature")),
        },
        [],
    ),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", SHAPES)
async def test_it_is_answered(http: httpx.AsyncClient, name: str, stream: bool) -> None:
    http.event_hooks = {}  # the specification does not know the newer words yet
    body, ignored = SHAPES[name]
    answer = await ask(http, "count to 2", **{"stream": stream, **body})
    assert answer.status_code == 200, answer.text
    response = read_frames(answer.content)[-1]["response"] if stream else answer.json()
    assert (response["status"], get_text(response)) == ("completed", "1 2")
    assert response.get("eps:ignored", []) == ignored
    assert response["usage"]["input_tokens_details"].keys() == {"cached_tokens", "cache_write_tokens"}
    assert response["usage"]["output_tokens_details"].keys() == {"reasoning_tokens"}


REFUSED: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "metadata with a number": ({"metadata": {"n": 1}}, 400, "metadata.n", "a string"),
    "a schema without a name": ({"text": {"format": {"type": "json_schema"}}}, 400, "text.format.name", "Missing"),
    "a tool with a dot in its name": (
        {"tools": [WEATHER, {"type": "function", "name": "a.b"}]},
        400,
        "tools[1].name",
        "'a.b'",
    ),
    "a reference to nothing": (
        {"input": [{"type": "item_reference", "id": UNKNOWN_ITEM}]},
        404,
        "input[0].id",
        UNKNOWN_ITEM,
    ),
    "a compaction of others": (
        {"input": [{"type": "compaction", "encrypted_content": "gAAAAABo"}, USER]},
        400,
        "input[0].encrypted_content",
        "Leave the item out",
    ),
    "an unknown model": ({"model": "gpt-99"}, 404, "model", "'gpt-99'"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", REFUSED)
async def test_it_is_refused_with_its_place_and_what_to_do(http: httpx.AsyncClient, name: str, stream: bool) -> None:
    body, status, param, words = REFUSED[name]
    answer = await ask(http, "count to 2", **{"stream": stream, **body})
    assert words in check_refusal(answer, status=status, code=None, param=param)["message"]


async def test_a_stored_item_is_told_by_its_reference(http: httpx.AsyncClient) -> None:
    first = (await ask(http, "My name is Ada.")).json()
    items = (await http.get(f"/v1/responses/{first['id']}/input_items")).json()["data"]
    given = [{"type": "item_reference", "id": items[0]["id"]}, {"role": "user", "content": "What is my name?"}]
    assert get_text((await ask(http, "", input=given)).json()) == "Your name is Ada."


async def test_a_call_without_arguments_is_an_empty_object(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    given = [
        {"role": "user", "content": "Hello"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": ""},
        {"type": "function_call_output", "call_id": "c1", "output": ""},
        {"role": "user", "content": "Hello without arguments"},
    ]
    assert (await ask(http, "", input=given)).status_code == 200
    messages = (await model_calls.get_body("Hello without arguments"))["messages"]
    assert [call["function"]["arguments"] for message in messages for call in message.get("tool_calls", ())] == ["{}"]


async def test_a_whole_run_is_written_at_once(http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    run: list[dict[str, Any]] = []
    for number in range(50):
        run += [
            {"type": "reasoning", "summary": []},
            {"type": "function_call", "call_id": f"c{number}", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": f"c{number}", "output": str(number)},
        ]
    answer = await http.post(f"/v1/conversations/{conversation_id}/items", json={"items": run})
    assert len(answer.json()["data"]) == 150
    assert (await http.post("/v1/conversations", json={"items": []})).status_code == 200
    check_refusal(await http.get(f"/v1/conversations/{conversation_id}/items?limit=0"), param="limit")


async def test_a_megabyte_and_more_is_compacted(http: httpx.AsyncClient) -> None:
    items = [{"role": "user", "content": f"Fact {n}: " + "word " * 1_000} for n in range(360)]
    answer = await http.post(
        "/v1/responses/compact", json={"model": "stand-in", "input": items, "tools": [], "parallel_tool_calls": True}
    )
    assert answer.status_code == 200, answer.text[:300]
    assert answer.json()["output"][-1]["type"] == "compaction"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_forced_function_is_called_beside_a_tool_that_is_left_out(
    http: httpx.AsyncClient, stream: bool
) -> None:
    choice = {"type": "function", "name": "get_weather"}
    tools = [{"type": "web_search"}, WEATHER]
    answer = await ask(http, ASK_WEATHER, tools=tools, tool_choice=choice, stream=stream)
    response = read_frames(answer.content)[-1]["response"] if stream else answer.json()
    assert [item["type"] for item in response["output"]] == ["function_call"]
