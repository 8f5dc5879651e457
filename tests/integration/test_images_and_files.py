"""Images and files in the input: sent to the model unchanged, kept with the item, never fetched by us."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from tests.support.function_tools import ASK_WEATHER, WEATHER, compose_output
from tests.support.model_calls import ModelCalls
from tests.support.oracle import check_events, read_frames
from tests.support.refusals import check_refusal
from tests.support.turns import ask, make_conversation

# One red pixel.
PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAA"
    "DUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
)
PICTURE_URL = "https://pictures.example/a%20cat.png?size=large&x=1"
FILE_DATA = base64.b64encode(b"My name is Ada.").decode()
PLACE = "input[0].content[1]"


def say(*parts: dict[str, Any], text: str = "What is this?") -> list[dict[str, Any]]:
    """A user message with text and these parts."""
    return [{"role": "user", "content": [{"type": "input_text", "text": text}, *parts]}]


def image(url: str = PNG, **more: Any) -> dict[str, Any]:
    return {"type": "input_image", "image_url": url, **more}


def file(**fields: Any) -> dict[str, Any]:
    return {"type": "input_file", **fields}


async def get_parts(model_calls: ModelCalls, words: str) -> list[dict[str, Any]]:
    """The parts of the message with these words, as the model got them."""
    messages = await model_calls.get_messages(words)
    parts: list[dict[str, Any]] = next(message["content"] for message in messages if words in str(message["content"]))
    return parts


async def test_it_works(alice: AsyncOpenAI) -> None:
    items: Any = say(image())
    response = await alice.responses.create(model="stand-in", input=items)
    assert response.status == "completed"
    assert response.output_text


@pytest.mark.parametrize("url", [PNG, PICTURE_URL], ids=["data", "https"])
@pytest.mark.parametrize("detail", ["low", "high", "auto"])
async def test_an_image_reaches_the_model_unchanged(
    http: httpx.AsyncClient, model_calls: ModelCalls, url: str, detail: str
) -> None:
    assert (await ask(http, "", input=say(image(url, detail=detail), text="Look here"))).status_code == 200
    text, picture = await get_parts(model_calls, "Look here")
    assert text == {"type": "text", "text": "Look here"}
    assert picture == {"type": "image_url", "image_url": {"url": url, "detail": detail}}


async def test_parts_keep_their_order(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    last = {"type": "input_text", "text": "and this last"}
    await ask(http, "", input=say(image(PICTURE_URL), image(), last, text="In order"))
    parts = await get_parts(model_calls, "In order")
    assert [part["type"] for part in parts] == ["text", "image_url", "image_url", "text"]
    assert [part["image_url"]["url"] for part in parts[1:3]] == [PICTURE_URL, PNG]


@pytest.mark.parametrize("way", ["previous_response_id", "conversation"])
async def test_the_next_turn_still_sees_the_image(http: httpx.AsyncClient, model_calls: ModelCalls, way: str) -> None:
    where = {"conversation": await make_conversation(http)} if way == "conversation" else {}
    first = (await ask(http, "", input=say(image(PICTURE_URL)), **where)).json()
    more = where or {"previous_response_id": first["id"]}
    await ask(http, "And what colour is it?", **more)
    messages = await model_calls.get_messages("what colour")
    assert PICTURE_URL in json.dumps(messages[0]["content"])


async def test_an_image_is_kept_as_it_was_sent(http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    await ask(http, "", input=say(image()), conversation=conversation_id)
    page = await http.get(
        f"/v1/conversations/{conversation_id}/items",
        params={"order": "asc", "include[]": "message.input_image.image_url"},
    )
    content = page.json()["data"][0]["content"]
    assert [part["type"] for part in content] == ["input_text", "input_image"]
    assert content[1] == {"type": "input_image", "image_url": PNG, "detail": "auto"}


async def test_a_function_may_return_an_image(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    first = (await ask(http, ASK_WEATHER, tools=[WEATHER])).json()
    parts = [{"type": "input_text", "text": "the sky"}, image(PICTURE_URL)]
    output = compose_output(first["output"][0], parts)
    answer = await ask(http, "", input=[output], previous_response_id=first["id"])
    assert answer.status_code == 200
    assert PICTURE_URL in json.dumps(await model_calls.get_messages("the sky"))


async def test_a_large_image_passes(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    url = "data:image/jpeg;base64," + base64.b64encode(bytes(1024 * 1024)).decode()
    assert (await ask(http, "", input=say(image(url), text="A large one"))).status_code == 200
    assert (await get_parts(model_calls, "A large one"))[1]["image_url"]["url"] == url


async def test_a_file_reaches_the_model_unchanged(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    data = f"data:text/plain;base64,{FILE_DATA}"
    sent = say(file(filename="facts.txt", file_data=data), text="Read this")
    assert (await ask(http, "", input=sent)).status_code == 200
    _, given = await get_parts(model_calls, "Read this")
    assert given == {"type": "file", "file": {"filename": "facts.txt", "file_data": data}}


async def test_a_file_in_bare_base64_is_understood_or_refused(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    """The specification allows it. OpenAI's models want a data URL, and say so."""
    answer = await ask(http, "", input=say(file(filename="facts.txt", file_data=FILE_DATA), text="Read that"))
    if answer.status_code == 200:
        assert FILE_DATA in json.dumps(await model_calls.get_messages("Read that"))
    else:
        check_refusal(answer, code=None)


