"""Vector stores as a user of the official SDK has them: fill, search, change, empty and delete them."""

import asyncio
import io
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError
from openai.types import FileObject, StaticFileChunkingStrategyParam, VectorStore

from prompts.domain import ids
from prompts.usecases.vector_stores import STRETCHES_AT_ONCE
from tests.support.server_fixtures import StartReplica, StartValkey
from tests.support.servers import StandinServer, eventually
from tests.support.service import ALICE_KEY, Service, start_service

HOLIDAY = "# Holiday\n\nEverybody has thirty days of holiday a year. Ask your lead before you book."
TRAVEL = "# Travel\n\nBook the train. Flights within the country are not paid."
POLL_MS = 100


async def upload(client: AsyncOpenAI, text: str = HOLIDAY, name: str = "holiday.md") -> FileObject:
    """Upload a text."""
    return await client.files.create(file=(name, text.encode()), purpose="assistants")


async def fill(client: AsyncOpenAI, *texts: str, **attributes: Any) -> tuple[VectorStore, list[str]]:
    """A vector store with these texts, indexed."""
    store = await client.vector_stores.create(name="Handbook")
    file_ids = []
    for text in texts or (HOLIDAY,):
        file = await upload(client, text, "notes.md")
        await client.vector_stores.files.create_and_poll(
            file.id, vector_store_id=store.id, attributes=attributes, poll_interval_ms=POLL_MS
        )
        file_ids.append(file.id)
    return store, file_ids


async def search(client: AsyncOpenAI, store_id: str, query: Any = "holiday", **options: Any) -> list[str]:
    """The files that a search finds, the best first."""
    page = await client.vector_stores.search(store_id, query=query, **options)
    return [found.file_id for found in page.data]


async def post(http: httpx.AsyncClient, path: str, body: Any, *, status: int = 400) -> Mapping[str, Any]:
    """Send a body that is refused. Returns the error."""
    answer = await http.post(f"/v1/{path}", json=body)
    assert answer.status_code == status, answer.text
    error: Mapping[str, Any] = answer.json()["error"]
    return error


async def test_a_file_is_found_when_it_is_indexed(alice: AsyncOpenAI) -> None:
    store = await alice.vector_stores.create(name="Handbook", metadata={"team": "people"})
    assert (store.object, store.status, store.file_counts.total) == ("vector_store", "completed", 0)
    file = await alice.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("holiday.md", HOLIDAY.encode()), poll_interval_ms=POLL_MS
    )
    assert (file.status, file.last_error, file.vector_store_id) == ("completed", None, store.id)
    assert file.usage_bytes >= len("Everybody has thirty days of holiday a year.")
    page = await alice.vector_stores.search(store.id, query="How much holiday do I have?")
    [found] = page.data
    assert (found.file_id, found.filename) == (file.id, "holiday.md")
    assert "thirty days" in found.content[0].text
    assert 0 < found.score <= 1
    retrieved = await alice.vector_stores.retrieve(store.id)
    assert retrieved.file_counts.completed == retrieved.file_counts.total == 1
    assert retrieved.usage_bytes == file.usage_bytes
    assert retrieved.metadata == {"team": "people"}


async def test_a_deleted_file_is_not_found_though_its_storage_is_away(alice: AsyncOpenAI, service: Service) -> None:
    store, [file_id] = await fill(alice)
    assert await search(alice, store.id) == [file_id]
    path = service.replica.directory / "files" / file_id[-2:] / file_id
    path.unlink()
    (path / "in the way").mkdir(parents=True)  # what is no file cannot be removed
    try:
        assert (await alice.files.delete(file_id)).deleted
        assert await search(alice, store.id) == []
        assert (await alice.vector_stores.retrieve(store.id)).file_counts.total == 0
    finally:
        (path / "in the way").rmdir()


