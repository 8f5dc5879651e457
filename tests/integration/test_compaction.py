"""`POST /v1/responses/compact` replaces a long history by the user's messages and one sealed item.

And `POST /v1/responses/input_tokens`.
"""

import asyncio
import base64
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from tests.support.function_tools import compose_output
from tests.support.model_calls import ModelCalls
from tests.support.refusals import UNKNOWN_RESPONSE, check_refusal
from tests.support.turns import ask, get_text, make_conversation

QUESTION = {"role": "user", "content": "What is my name?"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"}
HISTORY = [
    {"role": "user", "content": "My name is Ada."},
    {"role": "assistant", "content": "Nice to meet you."},
    {"role": "user", "content": "How is the weather?"},
    CALL,
    compose_output(CALL, "21 degrees"),
    {"role": "assistant", "content": "It is warm."},
]
PATHS = ("/v1/responses", "/v1/responses/compact")


async def compact(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    """The compaction of a history. The client's hook checks its shape."""
    answer = await http.post("/v1/responses/compact", json={"model": "stand-in", **body})
    assert answer.status_code == 200, answer.text
    compaction: dict[str, Any] = answer.json()
    assert compaction["object"] == "response.compaction"
    return compaction


def texts(compaction: dict[str, Any]) -> list[str]:
    """The user messages that were kept."""
    return [item["content"][0]["text"] for item in compaction["output"][:-1]]


async def test_it_works(alice: AsyncOpenAI) -> None:
    items: Any = HISTORY
    compaction = await alice.responses.compact(model="stand-in", input=items)
    assert compaction.id.startswith("resp_")
    assert [item.type for item in compaction.output] == ["message", "message", "compaction"]
    assert compaction.usage.input_tokens > 0
    assert compaction.usage.total_tokens == compaction.usage.input_tokens + compaction.usage.output_tokens


async def test_the_users_messages_are_kept_word_for_word(http: httpx.AsyncClient) -> None:
    assert texts(await compact(http, input=HISTORY)) == ["My name is Ada.", "How is the weather?"]


@pytest.mark.parametrize("given", ["Hello!", [{"role": "user", "content": "Hello!"}]])
async def test_a_single_message(http: httpx.AsyncClient, given: Any) -> None:
    assert texts(await compact(http, input=given)) == ["Hello!"]


async def test_the_sealed_item_is_unreadable(http: httpx.AsyncClient) -> None:
    sealed: str = (await compact(http, input=HISTORY))["output"][-1]["encrypted_content"]
    opened = base64.urlsafe_b64decode(sealed.replace("+", "-").replace("/", "_") + "===")
    for words in ("Ada", "degrees", "get_weather", "warm"):
        assert words not in sealed
        assert words.encode() not in opened


async def test_the_output_is_the_next_turns_input_on_any_replica(
    http: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    compaction = await compact(http, input=HISTORY)
    for replica in (http, other):
        answer = await ask(replica, "", input=[*compaction["output"], QUESTION])
        assert get_text(answer.json()) == "Your name is Ada."


async def test_its_id_is_a_previous_response(http: httpx.AsyncClient) -> None:
    compaction = await compact(http, input=HISTORY)
    answer = await ask(http, "What is my name?", previous_response_id=compaction["id"])
    assert get_text(answer.json()) == "Your name is Ada."


async def test_a_stored_chain_is_compacted(http: httpx.AsyncClient) -> None:
    first = (await ask(http, "My name is Ada.")).json()
    second = (await ask(http, "My city is Paris.", previous_response_id=first["id"])).json()
    compaction = await compact(http, previous_response_id=second["id"])
    assert texts(compaction) == ["My name is Ada.", "My city is Paris."]
    for question, answer in (("What is my name?", "Your name is Ada."), ("What is my city?", "Your city is Paris.")):
        said = await ask(http, question, previous_response_id=compaction["id"])
        assert get_text(said.json()) == answer


async def test_a_chain_and_more_input_are_compacted_together(http: httpx.AsyncClient) -> None:
    first = (await ask(http, "My name is Ada.")).json()
    more = [{"role": "user", "content": "My city is Paris."}]
    compaction = await compact(http, previous_response_id=first["id"], input=more)
    assert texts(compaction) == ["My name is Ada.", "My city is Paris."]


async def test_a_compaction_can_be_compacted(http: httpx.AsyncClient) -> None:
    first = await compact(http, input=HISTORY)
    more = [{"role": "user", "content": "My city is Paris."}, {"role": "assistant", "content": "A fine city."}]
    second = await compact(http, input=[*first["output"], *more])
    assert texts(second) == ["My name is Ada.", "How is the weather?", "My city is Paris."]
    answer = await ask(http, "What is my name?", previous_response_id=second["id"])
    assert get_text(answer.json()) == "Your name is Ada."


async def test_facts_survive_several_turns_after_a_compaction(http: httpx.AsyncClient) -> None:
    compaction = await compact(http, input=HISTORY)
    first = (await ask(http, "", input=[*compaction["output"], {"role": "user", "content": "Hello"}])).json()
    second = (await ask(http, "Hello again", previous_response_id=first["id"])).json()
    third = await ask(http, "What is my name?", previous_response_id=second["id"])
    assert get_text(third.json()) == "Your name is Ada."


async def test_compactions_are_hidden_among_the_input_items(http: httpx.AsyncClient) -> None:
    compaction = await compact(http, input=HISTORY)
    response = (await ask(http, "", input=[*compaction["output"], QUESTION])).json()
    page = (await http.get(f"/v1/responses/{response['id']}/input_items", params={"order": "asc"})).json()
    assert [item["content"][0]["text"] for item in page["data"]] == [*texts(compaction), QUESTION["content"]]


async def test_the_other_parameters_of_a_compaction(http: httpx.AsyncClient) -> None:
    await compact(http, input=HISTORY, instructions="Keep the numbers.", prompt_cache_key="cache-1")


async def test_a_forged_or_foreign_compaction_is_refused(
    http: httpx.AsyncClient, bob: AsyncOpenAI, model_calls: ModelCalls
) -> None:
    sealed = (await compact(http, input=HISTORY))["output"][-1]
    bobs = await bob.responses.compact(model="stand-in", input="My name is Bob.")
    foreign = bobs.output[-1].model_dump()["encrypted_content"]
    content: str = sealed["encrypted_content"]
    await model_calls.forget()
    for forged in ("forged", "", content[:-8] + "AAAAAAAA", content[:-4], content * 2, foreign):
        for path in PATHS:
            items = [{"type": "compaction", "encrypted_content": forged}, QUESTION]
            answer = await http.post(path, json={"model": "stand-in", "input": items})
            check_refusal(answer, code=None, param="input[0].encrypted_content")
    assert await model_calls.list_bodies() == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "Hello"}, "model"),
        ({"model": None, "input": "Hello"}, "model"),
        ({"model": "stand-in"}, "input"),
        ({"model": "stand-in", "input": []}, "input"),
        ({"model": "stand-in", "input": 3}, "input"),
        ({"model": "stand-in", "input": "Hello", "prompt_cache_key": "x" * 4_097}, "prompt_cache_key"),
        ({"model": "stand-in", "previous_response_id": "conv_1"}, "previous_response_id"),
        ({"model": "stand-in", "input": [{"type": "compaction"}]}, "input[0].encrypted_content"),
    ],
)
async def test_odd_compactions_are_refused_with_their_place(
    http: httpx.AsyncClient, body: dict[str, Any], param: str
) -> None:
    check_refusal(await http.post("/v1/responses/compact", json=body), param=param)


