"""Images and files, tools and formats in both protocols of the stand-in."""

import base64
import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import msgspec
import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from tests.support.servers import StandinServer

MODEL = "stand-in"
WAIT_S = 10.0  # far longer than anything on loopback takes: only a hang reaches it
PIXEL = b"\x89PNG\r\n\x1a\nnot looked into"
REPORT = b"%PDF-1.7 a report"
WEATHER: Any = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
CLOCK: Any = {"type": "function", "function": {"name": "get_time"}}


def _encode(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8]


SEEN = f"""I see 2 images and 1 file.
Image 1: image/png, {len(PIXEL)} bytes, sha256 {_hash(PIXEL)}, detail low.
Image 2: https://example.com/cat.jpg, detail auto.
File 1: report.pdf, application/pdf, {len(REPORT)} bytes, sha256 {_hash(REPORT)}."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with StandinServer(tmp_path_factory.mktemp("standin")) as server:
        yield server.url


@pytest_asyncio.fixture
async def client(url: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=WAIT_S) as client:
        yield client


async def _ask(client: AsyncOpenAI, content: Any, **fields: Any) -> Any:
    messages: Any = [{"role": "user", "content": content}]
    answer: Any = await client.chat.completions.create(model=MODEL, messages=messages, **fields)
    return answer.choices[0].message


async def test_images_and_files_arrive_unchanged(client: AsyncOpenAI) -> None:
    content = [
        {"type": "image_url", "image_url": {"url": _encode("image/png", PIXEL), "detail": "low"}},
        {"type": "text", "text": "What do you see?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.jpg"}},
        {"type": "file", "file": {"file_data": _encode("application/pdf", REPORT), "filename": "report.pdf"}},
    ]
    assert (await _ask(client, content)).content == SEEN
    assert (await _ask(client, "What do you see?")).content == "I see no images and no files."


async def test_images_and_files_arrive_unchanged_in_the_responses_protocol(client: AsyncOpenAI) -> None:
    before = [
        {"type": "input_image", "image_url": _encode("image/png", PIXEL), "detail": "low"},
        {"type": "input_image", "image_url": "https://example.com/cat.jpg"},
    ]
    report = {"type": "input_file", "file_data": _encode("application/pdf", REPORT), "filename": "report.pdf"}
    now = [report, {"type": "input_text", "text": "Describe it all."}]
    window: Any = [{"role": "user", "content": before}, {"role": "user", "content": now}]
    answer = await client.responses.create(model=MODEL, input=window, store=False)
    assert answer.output_text == SEEN
    table: Any = {"type": "input_file", "file_url": "https://example.com/table.csv"}
    window = [{"role": "user", "content": [table, {"type": "input_text", "text": "What is in this file?"}]}]
    answer = await client.responses.create(model=MODEL, input=window, store=False)
    assert answer.output_text.endswith("File 1: https://example.com/table.csv.")


async def test_a_tool_may_return_an_image(client: AsyncOpenAI) -> None:
    image: Any = {"type": "input_image", "image_url": _encode("image/png", PIXEL)}
    window: Any = [
        {"role": "user", "content": "What do you see?"},
        {"type": "function_call", "call_id": "call_1", "name": "take_photo", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": [image]},
    ]
    answer = await client.responses.create(model=MODEL, input=window, store=False)
    assert f"sha256 {_hash(PIXEL)}" in answer.output_text


@pytest.mark.parametrize(
    ("image_url", "code", "word"),
    [
        ("data:image/png;base64,%%%", "invalid_base64", "Invalid base64 image_url"),
        ("data:image/png;base64,", "invalid_value", "empty"),
        ("data:application/pdf;base64,aaaa", "invalid_value", "application/pdf"),
        ("aW1nIGJ5dGVzIGhlcmU=", "invalid_value", "'data:' prefix"),
    ],
)
async def test_a_broken_image_is_refused(client: AsyncOpenAI, image_url: str, code: str, word: str) -> None:
    content = [{"type": "text", "text": "Hello"}, {"type": "image_url", "image_url": {"url": image_url}}]
    with pytest.raises(openai.BadRequestError, match=word) as caught:
        await _ask(client, content)
    assert (caught.value.code, caught.value.param) == (code, "messages[0].content[1].image_url.url")


async def test_a_broken_image_is_refused_in_the_responses_protocol(client: AsyncOpenAI) -> None:
    image: Any = {"type": "input_image", "image_url": "data:image/png;base64,%%%"}
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model=MODEL, input=[{"role": "user", "content": [image]}], store=False)
    assert (caught.value.code, caught.value.param) == ("invalid_base64_image", "input[0].content[0].image_url")


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, "messages[0].content[0].type"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "messages[0].content[0].file.file_id"),
        ({"type": "file", "file": {"filename": "a.txt"}}, "messages[0].content[0].file.file_data"),
        ({"type": "file", "file": {"file_data": "SGVsbG8="}}, "messages[0].content[0].file.file_data"),
    ],
)
async def test_audio_and_files_that_are_not_there_are_refused(client: AsyncOpenAI, part: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await _ask(client, [part])
    assert caught.value.param == param


async def test_only_allowed_tools_are_called(client: AsyncOpenAI) -> None:
    clock = {"type": "function", "function": {"name": "get_time"}}
    for mode, asked, names in (
        ("auto", "get_weather and get_time", ["get_time"]),
        ("auto", "Hello", []),
        ("required", "get_weather", ["get_time"]),
    ):
        choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [clock]}}
        message = await _ask(client, asked, tools=[WEATHER, CLOCK], tool_choice=choice)
        assert [call.function.name for call in message.tool_calls or ()] == names
    unknown = {"type": "function", "function": {"name": "nothing"}}
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [unknown]}}
    with pytest.raises(openai.BadRequestError):
        await _ask(client, "Hello", tools=[WEATHER], tool_choice=choice)


async def test_calls_may_alternate_and_have_bad_json(client: AsyncOpenAI) -> None:
    asked = "get_weather city=Reykjavik and get_time [[standin interleave=1 bad_json]]"
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": _require("city")}}, CLOCK]
    messages: Any = [{"role": "user", "content": asked}]
    stream: Any = await client.chat.completions.create(model=MODEL, messages=messages, tools=tools, stream=True)
    deltas = [delta async for chunk in stream for choice in chunk.choices for delta in choice.delta.tool_calls or ()]
    places = [delta.index for delta in deltas]
    assert places != sorted(places)
    assert "".join(delta.function.arguments for delta in deltas if delta.index == 0) == '{"city":"Reykjavik"'
    assert "".join(delta.function.arguments for delta in deltas if delta.index == 1) == "{"


def _require(name: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": "string"}}, "required": [name]}


@pytest.mark.parametrize("bounds", [{}, {"minItems": 3, "maxItems": 3}])
async def test_suggestions_are_three_short_texts(client: AsyncOpenAI, bounds: dict[str, int]) -> None:
    items = {"type": "string", "maxLength": 30}
    schema = {
        "type": "object",
        "properties": {"suggestions": {"type": "array", "items": items, **bounds}},
        "required": ["suggestions"],
        "additionalProperties": False,
    }
    form: Any = {"type": "json_schema", "json_schema": {"name": "next", "schema": schema, "strict": True}}
    messages: Any = [
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": "Hello, Ada."},
        {"role": "developer", "content": "Suggest three short questions that the user could ask next, as JSON."},
    ]
    answer = await client.chat.completions.create(model=MODEL, messages=messages, response_format=form)
    suggestions = msgspec.json.decode(answer.choices[0].message.content or "")["suggestions"]
    assert len(set(suggestions)) == 3
    assert all(0 < len(text) <= 30 for text in suggestions)


async def test_fields_that_do_not_change_the_answer_are_in_the_call_log(client: AsyncOpenAI, url: str) -> None:
    fields: dict[str, Any] = {
        "service_tier": "flex",
        "safety_identifier": "ada",
        "prompt_cache_key": "one",
        "metadata": {"a": "b"},
        "store": False,
        "verbosity": "low",
        "reasoning_effort": "high",
        "n": 1,
    }
    messages: Any = [{"role": "user", "content": "count to 3"}]
    answer = await client.chat.completions.create(model=MODEL, messages=messages, **fields)
    assert (answer.service_tier, answer.choices[0].message.content) == ("flex", "1 2 3")
    async with httpx.AsyncClient(timeout=WAIT_S) as http:
        body = (await http.get(f"{url}/_control/calls")).json()[-1]["body"]
    assert {name: body[name] for name in fields} == fields
