"""Answers from files over HTTP: searched by the model or before it, cited, stored, exported, and taken over."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, NotFoundError

from tests.integration.test_takeover import open_victim
from tests.support.oracle import check_events, read_frames
from tests.support.server_fixtures import StartReplica
from tests.support.servers import Replica, eventually
from tests.support.service import Service
from tests.support.turns import Stream, open_client

TERMS = """# Terms

## Munich

The notice period in Munich is four weeks. It begins on the first of a month.

## Berlin

The notice period in Berlin is six weeks. It begins at once.
"""
CANTEEN = "# Canteen\n\nThe canteen opens at noon. Soup is free on Fridays."
POLL_MS = 100
# A search waits for its index for some seconds at most.
WITHOUT_INDEX_S = 20


@pytest.fixture
async def store_id(alice: AsyncOpenAI) -> str:
    """A vector store with two files, indexed."""
    store = await alice.vector_stores.create(name="Handbook")
    for name, text in {"terms.md": TERMS, "canteen.md": CANTEEN}.items():
        await alice.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=(name, text.encode()), poll_interval_ms=POLL_MS
        )
    return store.id


def tool(*store_ids: str, **fields: Any) -> dict[str, Any]:
    """The tool in a request."""
    return {"type": "file_search", "vector_store_ids": list(store_ids), **fields}


def body(text: str, *store_ids: str, when: str = "always", **fields: Any) -> dict[str, Any]:
    """A request that may search."""
    asked = text if when == "always" else f"Use file_search: {text}"
    return {"model": "stand-in", "input": asked, "tools": [tool(*store_ids, **{"eps:when": when})], **fields}


async def create(http: httpx.AsyncClient, given: dict[str, Any], *, status: int = 200) -> dict[str, Any]:
    """One response, whole."""
    answer = await http.post("/v1/responses", json=given)
    assert answer.status_code == status, answer.text
    read: dict[str, Any] = answer.json()
    return read


async def stream(http: httpx.AsyncClient, given: dict[str, Any]) -> list[dict[str, Any]]:
    """All events of a response, checked."""
    raw = await Stream(http, "POST", "/v1/responses", json={**given, "stream": True}).read()
    events = read_frames(raw)
    check_events(events)
    return events


def list_cited(response: dict[str, Any]) -> Sequence[tuple[str, int]]:
    """The files that the last message cites, with their places."""
    [part] = response["output"][-1]["content"]
    assert all(note["type"] == "file_citation" for note in part["annotations"])
    return [(note["filename"], note["index"]) for note in part["annotations"]]


# --- an answer ---


@pytest.mark.parametrize("when", ["auto", "always"])
async def test_an_answer_cites_a_file(http: httpx.AsyncClient, store_id: str, when: str) -> None:
    given = body("What is the notice period in Berlin?", store_id, when=when)
    response = await create(http, {**given, "include": ["file_search_call.results"]})
    search, message = response["output"]
    [part] = message["content"]
    assert "six weeks" in part["text"]
    assert "[" not in part["text"]
    assert list_cited(response)[0][0] == "terms.md"
    assert search["status"] == "completed"
    assert any("Berlin" in query for query in search["queries"])
    assert {"terms.md"} <= {result["filename"] for result in search["results"]}
    assert response["tools"] == [
        {
            "type": "file_search",
            "vector_store_ids": [store_id],
            "filters": None,
            "max_num_results": 20,
            "ranking_options": {"ranker": "auto", "score_threshold": 0.0},
            "eps:when": when,
        }
    ]
    passages = (await http.get(f"/v1/responses/{response['id']}/passages")).json()
    cited = [note["eps:passage"] for note in part["annotations"]]
    assert set(cited) <= {passage["index"] for passage in passages["data"]}
    assert any("six weeks" in passage["text"] for passage in passages["data"])
    assert response["eps:model_input"]["passages"] == len(passages["data"])


@pytest.mark.parametrize("when", ["auto", "always"])
async def test_events_come_in_the_documented_order_and_again(http: httpx.AsyncClient, store_id: str, when: str) -> None:
    events = await stream(http, body("What is the notice period in Munich?", store_id, when=when))
    kinds = [event["type"].removeprefix("response.") for event in events]
    first = [kind for kind in kinds if not kind.endswith("delta")]
    assert first[:9] == [
        *("created", "in_progress"),
        *("output_item.added", "file_search_call.in_progress", "file_search_call.searching"),
        *("file_search_call.completed", "output_item.done", "output_item.added", "content_part.added"),
    ]
    assert "output_text.annotation.added" in kinds
    response = events[-1]["response"]
    stored = await http.get(f"/v1/responses/{response['id']}")
    assert stored.json() == response
    assert read_frames(await Stream.of_response(http, response["id"]).read()) == events


async def test_a_question_that_goes_on_is_understood(http: httpx.AsyncClient, store_id: str) -> None:
    first = await create(http, body("What is the notice period in Munich?", store_id))
    given = body("And in Berlin?", store_id, previous_response_id=first["id"])
    second = await create(http, given)
    assert "Berlin" in second["output"][-1]["content"][0]["text"]
    assert "six weeks" in second["output"][-1]["content"][0]["text"]


async def test_the_sdk_reads_it(alice: AsyncOpenAI, store_id: str) -> None:
    response = await alice.responses.create(
        model="stand-in",
        input="Use file_search: When does the canteen open?",
        tools=[{"type": "file_search", "vector_store_ids": [store_id], "max_num_results": 2}],
        tool_choice={"type": "file_search"},
        include=["file_search_call.results"],
    )
    assert response.tools[0].type == "file_search"
    search, message = response.output
    assert search.type == "file_search_call"
    assert search.results
    assert search.results[0].filename == "canteen.md"
    assert message.type == "message"
    [part] = message.content
    assert part.type == "output_text"
    assert part.annotations[0].type == "file_citation"
    assert part.annotations[0].filename == "canteen.md"
    assert part.annotations[0].index <= len(part.text)


async def test_results_can_be_asked_for_afterwards(alice: AsyncOpenAI, http: httpx.AsyncClient, store_id: str) -> None:
    asked = body("When does the canteen open?", store_id, when="auto")
    response = await create(http, asked)
    assert response["output"][0]["results"] is None
    path = f"/v1/responses/{response['id']}"
    shown = await alice.responses.retrieve(response["id"], include=["file_search_call.results"])
    [search, _] = shown.output
    assert search.type == "file_search_call"
    [result] = search.results or []
    assert (result.filename, result.text) == (
        "canteen.md",
        "Canteen\n\nThe canteen opens at noon. Soup is free on Fridays.",
    )
    with_results = (await http.get(path, params={"include[]": "file_search_call.results"})).json()
    with_results["output"][0]["results"] = None
    assert with_results == response == (await http.get(path)).json()
    conversation_id = (await http.post("/v1/conversations")).json()["id"]
    said = await create(http, {**asked, "conversation": conversation_id})
    listing = alice.conversations.items.list(conversation_id, include=["file_search_call.results"], order="asc")
    items = [item.to_dict() async for item in listing]
    assert items[1]["results"] == [result.to_dict()]
    assert [items[0]["type"], items[2]] == ["message", said["output"][1]]
    await http.delete(f"/v1/responses/{said['id']}")
    gone = await alice.conversations.items.list(conversation_id, include=["file_search_call.results"], order="asc")
    assert gone.data[1].to_dict()["results"] is None
    nothing = await create(http, body("Zyzzyva?", store_id))
    shown = await alice.responses.retrieve(nothing["id"], include=["file_search_call.results"])
    assert shown.output[0].to_dict()["results"] == []


async def test_citations_survive_their_file(http: httpx.AsyncClient, alice: AsyncOpenAI, store_id: str) -> None:
    response = await create(http, body("When does the canteen open?", store_id))
    before = (await http.get(f"/v1/responses/{response['id']}/passages")).json()
    for file in (await alice.vector_stores.files.list(store_id)).data:
        await alice.files.delete(file.id)
    await alice.vector_stores.delete(store_id)
    assert (await http.get(f"/v1/responses/{response['id']}/passages")).json() == before
    assert before["data"]
    await http.delete(f"/v1/responses/{response['id']}")
    assert (await http.get(f"/v1/responses/{response['id']}/passages")).status_code == 404


async def test_passages_are_their_owners(http: httpx.AsyncClient, bob: AsyncOpenAI, store_id: str) -> None:
    response = await create(http, body("When does the canteen open?", store_id))
    with pytest.raises(NotFoundError) as caught:
        await bob.get(f"/responses/{response['id']}/passages", cast_to=object)
    assert caught.value.code == "response_not_found"
    plain = await create(http, {"model": "stand-in", "input": "Hello"})
    assert (await http.get(f"/v1/responses/{plain['id']}/passages")).json() == {"object": "list", "data": []}


# --- what is refused ---


async def test_an_unknown_store_is_a_404_when_it_is_used(
    http: httpx.AsyncClient, bob: AsyncOpenAI, store_id: str
) -> None:
    others = (await bob.vector_stores.create()).id
    for unknown in ("vs_" + "0" * 32, "vs_nonsense", others):
        for given in (
            body("When?", unknown),
            body("When?", store_id, unknown),
            body("When?", unknown, when="auto"),
            body("When?", unknown, when="auto", tool_choice={"type": "file_search"}),
        ):
            error = (await create(http, given, status=404))["error"]
            assert (error["code"], error["param"]) == ("vector_store_not_found", "tools[0].vector_store_ids")
            assert unknown in error["message"]
        unused = {**body("x", unknown, when="auto"), "input": "Hello"}
        assert (await create(http, unused))["status"] == "completed"
        assert (await create(http, {**body("When?", unknown), "tool_choice": "none"}))["status"] == "completed"


async def test_a_conversation_goes_on_behind_a_refused_search(http: httpx.AsyncClient) -> None:
    conversation_id = (await http.post("/v1/conversations")).json()["id"]
    unknown = "vs_" + "0" * 32
    for when in ("auto", "always"):
        await create(http, body("When?", unknown, when=when, conversation=conversation_id), status=404)
    answered = await create(http, {"model": "stand-in", "input": "Hello", "conversation": conversation_id})
    assert answered["status"] == "completed"


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({}, "tools[0].vector_store_ids"),
        ({"vector_store_ids": []}, "tools[0].vector_store_ids"),
        ({"vector_store_ids": ["vs_1"] * 17}, "tools[0].vector_store_ids"),
        ({"vector_store_ids": ["vs_1"], "max_num_results": 0}, "tools[0].max_num_results"),
        ({"vector_store_ids": ["vs_1"], "max_num_results": 51}, "tools[0].max_num_results"),
        ({"vector_store_ids": ["vs_1"], "eps:when": "often"}, "tools[0].eps:when"),
        ({"vector_store_ids": ["vs_1"], "filters": {"type": "eq"}}, "tools[0].filters.key"),
        (
            {"vector_store_ids": ["vs_1"], "filters": {"type": "and", "filters": [{"type": "x"}]}},
            "tools[0].filters.filters[0].type",
        ),
        (
            {"vector_store_ids": ["vs_1"], "ranking_options": {"score_threshold": 2}},
            "tools[0].ranking_options.score_threshold",
        ),
        (
            {
                "vector_store_ids": ["vs_1"],
                "ranking_options": {"hybrid_search": {"embedding_weight": 0, "text_weight": 0}},
            },
            "tools[0].ranking_options.hybrid_search",
        ),
    ],
)
async def test_what_is_no_search_is_refused(http: httpx.AsyncClient, given: dict[str, Any], param: str) -> None:
    refused = {"model": "stand-in", "input": "Hello", "tools": [{"type": "file_search", **given}]}
    error = (await create(http, refused, status=400))["error"]
    assert error["param"] == param


async def test_filters_hold(http: httpx.AsyncClient, alice: AsyncOpenAI, store_id: str) -> None:
    for file in (await alice.vector_stores.files.list(store_id)).data:
        name = (await alice.files.retrieve(file.id)).filename
        await alice.vector_stores.files.update(file.id, vector_store_id=store_id, attributes={"name": name})
    given = body("When does the canteen open, and what is the notice period?", store_id)
    given["tools"][0]["filters"] = {"type": "eq", "key": "name", "value": "terms.md"}
    response = await create(http, given)
    passages = (await http.get(f"/v1/responses/{response['id']}/passages")).json()["data"]
    assert {passage["filename"] for passage in passages} == {"terms.md"}
    assert passages[0]["attributes"] == {"name": "terms.md"}


# --- what follows ---


async def test_what_was_said_comes_back(http: httpx.AsyncClient, alice: Any, store_id: str) -> None:
    """Search and annotations, as they were sent; the export names the sources."""
    conversation_id = (await http.post("/v1/conversations")).json()["id"]
    asked = body("When does the canteen open?", store_id, conversation=conversation_id)
    response = await create(http, {**asked, "include": ["file_search_call.results"]})
    listed = (await http.get(f"/v1/conversations/{conversation_id}/items?order=asc")).json()["data"]
    assert listed[1:] == response["output"]
    retrieved = await alice.responses.retrieve(response["id"])
    for dumped in (response["output"], [item.to_dict() for item in retrieved.output]):
        again = await create(http, {"model": "stand-in", "input": [*dumped, {"role": "user", "content": "Thanks"}]})
        assert "eps:ignored" not in again
        copied = (await http.post("/v1/conversations", json={"items": dumped})).json()["id"]
        items = (await http.get(f"/v1/conversations/{copied}/items?order=asc")).json()["data"]
        assert [{**item, "id": ""} for item in items] == [{**item, "id": ""} for item in response["output"]]
    references = [{"type": "item_reference", "id": item["id"]} for item in response["output"]]
    assert (await create(http, {"model": "stand-in", "input": [*references, {"role": "user", "content": "Hi"}]}))["id"]
    exported = await http.get(f"/v1/conversations/{conversation_id}/export?format=markdown")
    assert "Searched the files" in exported.text
    assert "### Sources\n\n> - canteen.md\n" in exported.text
    assert (await http.post(f"/v1/responses/{response['id']}/follow_ups")).status_code == 200
    compacted = await create_compaction(http, listed)
    assert compacted["output"][-1]["type"] == "compaction"


async def create_compaction(http: httpx.AsyncClient, items: list[dict[str, Any]]) -> dict[str, Any]:
    """Compact these items."""
    answer = await http.post("/v1/responses/compact", json={"model": "stand-in", "input": items})
    assert answer.status_code == 200, answer.text
    read: dict[str, Any] = answer.json()
    return read


async def test_what_is_not_stored_may_search(http: httpx.AsyncClient, store_id: str) -> None:
    events = await stream(http, body("When does the canteen open?", store_id, store=False))
    assert list_cited(events[-1]["response"])
    response_id = events[-1]["response"]["id"]
    assert (await http.get(f"/v1/responses/{response_id}/passages")).status_code == 404


# --- taken over ---


PHASES = ("in_progress", "file_search_call.searching", "output_text.delta")


@pytest.mark.parametrize(
    "lost",
    [
        *(("auto", phase) for phase in PHASES),
        *(pytest.param(("always", phase), marks=pytest.mark.long) for phase in PHASES),
    ],
    ids="-".join,
)
async def test_a_killed_replica_loses_no_citation(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica, store_id: str, lost: tuple[str, str]
) -> None:
    when, phase = lost
    text = "What is the notice period in Berlin? [[standin token_s=0.1]]"
    async with open_victim(service, http, start_replica) as (replica, client):
        given = body(text, store_id, when=when, stream=True)
        reading = Stream(client, "POST", "/v1/responses", json=given)
        await reading.see(f"event: response.{phase}")
        response_id = await reading.get_id()
        await asyncio.to_thread(replica.kill)
        await reading.read_broken()
    final = await Stream.of_response(http, response_id).read_final()
    assert final["status"] == "completed"
    assert "six weeks" in final["output"][-1]["content"][0]["text"]
    assert "[" not in final["output"][-1]["content"][0]["text"]
    assert list_cited(final)[0][0] == "terms.md"
    assert [item["type"] for item in final["output"]] == ["file_search_call", "message"]
    passages = (await http.get(f"/v1/responses/{response_id}/passages")).json()["data"]
    assert any("six weeks" in passage["text"] for passage in passages)


async def test_passages_can_be_read_while_it_answers(http: httpx.AsyncClient, store_id: str) -> None:
    given = body("What is the notice period in Berlin? [[standin token_s=0.1]]", store_id, background=True)
    response_id = (await create(http, given))["id"]

    async def has_passages() -> bool:
        live = (await http.get(f"/v1/responses/{response_id}")).json()["status"] == "in_progress"
        return bool(live and (await http.get(f"/v1/responses/{response_id}/passages")).json()["data"])

    await eventually(has_passages)
    await http.post(f"/v1/responses/{response_id}/cancel")
    assert (await http.get(f"/v1/responses/{response_id}/passages")).json()["data"]


# --- without an index ---


@pytest.mark.parametrize("when", ["auto", "always"])
async def test_without_an_index_the_answer_comes_and_says_so(
    service: Service, http: httpx.AsyncClient, start_replica: StartReplica, store_id: str, when: str
) -> None:
    away = {**service.environment, "WEAVIATE_URL": "http://127.0.0.1:9", "READYZ_REQUIRED": "redis"}
    replica = await asyncio.to_thread(start_replica, away)
    async with open_client(http, replica) as client, asyncio.timeout(WITHOUT_INDEX_S):
        given = body("When does the canteen open?", store_id, when=when, include=["file_search_call.results"])
        events = await stream(client, given)
    response = events[-1]["response"]
    search, message = response["output"]
    assert (response["status"], search["status"], search["results"]) == ("completed", "failed", [])
    assert [notice["code"] for notice in response["eps:notices"]] == ["knowledge_unavailable"]
    assert message["content"][0]["annotations"] == []
    kinds = [event["type"] for event in events]
    assert "response.file_search_call.searching" in kinds
    assert "response.file_search_call.completed" not in kinds
    assert (await http.get(f"/v1/responses/{response['id']}")).json() == response
    given = {"model": "stand-in", "input": [*response["output"], {"role": "user", "content": "Thanks"}]}
    assert (await create(http, given))["status"] == "completed"


@pytest.fixture(scope="module")
def by_responses(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A replica that asks its model by the Responses API."""
    settings = {**service.environment, "MODEL_PROTOCOL": "responses"}
    with Replica(tmp_path_factory.mktemp("by-responses"), settings) as replica:
        yield replica


@pytest.mark.parametrize("when", ["auto", "always"])
async def test_models_behind_the_other_protocol_search_too(
    http: httpx.AsyncClient, by_responses: Replica, store_id: str, when: str
) -> None:
    async with open_client(http, by_responses) as client:
        response = await create(client, body("What is the notice period in Berlin?", store_id, when=when))
    assert "six weeks" in response["output"][-1]["content"][0]["text"]
    assert list_cited(response)[0][0] == "terms.md"
