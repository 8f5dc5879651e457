"""The archive of a running service: searches in what was said, and what it keeps of an answer."""

import sqlite3
from contextlib import closing

import httpx

from tests.support.servers import eventually
from tests.support.service import Service
from tests.support.turns import ask, make_conversation


async def search(http: httpx.AsyncClient, query: str) -> list[str]:
    """The ids of what is found."""
    found = await http.get("/v1/conversations", params={"query": query})
    assert found.status_code == 200
    return [conversation["id"] for conversation in found.json()["data"]]


async def test_what_was_said_is_found(http: httpx.AsyncClient) -> None:
    conversation_id = await make_conversation(http)
    await ask(http, "Where do axolotls live?", conversation=conversation_id)

    async def is_found() -> bool:
        return await search(http, "axolotl where") == [conversation_id]

    await eventually(is_found)
    assert await search(http, "axolotl nowhere") == []
    await http.delete(f"/v1/conversations/{conversation_id}")
    assert await search(http, "axolotl") == []


async def test_an_answer_is_archived_with_what_it_took(http: httpx.AsyncClient, service: Service) -> None:
    answer = (await ask(http, "count to 3 [[standin token_s=0.05]]")).json()
    fields = "status, model, output_tokens, first_token_ms, completed_at IS NOT NULL"
    path = service.environment["DATABASE_URL"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as database:

        def find_ended() -> tuple[object, ...] | None:
            query = f"SELECT {fields} FROM prompts_archivedresponse WHERE id = ? AND status = 'completed'"
            found: tuple[object, ...] | None = database.execute(query, [answer["id"]]).fetchone()
            return found

        found = await eventually(find_ended)
    assert found is not None
    status, model, output_tokens, first_token_ms, has_ended = found
    assert (status, model, has_ended) == ("completed", answer["model"], 1)
    assert output_tokens == answer["usage"]["output_tokens"]
    assert isinstance(first_token_ms, int)
    assert 0 <= first_token_ms < 10_000


async def test_titles_are_found_while_the_archive_is_away(http: httpx.AsyncClient, service: Service) -> None:
    made = await http.post("/v1/conversations", json={"eps:title": "Of narwhals"})
    path = service.environment["DATABASE_URL"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("ALTER TABLE prompts_said RENAME TO away")
        try:
            assert await search(http, "narwhals") == [made.json()["id"]]
        finally:
            database.execute("ALTER TABLE away RENAME TO prompts_said")
