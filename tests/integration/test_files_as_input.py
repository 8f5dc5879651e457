"""Files named by their ids in the input: read when the item comes, kept with it for the model, never shown."""

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI
from redis.asyncio import Redis

from tests.support.function_tools import ASK_WEATHER, WEATHER, compose_output
from tests.support.model_calls import ModelCalls
from tests.support.refusals import UNKNOWN_FILE, check_refusal
from tests.support.server_fixtures import StartReplica
from tests.support.servers import eventually
from tests.support.service import Service
from tests.support.turns import Stream, ask, make_conversation, open_client

FACTS = b"The wheel is red."
FACTS_DATA = f"data:text/plain;base64,{base64.b64encode(FACTS).decode()}"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
)
PNG_DATA = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
PLACE = "input[0].content[1].file_id"


async def upload(client: httpx.AsyncClient, content: bytes = FACTS, name: str = "facts.txt") -> str:
    answer = await client.post("/v1/files", files={"file": (name, content)}, data={"purpose": "user_data"})
    return str(answer.json()["id"])


def say(*parts: dict[str, Any], text: str = "What is this?") -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "input_text", "text": text}, *parts]}]


def file(file_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "input_file", "file_id": file_id, **more}


def image(file_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "input_image", "file_id": file_id, **more}


async def get_parts(model_calls: ModelCalls, words: str) -> list[dict[str, Any]]:
    messages = await model_calls.get_messages(words)
    return [part for each in messages if isinstance(each["content"], list) for part in each["content"]]


async def test_it_works(alice: AsyncOpenAI, model_calls: ModelCalls) -> None:
    uploaded = await alice.files.create(file=("facts.txt", FACTS), purpose="user_data")
    items: Any = say(file(uploaded.id), text="Read this")
    assert (await alice.responses.create(model="stand-in", input=items)).status == "completed"
    _, given = await get_parts(model_calls, "Read this")
    assert given == {"type": "file", "file": {"filename": "facts.txt", "file_data": FACTS_DATA}}


