"""Alice's objects do not exist for Bob: he gets the answer of an unknown id."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Any

import httpx
import pytest

from tests.support.oracle import check_answer
from tests.support.service import Service

UNKNOWN = {prefix: f"{prefix}_" + "0" * 32 for prefix in ("conv", "resp", "msg", "vs", "vsfb", "pmpt")}
UNKNOWN["file"] = "file-" + "0" * 32


@dataclass(frozen=True)
class Things:
    """The ids of Alice's objects."""

    conv: str
    resp: str
    msg: str
    file: str
    vs: str
    vsfb: str
    pmpt: str


@pytest.fixture
async def bobs_http(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """A client with Bob's key."""
    headers = {"Authorization": f"Bearer {service.bob_key}"}
    hooks = {"response": [check_answer]}
    async with httpx.AsyncClient(base_url=service.url, headers=headers, event_hooks=hooks, timeout=30) as client:
        yield client


@pytest.fixture
async def things(http: httpx.AsyncClient) -> Things:
    """A conversation of Alice's, with a turn."""
    conversation = (await http.post("/v1/conversations", json={"metadata": {"secret": "swordfish"}})).json()["id"]
    body = {"input": "My name is Ada.", "conversation": conversation}
    response = (await http.post("/v1/responses", json=body)).json()
    form = {"file": ("secret.txt", b"swordfish")}
    file = (await http.post("/v1/files", files=form, data={"purpose": "assistants"})).json()
    store = (await http.post("/v1/vector_stores")).json()["id"]
    batch = (await http.post(f"/v1/vector_stores/{store}/file_batches", json={"file_ids": [file["id"]]})).json()["id"]
    said = response["output"][0]["id"]
    prompt = (await http.post("/v1/prompts", json={"prompt": "swordfish"})).json()["id"]
    return Things(conv=conversation, resp=response["id"], msg=said, file=file["id"], vs=store, vsfb=batch, pmpt=prompt)


# Method, path and body with {conv}, {resp} and {msg} to fill in, and the error code.
REACHES: list[tuple[tuple[str, str, Any], str]] = [
    (("GET", "/v1/responses/{resp}", None), "response_not_found"),
    (("GET", "/v1/files/{file}", None), "file_not_found"),
    (("GET", "/v1/files/{file}/content", None), "file_not_found"),
    (("DELETE", "/v1/files/{file}", None), "file_not_found"),
    (("GET", "/v1/files?after={file}", None), "file_not_found"),
    (("POST", "/v1/vector_stores", {"file_ids": ["{file}"]}), "file_not_found"),
    (("GET", "/v1/vector_stores?after={vs}", None), "vector_store_not_found"),
    (("GET", "/v1/vector_stores/{vs}", None), "vector_store_not_found"),
    (("POST", "/v1/vector_stores/{vs}", {"name": "Bob's"}), "vector_store_not_found"),
    (("DELETE", "/v1/vector_stores/{vs}", None), "vector_store_not_found"),
    (("POST", "/v1/vector_stores/{vs}/search", {"query": "swordfish"}), "vector_store_not_found"),
    (("GET", "/v1/vector_stores/{vs}/files", None), "vector_store_not_found"),
    (("POST", "/v1/vector_stores/{vs}/files", {"file_id": "{file}"}), "vector_store_not_found"),
    (("GET", "/v1/vector_stores/{vs}/files/{file}", None), "vector_store_not_found"),
    (("POST", "/v1/vector_stores/{vs}/files/{file}", {"attributes": {}}), "vector_store_not_found"),
    (("DELETE", "/v1/vector_stores/{vs}/files/{file}", None), "vector_store_not_found"),
    (("GET", "/v1/vector_stores/{vs}/files/{file}/content", None), "vector_store_not_found"),
    (("POST", "/v1/vector_stores/{vs}/file_batches", {"file_ids": ["{file}"]}), "vector_store_not_found"),
    (("GET", "/v1/vector_stores/{vs}/file_batches/{vsfb}", None), "vector_store_not_found"),
    (("POST", "/v1/vector_stores/{vs}/file_batches/{vsfb}/cancel", None), "vector_store_not_found"),
    (("GET", "/v1/vector_stores/{vs}/file_batches/{vsfb}/files", None), "vector_store_not_found"),
    (("GET", "/v1/prompts/{pmpt}", None), "prompt_not_found"),
    (("GET", "/v1/prompts/{pmpt}/versions", None), "prompt_not_found"),
    (("GET", "/v1/prompts?after={pmpt}", None), "prompt_not_found"),
    (("PUT", "/v1/prompts/{pmpt}", {"version": 1, "prompt": "Bob's"}), "prompt_not_found"),
    (("PUT", "/v1/prompts/{pmpt}/set-default-version", {"version": 1}), "prompt_not_found"),
    (("DELETE", "/v1/prompts/{pmpt}", None), "prompt_not_found"),
    (("POST", "/v1/responses", {"input": "Hi", "prompt": {"id": "{pmpt}"}}), "prompt_not_found"),
    (("GET", "/v1/conversations/{conv}", None), "conversation_not_found"),
    (("POST", "/v1/client_secrets", {"conversation": "{conv}"}), "conversation_not_found"),
    (("POST", "/v1/conversations/{conv}", {"metadata": {"by": "Bob"}}), "conversation_not_found"),
    (("GET", "/v1/conversations/{conv}/items", None), "conversation_not_found"),
    (("GET", "/v1/conversations/{conv}/items?after={msg}", None), "conversation_not_found"),
    (
        ("POST", "/v1/conversations/{conv}/items", {"items": [{"role": "user", "content": "by Bob"}]}),
        "conversation_not_found",
    ),
    (("GET", "/v1/conversations?after={conv}", None), "conversation_not_found"),
    (("POST", "/v1/responses", {"input": "Hi", "conversation": "{conv}"}), "conversation_not_found"),
    (("POST", "/v1/responses", {"input": "Hi", "conversation": {"id": "{conv}"}}), "conversation_not_found"),
    (("POST", "/v1/responses", {"input": "Hi", "conversation": "{conv}", "stream": True}), "conversation_not_found"),
    (("POST", "/v1/responses", {"input": "Hi", "previous_response_id": "{resp}"}), "previous_response_not_found"),
]


def fill(template: str, ids: dict[str, str]) -> str:
    """The template with its ids."""
    for prefix, public_id in ids.items():
        template = template.replace(f"{{{prefix}}}", public_id)
    return template


async def reach(client: httpx.AsyncClient, method: str, path: str, body: Any, ids: dict[str, str]) -> httpx.Response:
    """One request for these ids."""
    content = None if body is None else fill(json.dumps(body), ids)
    return await client.request(method, fill(path, ids), content=content)


@pytest.mark.parametrize(("request_", "code"), REACHES)
async def test_alices_things_are_unknown_to_bob(
    http: httpx.AsyncClient, bobs_http: httpx.AsyncClient, things: Things, request_: tuple[str, str, Any], code: str
) -> None:
    ids = asdict(things)
    before = [
        (await http.get(fill(path, ids))).content for path in ("/v1/conversations/{conv}", "/v1/responses/{resp}")
    ]
    answer = await reach(bobs_http, *request_, ids)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == code
    unknown = (await reach(bobs_http, *request_, UNKNOWN)).text
    for prefix, public_id in UNKNOWN.items():
        unknown = unknown.replace(public_id, ids[prefix])
    assert answer.text == unknown
    after = [(await http.get(fill(path, ids))).content for path in ("/v1/conversations/{conv}", "/v1/responses/{resp}")]
    assert after == before
    assert len((await http.get(fill("/v1/conversations/{conv}/items", ids))).json()["data"]) == 2


async def test_lists_show_only_the_owners_objects(
    http: httpx.AsyncClient, bobs_http: httpx.AsyncClient, things: Things
) -> None:
    bobs = (await bobs_http.post("/v1/conversations")).json()["id"]
    alices_list = (await http.get("/v1/conversations", params={"limit": 100})).text
    bobs_list = (await bobs_http.get("/v1/conversations", params={"limit": 100})).text
    assert things.conv in alices_list
    assert bobs not in alices_list
    assert bobs in bobs_list
    assert things.conv not in bobs_list


async def test_an_item_of_alices_is_no_place_to_begin_in_bobs_conversation(
    bobs_http: httpx.AsyncClient, things: Things
) -> None:
    bobs = (await bobs_http.post("/v1/conversations")).json()["id"]
    answers = [
        await bobs_http.get(f"/v1/conversations/{bobs}/items", params={"after": after})
        for after in (things.msg, UNKNOWN["msg"])
    ]
    assert [answer.json()["error"]["code"] for answer in answers] == ["item_not_found"] * 2


async def test_alice_has_access_to_her_own(http: httpx.AsyncClient, things: Things) -> None:
    assert (await http.get(f"/v1/responses/{things.resp}")).status_code == 200
    for anchor in ({"conversation": things.conv}, {"previous_response_id": things.resp}):
        answer = (await http.post("/v1/responses", json={"input": "What is my name?", **anchor})).json()
        assert answer["output"][0]["content"][0]["text"] == "Your name is Ada."
