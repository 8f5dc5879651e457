"""`text.format`: the answer is a document of the requested schema."""

import json
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.support.function_tools import ASK_WEATHER, WEATHER, find_calls
from tests.support.model_calls import ModelCalls
from tests.support.refusals import check_refusal
from tests.support.turns import Stream, ask, get_text

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "name": "person", "description": "Somebody.", "schema": SCHEMA, "strict": True}
ASK_PERSON = "name=Ada age=36"
ADA = {"name": "Ada", "age": 36}


class Person(BaseModel):
    """What a client requests with the SDK's `parse`."""

    name: str
    age: int


async def test_it_works(alice: AsyncOpenAI) -> None:
    response = await alice.responses.parse(model="stand-in", input=ASK_PERSON, text_format=Person)
    assert response.output_parsed == Person(name="Ada", age=36)


async def test_the_sdk_parses_a_stream(alice: AsyncOpenAI) -> None:
    async with alice.responses.stream(model="stand-in", input=ASK_PERSON, text_format=Person) as stream:
        response = await stream.get_final_response()
    assert response.output_parsed == Person(name="Ada", age=36)


async def test_a_refusal_is_not_a_document(alice: AsyncOpenAI) -> None:
    text = f"{ASK_PERSON} [[standin refuse]]"
    response = await alice.responses.parse(model="stand-in", input=text, text_format=Person)
    assert response.output_parsed is None
    [message] = response.output
    assert message.type == "message"
    assert [part.type for part in message.content] == ["refusal"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_schema_is_obeyed_echoed_and_given_to_the_model(
    http: httpx.AsyncClient, model_calls: ModelCalls, stream: bool
) -> None:
    text = {"format": FORMAT}
    if stream:
        response = await Stream.of_turn(http, ASK_PERSON, text=text).read_final()
    else:
        response = (await ask(http, ASK_PERSON, text=text)).json()
    assert json.loads(get_text(response)) == ADA
    assert response["text"]["format"] == FORMAT
    asked = (await model_calls.get_body(ASK_PERSON))["response_format"]
    assert asked == {"type": "json_schema", "json_schema": {key: FORMAT[key] for key in FORMAT if key != "type"}}


async def test_the_defaults_of_a_format_are_echoed(http: httpx.AsyncClient) -> None:
    bare = {"type": "json_schema", "name": "person", "schema": SCHEMA}
    told = (await ask(http, ASK_PERSON, text={"format": bare})).json()["text"]["format"]
    assert set(told) == {"type", "name", "description", "schema", "strict"}
    assert (told["description"], told["schema"]) == (None, SCHEMA)
    assert isinstance(told["strict"], bool)


@pytest.mark.parametrize("stream", [False, True])
async def test_any_document(http: httpx.AsyncClient, model_calls: ModelCalls, stream: bool) -> None:
    text = {"format": {"type": "json_object"}}
    if stream:
        response = await Stream.of_turn(http, "Say it in JSON", text=text).read_final()
    else:
        response = (await ask(http, "Say it in JSON", text=text)).json()
    assert isinstance(json.loads(get_text(response)), dict)
    assert response["text"]["format"] == {"type": "json_object"}
    assert (await model_calls.get_body("Say it in JSON"))["response_format"] == {"type": "json_object"}


async def test_plain_text_asks_the_model_for_nothing(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    response = (await ask(http, "Hello plain", text={"format": {"type": "text"}})).json()
    assert response["text"]["format"] == {"type": "text"}
    assert "response_format" not in await model_calls.get_body("Hello plain")


async def test_a_format_does_not_carry_over_to_the_next_turn(http: httpx.AsyncClient) -> None:
    first = (await ask(http, ASK_PERSON, text={"format": FORMAT})).json()
    second = (await ask(http, "count to 3", previous_response_id=first["id"])).json()
    assert get_text(second) == "1 2 3"
    assert second["text"]["format"] == {"type": "text"}


async def test_a_function_may_be_called_before_the_document(http: httpx.AsyncClient) -> None:
    response = (await ask(http, ASK_WEATHER, tools=[WEATHER], text={"format": FORMAT})).json()
    assert [call["name"] for call in find_calls(response)] == ["get_weather"]


@pytest.mark.parametrize("verbosity", ["low", "medium", "high"])
async def test_verbosity_reaches_the_model(http: httpx.AsyncClient, model_calls: ModelCalls, verbosity: str) -> None:
    response = (await ask(http, f"Hello {verbosity}", text={"verbosity": verbosity})).json()
    assert response["text"] == {"format": {"type": "text"}, "verbosity": verbosity}
    assert (await model_calls.get_body(f"Hello {verbosity}"))["verbosity"] == verbosity


def but(**changes: Any) -> dict[str, Any]:
    """The format with these changes; None removes a key."""
    return {"format": {key: value for key, value in (FORMAT | changes).items() if value is not None}}


@pytest.mark.parametrize(
    ("text", "param"),
    [
        (but(name=None), "text.format.name"),
        (but(name=""), "text.format.name"),
        (but(name="two words"), "text.format.name"),
        (but(name="x" * 65), "text.format.name"),
        (but(schema=None), "text.format.schema"),
        (but(schema="x"), "text.format.schema"),
        (but(strict="yes"), "text.format.strict"),
        (but(description=3), "text.format.description"),
        ({"format": {"type": "xml"}}, "text.format.type"),
        ({"format": {}}, "text.format.type"),
        ({"format": "json"}, "text.format"),
        ({"verbosity": 3}, "text.verbosity"),
        ("json", "text"),
    ],
)
async def test_an_odd_format_is_refused_with_its_place(http: httpx.AsyncClient, text: Any, param: str) -> None:
    check_refusal(await ask(http, "Hello", text=text), param=param)


async def test_a_schema_that_the_model_cannot_read_is_the_clients_mistake(http: httpx.AsyncClient) -> None:
    broken = {"type": "object", "properties": {"x": {"$ref": "#/nowhere"}}, "required": ["x"]}
    check_refusal(await ask(http, "Hello", text=but(schema=broken)), code=None)