async def test_every_answer_has_the_shape_of_the_specification(http: httpx.AsyncClient, alice: AsyncOpenAI) -> None:
    store, [file_id] = await fill(alice, HOLIDAY, team="people")
    path = f"/v1/vector_stores/{store.id}"
    batch = await http.post(f"{path}/file_batches", json={"file_ids": [file_id], "attributes": {"team": "people"}})
    for answer in (
        await http.post("/v1/vector_stores"),
        await http.get("/v1/vector_stores"),
        await http.get(path),
        await http.post(path, json={"name": "Rules"}),
        await http.get(f"{path}/files"),
        await http.get(f"{path}/files/{file_id}"),
        await http.get(f"{path}/files/{file_id}/content"),
        await http.post(f"{path}/search", json={"query": "holiday"}),
        batch,
        await http.get(f"{path}/file_batches/{batch.json()['id']}"),
        await http.get(f"{path}/file_batches/{batch.json()['id']}/files"),
        await http.post(f"{path}/file_batches/{batch.json()['id']}/cancel"),
        await http.post(f"{path}/files/{file_id}", json={"attributes": {"team": "sales"}}),
        await http.delete(f"{path}/files/{file_id}"),
        await http.delete(path),
    ):
        assert answer.status_code == 200, answer.text


async def test_a_vector_store_changes_and_goes(alice: AsyncOpenAI) -> None:
    store = await alice.vector_stores.create(expires_after={"anchor": "last_active_at", "days": 7})
    assert store.expires_at is not None
    changed = await alice.vector_stores.update(store.id, name="Rules", metadata={"a": "b"})
    assert (changed.name, changed.metadata, changed.expires_after) == ("Rules", {"a": "b"}, store.expires_after)
    kept = await alice.vector_stores.update(store.id, expires_after=None)
    assert (kept.name, kept.expires_after, kept.expires_at) == ("Rules", None, None)
    deleted = await alice.vector_stores.delete(store.id)
    assert (deleted.id, deleted.object, deleted.deleted) == (store.id, "vector_store.deleted", True)
    with pytest.raises(NotFoundError) as caught:
        await alice.vector_stores.retrieve(store.id)
    assert caught.value.code == "vector_store_not_found"
    assert store.id in caught.value.message


async def test_vector_stores_are_listed_page_by_page(alice: AsyncOpenAI) -> None:
    made = []
    for number in range(4):
        made.append((await alice.vector_stores.create(name=f"Store {number}")).id)
        await asyncio.sleep(0.002)  # the list is in order of the millisecond
    first = await alice.vector_stores.list(limit=3)
    assert [store.id for store in first.data] == made[:0:-1]
    assert first.has_more
    listed = [store.id async for store in alice.vector_stores.list(limit=2)]
    assert listed[:4] == made[::-1]
    backwards = await alice.vector_stores.list(before=made[0], limit=2)
    assert [store.id for store in backwards.data] == [made[2], made[1]]


async def test_a_vector_store_is_made_with_its_files(alice: AsyncOpenAI) -> None:
    files = [await upload(alice, HOLIDAY), await upload(alice, TRAVEL, "travel.md")]
    store = await alice.vector_stores.create(file_ids=[file.id for file in files])
    assert store.file_counts.total == 2

    async def is_indexed() -> bool:
        return (await alice.vector_stores.retrieve(store.id)).file_counts.completed == 2

    await eventually(is_indexed)
    assert await search(alice, store.id, "train") == [files[1].id]
    assert set(await search(alice, store.id, ["holiday", "train"])) == {file.id for file in files}


async def test_a_batch_is_indexed_and_counted(alice: AsyncOpenAI) -> None:
    store = await alice.vector_stores.create()
    files = [(f"{number}.txt", io.BytesIO(f"Room {number} is on floor {number}.".encode())) for number in range(5)]
    batch = await alice.vector_stores.file_batches.upload_and_poll(store.id, files=files, poll_interval_ms=POLL_MS)
    assert (batch.status, batch.file_counts.completed, batch.file_counts.total) == ("completed", 5, 5)
    listed = [file async for file in alice.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id)]
    assert {file.status for file in listed} == {"completed"}
    assert len(listed) == 5
    again = await alice.vector_stores.file_batches.create_and_poll(
        store.id, file_ids=[file.id for file in listed], poll_interval_ms=POLL_MS
    )
    assert (again.status, again.file_counts.completed) == ("completed", 5)