async def test_what_is_unknown_cannot_be_compacted(http: httpx.AsyncClient, bob: AsyncOpenAI) -> None:
    bobs = await bob.responses.create(model="stand-in", input="Hello")
    for previous in (UNKNOWN_RESPONSE, bobs.id):
        body = {"model": "stand-in", "previous_response_id": previous}
        answer = await http.post("/v1/responses/compact", json=body)
        check_refusal(answer, status=404, code="previous_response_not_found")
    answer = await http.post("/v1/responses/compact", json={"model": "nobody-serves-this", "input": "Hello"})
    check_refusal(answer, status=404, code="model_not_found", param="model")


async def count(http: httpx.AsyncClient, **body: Any) -> int:
    """The tokens of an input, counted by the API."""
    answer = await http.post("/v1/responses/input_tokens", json=body)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["input_tokens"])


async def test_input_tokens_are_counted_without_asking_the_model(alice: AsyncOpenAI, model_calls: ModelCalls) -> None:
    counted = await alice.responses.input_tokens.count(model="stand-in", input="one two three four five")
    assert counted.object == "response.input_tokens"
    assert 3 <= counted.input_tokens <= 20
    assert await model_calls.list_bodies() == []


async def test_all_that_the_model_would_be_given_is_counted(http: httpx.AsyncClient) -> None:
    plain = await count(http, input="Hello")
    assert await count(http, input="Hello " * 300) > plain + 50
    assert await count(http, input="Hello", instructions="Be brief. " * 60) > plain + 20
    tool = {"type": "function", "name": "get_weather", "description": "The weather of a city. " * 60}
    assert await count(http, input="Hello", tools=[tool]) > plain + 20
    conversation_id = await make_conversation(http)
    first = (await ask(http, "word " * 300, conversation=conversation_id)).json()
    assert await count(http, input="Hello", previous_response_id=first["id"]) > plain + 100
    assert await count(http, input="Hello", conversation=conversation_id) > plain + 100
    # At the same moment: what is learned of the model's own counts changes them from time to time.
    inputs = ("Hello", [{"role": "user", "content": "Hello"}])
    as_text, as_message = await asyncio.gather(*(count(http, input=each) for each in inputs))
    assert as_text == as_message


async def test_what_cannot_be_asked_cannot_be_counted(http: httpx.AsyncClient) -> None:
    url = "/v1/responses/input_tokens"
    answer = await http.post(url, json={"input": "Hello", "previous_response_id": UNKNOWN_RESPONSE})
    check_refusal(answer, status=404, code="previous_response_not_found")
    check_refusal(await http.post(url, json={"input": 3}), param="input")
    both = {"input": "Hello", "previous_response_id": UNKNOWN_RESPONSE, "conversation": "conv_" + "0" * 32}
    assert "mutually exclusive" in check_refusal(await http.post(url, json=both))["message"]