@pytest.fixture
async def visited(unused_tcp_port: int) -> AsyncIterator[tuple[str, list[int]]]:
    """An address, and the requests it received."""
    visits: list[int] = []

    async def note(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append(1)
        writer.close()

    async with await asyncio.start_server(note, "127.0.0.1", unused_tcp_port):
        yield f"http://127.0.0.1:{unused_tcp_port}/facts.pdf", visits


async def test_urls_are_passed_on_and_never_fetched(
    http: httpx.AsyncClient, model_calls: ModelCalls, visited: tuple[str, list[int]]
) -> None:
    url, visits = visited
    sent = say(image(url), file(file_url=url, filename="facts.pdf"), text="Fetch nothing")
    answer = await http.post("/v1/responses", json={"input": sent})
    assert answer.status_code == 200
    assert json.dumps(await model_calls.get_messages("Fetch nothing")).count(url) == 2
    assert visits == []


@pytest.mark.parametrize(
    "url", ["http://10.0.0.5/", "http://localhost:6379/", "http://2130706433/", "https://a@b.example/"]
)
async def test_no_private_host_is_named_to_the_models_server(
    http: httpx.AsyncClient, model_calls: ModelCalls, url: str
) -> None:
    for part, name in ((image(url), "image_url"), (file(file_url=url), "file_url")):
        check_refusal(await ask(http, "", input=say(part)), code=None, param=f"{PLACE}.{name}")
    output = {"type": "function_call_output", "call_id": "c", "output": [image(url)]}
    refused = await ask(http, "", input=[output])
    check_refusal(refused, code=None, param="input[0].output[0].image_url")
    refused = await http.post("/v1/conversations", json={"items": say(image(url))})
    check_refusal(refused, code=None, param="items[0].content[1].image_url")
    assert await model_calls.list_bodies() == []


BROKEN_IMAGES = ["data:image/png;base64,not_valid_base64_data!!!", f"{PNG}%"]


@pytest.mark.parametrize("url", BROKEN_IMAGES)
async def test_broken_base64_is_told_with_the_documented_code(
    http: httpx.AsyncClient, model_calls: ModelCalls, url: str
) -> None:
    answer = await ask(http, "", input=say(image(url)))
    check_refusal(answer, code="invalid_base64_image", param=f"{PLACE}.image_url")
    assert await model_calls.list_bodies() == []


@pytest.mark.parametrize("url", BROKEN_IMAGES)
async def test_broken_base64_in_a_stream_has_the_same_code(http: httpx.AsyncClient, url: str) -> None:
    """As an ordinary refusal or as the failure of a stream; clients handle both."""
    answer = await ask(http, "", input=say(image(url)), stream=True)
    if answer.status_code == 200:
        assert check_events(read_frames(answer.content))["error"]["code"] == "invalid_base64_image"
    else:
        check_refusal(answer, code="invalid_base64_image")


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "input_image"}, f"{PLACE}.image_url"),
        (image(""), f"{PLACE}.image_url"),
        (image("a cat"), f"{PLACE}.image_url"),
        (image("file:///etc/passwd"), f"{PLACE}.image_url"),
        (image("javascript:alert(1)"), f"{PLACE}.image_url"),
        (image("data:text/html;base64,aGk="), f"{PLACE}.image_url"),
        (image("data:image/png;base64,"), f"{PLACE}.image_url"),
        (image(detail=3), f"{PLACE}.detail"),
        ({"type": "input_image", "image_url": {"url": PNG}}, f"{PLACE}.image_url"),
        (file(), PLACE),
        (file(filename="x.txt"), PLACE),
        (file(filename="x.txt", file_data="%%%"), f"{PLACE}.file_data"),
        (file(filename=3, file_data=FILE_DATA), f"{PLACE}.filename"),
        (file(file_url="file:///etc/passwd"), f"{PLACE}.file_url"),
        (file(file_url="nonsense"), f"{PLACE}.file_url"),
        (file(file={"file_data": FILE_DATA}), PLACE),
        ({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, f"{PLACE}.type"),
        ({"type": "input_video", "video_url": "https://x.example/"}, f"{PLACE}.type"),
    ],
)
async def test_odd_parts_are_refused_with_their_place(
    http: httpx.AsyncClient, part: dict[str, Any], param: str
) -> None:
    error = check_refusal(await ask(http, "", input=say(part)), code=None)
    assert error["param"].startswith(param)


@pytest.mark.parametrize("role", ["system", "developer", "assistant"])
@pytest.mark.parametrize("part", [image(), file(filename="x.txt", file_data=FILE_DATA)], ids=["image", "file"])
async def test_only_a_user_sends_images_and_files(http: httpx.AsyncClient, role: str, part: dict[str, Any]) -> None:
    answer = await ask(http, "", input=[{"role": role, "content": [part]}])
    check_refusal(answer, param="input[0].content[0].type")


async def test_a_model_that_cannot_see_is_not_our_failure(http: httpx.AsyncClient) -> None:
    answer = await ask(http, "", input=say(image(), text="Look [[standin status=400]]"))
    check_refusal(answer, code=None)