async def test_an_image_is_what_its_content_says(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    file_id = await upload(http, PNG, "picture.txt")
    assert (await ask(http, "", input=say(image(file_id, detail="low"), text="Look at it"))).status_code == 200
    _, given = await get_parts(model_calls, "Look at it")
    assert given == {"type": "image_url", "image_url": {"url": PNG_DATA, "detail": "low"}}


@pytest.mark.parametrize("way", ["previous_response_id", "conversation"])
async def test_the_next_turn_still_has_it_when_the_file_is_gone(
    http: httpx.AsyncClient, model_calls: ModelCalls, way: str
) -> None:
    where = {"conversation": await make_conversation(http)} if way == "conversation" else {}
    file_id, picture_id = await upload(http), await upload(http, PNG, "a.png")
    first = (await ask(http, "", input=say(file(file_id), image(picture_id)), **where)).json()
    for each in (file_id, picture_id):
        await http.delete(f"/v1/files/{each}")
    await ask(http, "And what colour is it now?", **(where or {"previous_response_id": first["id"]}))
    parts = await get_parts(model_calls, "what colour is it now")
    assert parts[1]["file"]["file_data"] == FACTS_DATA
    assert parts[2]["image_url"]["url"] == PNG_DATA


async def test_nobody_is_shown_more_than_the_id(http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    file_id, picture_id = await upload(http), await upload(http, PNG, "a.png")
    sent = say(file(file_id), image(picture_id))
    response = await ask(http, "", input=sent, conversation=conversation_id)
    created = await http.post(f"/v1/conversations/{conversation_id}/items", json={"items": sent})
    listed = await http.get(f"/v1/conversations/{conversation_id}/items", params={"order": "asc"})
    item_id = listed.json()["data"][0]["id"]
    shown = [
        response,
        created,
        listed,
        await http.get(f"/v1/conversations/{conversation_id}/items/{item_id}"),
        await http.get(f"/v1/responses/{response.json()['id']}/input_items"),
        await http.get(f"/v1/conversations/{conversation_id}/export"),
        await http.get(f"/v1/conversations/{conversation_id}/export", params={"format": "markdown"}),
    ]
    for answer in shown:
        assert answer.status_code == 200
        assert "base64" not in answer.text
        assert "eps:kept" not in answer.text
    for content in (listed.json()["data"][0]["content"], shown[4].json()["data"][0]["content"]):
        assert content[1] == {"type": "input_file", "file_id": file_id}
        assert content[2] == {"type": "input_image", "image_url": None, "detail": "auto", "file_id": picture_id}


async def test_an_item_that_is_named_brings_its_files(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    conversation_id = await make_conversation(http)
    file_id = await upload(http)
    items = {"items": say(file(file_id, filename="wheels.txt"))}
    created = (await http.post(f"/v1/conversations/{conversation_id}/items", json=items)).json()
    await http.delete(f"/v1/files/{file_id}")
    reference = {"type": "item_reference", "id": created["data"][0]["id"]}
    answer = await ask(http, "", input=[reference, {"role": "user", "content": "Of that wheel"}])
    assert answer.status_code == 200
    parts = await get_parts(model_calls, "Of that wheel")
    assert parts[1]["file"] == {"filename": "wheels.txt", "file_data": FACTS_DATA}
    shown = (await http.get(f"/v1/responses/{answer.json()['id']}/input_items")).text
    assert "base64" not in shown


async def test_the_output_of_a_function_may_name_files(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    first = (await ask(http, ASK_WEATHER, tools=[WEATHER])).json()
    parts = [{"type": "input_text", "text": "the sky above"}, image(await upload(http, PNG, "a.png"))]
    output = compose_output(first["output"][0], parts)
    answer = await ask(http, "", input=[output], previous_response_id=first["id"])
    assert answer.status_code == 200
    assert PNG_DATA in json.dumps(await model_calls.get_messages("the sky above"))


async def test_a_compacted_history_shows_ids_and_goes_on_with_the_files(
    http: httpx.AsyncClient, model_calls: ModelCalls
) -> None:
    file_id = await upload(http)
    first = (await ask(http, "", input=say(file(file_id)))).json()
    compacted = await http.post(
        "/v1/responses/compact", json={"model": "stand-in", "previous_response_id": first["id"]}
    )
    assert compacted.status_code == 200
    assert "base64" not in compacted.text
    assert "base64" not in (await http.get(f"/v1/responses/{compacted.json()['id']}")).text
    await http.delete(f"/v1/files/{file_id}")
    await ask(http, "And after that summary?", previous_response_id=compacted.json()["id"])
    assert FACTS_DATA in json.dumps(await model_calls.get_messages("after that summary"))


async def test_a_large_file_is_told_whole(http: httpx.AsyncClient, model_calls: ModelCalls) -> None:
    content = bytes(range(256)) * 28_000  # 7.2 MB
    file_id = await upload(http, content, "a.bin")
    first = await ask(http, "", input=say(file(file_id), text="A large one, by its id"))
    assert first.status_code == 200
    data = f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"
    assert (await get_parts(model_calls, "A large one, by its id"))[1]["file"]["file_data"] == data
    listed = await http.get(f"/v1/responses/{first.json()['id']}/input_items")
    assert len(listed.content) < 2_000


async def test_files_that_are_too_large_together_are_refused(http: httpx.AsyncClient) -> None:
    file_id = await upload(http, bytes(4_000_000), "a.bin")
    answer = await ask(http, "", input=say(file(file_id), file(file_id)))
    error = check_refusal(answer, param="input[0].content[2].file_id")
    assert "7.5 MB" in error["message"]


async def test_what_is_no_image_is_refused(http: httpx.AsyncClient) -> None:
    answer = await ask(http, "", input=say(image(await upload(http, FACTS, "a.png"))))
    error = check_refusal(answer, param=PLACE)
    assert "not an image" in error["message"]


async def test_a_thousand_files_of_a_byte_are_too_many(http: httpx.AsyncClient) -> None:
    """Of each a name of a kilobyte would be kept; and reading them would take a minute."""
    file_id = await upload(http, b"x", "\N{OLD PERSONAL COMPUTER}" * 240 + ".txt")
    check_refusal(await ask(http, "", input=say(*[file(file_id)] * 501)), param="input")
    check_refusal(await ask(http, "", input=say(file(file_id)) * 501), param="input")
    assert (await ask(http, "", input=say(*[file(file_id)] * 500))).status_code == 200


@pytest.mark.parametrize("kind", ["input_file", "input_image"])
async def test_a_file_that_is_not_there_is_named_by_its_place(
    http: httpx.AsyncClient, bob: AsyncOpenAI, kind: str
) -> None:
    bobs = (await bob.files.create(file=("a.png", PNG), purpose="vision")).id
    deleted = await upload(http, PNG, "a.png")
    await http.delete(f"/v1/files/{deleted}")
    conversation_id = await make_conversation(http)
    for file_id in (bobs, deleted, UNKNOWN_FILE, "file-abc"):
        part = {"type": kind, "file_id": file_id}
        answer = await ask(http, "", input=say(part))
        assert file_id in check_refusal(answer, status=404, code="file_not_found", param=PLACE)["message"]
        items = {"items": say(part)}
        answer = await http.post(f"/v1/conversations/{conversation_id}/items", json=items)
        check_refusal(answer, status=404, code="file_not_found", param=PLACE.replace("input", "items"))
        answer = await http.post("/v1/conversations", json=items)
        check_refusal(answer, status=404, code="file_not_found", param=PLACE.replace("input", "items"))
        answer = await http.post("/v1/responses/input_tokens", json={"input": say(part)})
        check_refusal(answer, status=404, code="file_not_found", param=PLACE)


@pytest.mark.parametrize(
    "part",
    [
        file("vs_1"),
        image("conv_1"),
        file(UNKNOWN_FILE, file_data=FACTS_DATA),
        file(UNKNOWN_FILE, file_url="https://example.com/a.pdf"),
        image(UNKNOWN_FILE, image_url=PNG_DATA),
    ],
)
async def test_an_id_of_another_kind_or_beside_the_content_is_refused(
    http: httpx.AsyncClient, part: dict[str, Any]
) -> None:
    code = "invalid_request_error"
    if "file_data" in part or "file_url" in part or "image_url" in part:
        part = {**part, "file_id": await upload(http)}
    check_refusal(await ask(http, "", input=say(part)), code=code, param=PLACE)


async def test_what_a_file_holds_counts_as_input(http: httpx.AsyncClient) -> None:
    words = "word " * 4_000
    file_id = await upload(http, words.encode(), "a.txt")

    async def count(*parts: dict[str, Any]) -> int:
        answer = await http.post("/v1/responses/input_tokens", json={"input": say(*parts)})
        return int(answer.json()["input_tokens"])

    told = await count({"type": "input_text", "text": words})
    assert await count(file(file_id)) == pytest.approx(told, rel=0.1)


async def test_a_takeover_needs_no_file(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica, model_calls: ModelCalls
) -> None:
    replica = await asyncio.to_thread(start_replica, {**service.environment, "LEASE_S": "1"})
    file_id = await upload(http)
    async with open_client(http, replica) as client:
        words = "count to 30 [[standin token_s=0.05]]"
        stream = Stream.of_turn(client, words, input=say(file(file_id), text=words))
        await stream.see_words(2)
        response_id = await stream.get_id()
        await http.delete(f"/v1/files/{file_id}")
        await asyncio.to_thread(replica.kill)
        await stream.read_broken()

    async def has_ended() -> bool:
        return str((await http.get(f"/v1/responses/{response_id}")).json()["status"]) == "completed"

    await eventually(has_ended, within_s=20)
    bodies = [body for body in await model_calls.list_bodies() if "count to 30" in json.dumps(body)]
    assert len(bodies) >= 2
    assert all(FACTS_DATA in json.dumps(body) for body in bodies)


async def test_nothing_is_left_when_the_response_is_erased(service: Service, http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    await ask(http, "", input=say(file(await upload(http, b"swordfish-" + FACTS))), conversation=conversation_id)
    await http.delete(f"/v1/conversations/{conversation_id}")
    async with Redis.from_url(service.valkey.url) as redis:
        left = [key async for key in redis.scan_iter(f"*{conversation_id}*", count=1000)]
    assert all(b"conv:" in key for key in left)  # its tombstone