async def test_files_of_a_batch_have_their_own_attributes(alice: AsyncOpenAI) -> None:
    store = await alice.vector_stores.create()
    people, sales = await upload(alice), await upload(alice)
    sizes: StaticFileChunkingStrategyParam = {"max_chunk_size_tokens": 400, "chunk_overlap_tokens": 100}
    batch = await alice.vector_stores.file_batches.create(
        store.id,
        files=[
            {"file_id": people.id, "attributes": {"team": "people", "year": 2024}},
            {
                "file_id": sales.id,
                "attributes": {"team": "sales", "year": 2026},
                "chunking_strategy": {"type": "static", "static": sizes},
            },
        ],
    )
    await alice.vector_stores.file_batches.poll(batch.id, vector_store_id=store.id, poll_interval_ms=POLL_MS)
    file = await alice.vector_stores.files.retrieve(sales.id, vector_store_id=store.id)
    assert file.chunking_strategy is not None
    assert file.chunking_strategy.to_dict() == {"type": "static", "static": sizes}
    by_team = {"type": "eq", "key": "team", "value": "sales"}
    assert await search(alice, store.id, filters=by_team) == [sales.id]
    assert await search(alice, store.id, filters={"type": "lt", "key": "year", "value": 2025}) == [people.id]
    both = {"type": "and", "filters": [by_team, {"type": "in", "key": "year", "value": [2024]}]}
    assert await search(alice, store.id, filters=both) == []


async def test_attributes_change_at_once(alice: AsyncOpenAI) -> None:
    store, [file_id] = await fill(alice, HOLIDAY, team="people")
    updated = await alice.vector_stores.files.update(file_id, vector_store_id=store.id, attributes={"team": "sales"})
    assert updated.attributes == {"team": "sales"}
    by_team = {"type": "eq", "key": "team", "value": "sales"}
    assert await search(alice, store.id, filters=by_team) == [file_id]
    assert await search(alice, store.id, filters={**by_team, "value": "people"}) == []


async def test_the_text_of_a_file_is_read_whole(alice: AsyncOpenAI) -> None:
    text = "\n\n".join(f"Paragraph {number} says something of its own." for number in range(2_000))
    sizes: StaticFileChunkingStrategyParam = {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 100}
    store, file = await alice.vector_stores.create(), await upload(alice, text, "long.txt")
    await alice.vector_stores.files.create_and_poll(
        file.id,
        vector_store_id=store.id,
        chunking_strategy={"type": "static", "static": sizes},
        poll_interval_ms=POLL_MS,
    )
    page = await alice.vector_stores.files.content(file.id, vector_store_id=store.id)
    assert len(page.data) > 3 * STRETCHES_AT_ONCE, (
        "it is read some at a time, and nothing is lost or told twice between"
    )
    read = " ".join(content.text or "" for content in page.data).split()
    assert "".join(read) == "".join(text.split())


async def test_a_detached_file_is_not_found_any_more_and_stays_a_file(alice: AsyncOpenAI) -> None:
    store, [holiday, travel] = await fill(alice, HOLIDAY, TRAVEL)
    gone = await alice.vector_stores.files.delete(holiday, vector_store_id=store.id)
    assert (gone.id, gone.object, gone.deleted) == (holiday, "vector_store.file.deleted", True)
    assert await search(alice, store.id) == []
    assert await search(alice, store.id, "train") == [travel]
    with pytest.raises(NotFoundError):
        await alice.vector_stores.files.retrieve(holiday, vector_store_id=store.id)
    assert (await alice.files.retrieve(holiday)).id == holiday
    await alice.vector_stores.files.create_and_poll(holiday, vector_store_id=store.id, poll_interval_ms=POLL_MS)
    assert await search(alice, store.id) == [holiday]


async def test_a_deleted_file_is_in_no_vector_store(alice: AsyncOpenAI) -> None:
    store, [file_id] = await fill(alice)
    await alice.files.delete(file_id)
    assert await search(alice, store.id) == []
    assert (await alice.vector_stores.retrieve(store.id)).file_counts.total == 0


async def test_a_file_that_cannot_be_read_fails_and_says_why(alice: AsyncOpenAI) -> None:
    store = await alice.vector_stores.create()
    file = await alice.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("photo.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256))), poll_interval_ms=POLL_MS
    )
    assert file.status == "failed"
    assert file.last_error is not None
    assert file.last_error.code in ("unsupported_file", "invalid_file")
    counts = (await alice.vector_stores.retrieve(store.id)).file_counts
    assert (counts.failed, counts.total) == (1, 1)
    failed = await alice.vector_stores.files.list(store.id, filter="failed")
    assert [each.id for each in failed.data] == [file.id]
    with pytest.raises(BadRequestError, match="failed"):
        await alice.vector_stores.files.content(file.id, vector_store_id=store.id)


async def test_a_stranger_finds_nothing(alice: AsyncOpenAI, bob: AsyncOpenAI) -> None:
    store, [file_id] = await fill(alice)
    batch = await alice.vector_stores.file_batches.create(store.id, file_ids=[file_id])
    files, batches = bob.vector_stores.files, bob.vector_stores.file_batches
    for refused in (
        bob.vector_stores.retrieve(store.id),
        bob.vector_stores.update(store.id, name="Mine"),
        bob.vector_stores.delete(store.id),
        bob.vector_stores.search(store.id, query="holiday"),
        files.retrieve(file_id, vector_store_id=store.id),
        files.update(file_id, vector_store_id=store.id, attributes={}),
        files.delete(file_id, vector_store_id=store.id),
        files.content(file_id, vector_store_id=store.id),
        files.create(store.id, file_id=(await upload(bob)).id),
        batches.create(store.id, file_ids=[(await upload(bob)).id]),
        batches.retrieve(batch.id, vector_store_id=store.id),
        batches.cancel(batch.id, vector_store_id=store.id),
    ):
        with pytest.raises(NotFoundError) as caught:
            await refused
        assert caught.value.code == "vector_store_not_found"
    own = await bob.vector_stores.create()
    with pytest.raises(NotFoundError) as caught:
        await files.create(own.id, file_id=file_id)
    assert (caught.value.code, caught.value.param) == ("file_not_found", "file_id")
    with pytest.raises(NotFoundError) as caught:
        await bob.vector_stores.create(file_ids=[(await upload(bob)).id, file_id])
    assert (caught.value.code, caught.value.param) == ("file_not_found", "file_ids[1]")
    assert await search(alice, store.id) == [file_id]


async def test_what_is_wrong_is_named(http: httpx.AsyncClient, alice: AsyncOpenAI) -> None:
    store, [file_id] = await fill(alice)
    path = f"vector_stores/{store.id}"
    static = {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 101}
    unknown = ids.new_id(ids.FILE, "01")
    broken = {"type": "or", "filters": [{"type": "eq", "key": "a", "value": 1}, {"type": "eq", "key": "a"}]}
    for at, body, status, param in (
        ("vector_stores", {"expires_after": {"anchor": "last_active_at", "days": 366}}, 400, "expires_after.days"),
        ("vector_stores", {"expires_after": {"anchor": "created_at", "days": 3}}, 400, "expires_after.anchor"),
        ("vector_stores", {"file_ids": [file_id] * 501}, 400, "file_ids"),
        ("vector_stores", {"file_ids": [store.id]}, 400, "file_ids[0]"),
        ("vector_stores", {"metadata": {"a": 3}}, 400, "metadata.a"),
        (f"{path}/files", {}, 400, "file_id"),
        (f"{path}/files", {"file_id": store.id}, 400, "file_id"),
        (f"{path}/files", {"file_id": unknown}, 404, "file_id"),
        (f"{path}/files", {"file_id": file_id, "attributes": {"a": []}}, 400, "attributes.a"),
        (f"{path}/files", {"file_id": file_id, "chunking_strategy": {"type": "x"}}, 400, "chunking_strategy.type"),
        (
            f"{path}/files",
            {"file_id": file_id, "chunking_strategy": {"type": "static", "static": static}},
            400,
            "chunking_strategy.static.chunk_overlap_tokens",
        ),
        (f"{path}/files/{file_id}", {"attributes": {"a": None}}, 400, "attributes.a"),
        (f"{path}/file_batches", {}, 400, "file_ids"),
        (f"{path}/file_batches", {"file_ids": []}, 400, "file_ids"),
        (f"{path}/file_batches", {"file_ids": [file_id], "files": [{"file_id": file_id}]}, 400, "files"),
        (f"{path}/file_batches", {"files": [{"file_id": file_id}, {"file_id": unknown}]}, 404, "files[1].file_id"),
        (
            f"{path}/file_batches",
            {"files": [{"file_id": file_id, "attributes": {"a": {}}}]},
            400,
            "files[0].attributes.a",
        ),
        (f"{path}/search", {}, 400, "query"),
        (f"{path}/search", {"query": ""}, 400, "query"),
        (f"{path}/search", {"query": []}, 400, "query"),
        (f"{path}/search", {"query": "x" * 5_000}, 400, "query"),
        (f"{path}/search", {"query": "x", "max_num_results": 51}, 400, "max_num_results"),
        (f"{path}/search", {"query": "x", "filters": broken}, 400, "filters.filters[1].value"),
        (f"{path}/search", {"query": "x", "filters": "team"}, 400, "filters"),
        (
            f"{path}/search",
            {"query": "x", "ranking_options": {"score_threshold": 2}},
            400,
            "ranking_options.score_threshold",
        ),
        (f"{path}/search", {"query": "x", "ranking_options": {"ranker": "x"}}, 400, "ranking_options.ranker"),
    ):
        error = await post(http, at, body, status=status)
        assert error["param"] == param, (at, body, error)
    for at in (f"{path}/files/{store.id}", f"vector_stores/{file_id}", f"{path}/file_batches/{file_id}"):
        answer = await http.get(f"/v1/{at}")
        assert answer.status_code == 400, answer.text
    for query in ("limit=0", "limit=101", "order=up", "after=x", "filter=done", f"before={store.id}"):
        answer = await http.get(f"/v1/{path}/files?{query}")
        assert answer.status_code == 400, answer.text


async def test_what_is_not_known_is_left_out_and_named(http: httpx.AsyncClient, alice: AsyncOpenAI) -> None:
    store, [file_id] = await fill(alice)
    body = {"query": "holiday", "rewrite_query": True, "new_option": 3, "ranking_options": {"hybrid": 1}}
    answer = await http.post(f"/v1/vector_stores/{store.id}/search", json=body)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["eps:ignored"]) == {"rewrite_query", "new_option", "ranking_options.hybrid"}
    files = {"files": [{"file_id": file_id}], "attributes": {"a": "b"}}
    answer = await http.post(f"/v1/vector_stores/{store.id}/file_batches", json=files)
    assert answer.json()["eps:ignored"] == ["attributes"]


async def test_a_client_is_told_when_to_ask_again(http: httpx.AsyncClient, alice: AsyncOpenAI) -> None:
    store, [file_id] = await fill(alice)
    ended = await http.get(f"/v1/vector_stores/{store.id}/files/{file_id}")
    assert "openai-poll-after-ms" not in ended.headers
    files = [(await upload(alice, f"Text {number}")).id for number in range(6)]
    batch = await alice.vector_stores.file_batches.create(store.id, file_ids=files)
    answer = await http.get(f"/v1/vector_stores/{store.id}/file_batches/{batch.id}")
    assert answer.json()["status"] == "in_progress"
    assert answer.headers["openai-poll-after-ms"] == "500"
    cancelled = await alice.vector_stores.file_batches.cancel(batch.id, vector_store_id=store.id)
    assert cancelled.file_counts.in_progress == 0
    assert cancelled.file_counts.total == 6


async def test_a_killed_replica_s_files_are_indexed_by_another(
    start_valkey: StartValkey,
    standin: StandinServer,
    start_replica: StartReplica,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with start_service(start_valkey(), standin, tmp_path_factory.mktemp("killed"), LEASE_S="3") as service:
        async with AsyncOpenAI(base_url=service.api_url, api_key=ALICE_KEY, max_retries=0) as client:
            store = await client.vector_stores.create()
            text = "\n\n".join(f"Line {number} of the long guide, which has many lines." for number in range(60_000))
            files = [await upload(client, f"{number} {text}", "guide.txt") for number in range(4)]
            batch = await client.vector_stores.file_batches.create(store.id, file_ids=[file.id for file in files])

            async def is_at_work() -> bool:
                found = await client.vector_stores.file_batches.retrieve(batch.id, vector_store_id=store.id)
                return 0 < found.file_counts.completed < 3

            await eventually(is_at_work, within_s=60)
            service.replica.kill()
        other = start_replica(service.environment)
        async with AsyncOpenAI(base_url=f"{other.url}/v1", api_key=ALICE_KEY, max_retries=0) as client:

            async def is_indexed() -> bool:
                found = await client.vector_stores.file_batches.retrieve(batch.id, vector_store_id=store.id)
                return found.status == "completed" and found.file_counts.completed == 4

            await eventually(is_indexed, within_s=60)
            assert set(await search(client, store.id, "guide", max_num_results=50)) <= {file.id for file in files}
