"""`erase_owner` leaves nothing of an owner anywhere, and others have everything; what cannot be erased now is said."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from django.core.management import CommandError, call_command
from openai import AsyncOpenAI
from redis.asyncio import Redis

from tests.integration.test_api_keys import read_everything
from tests.support.client_secrets import make_secret, open_browser
from tests.support.processes import REPO_ROOT
from tests.support.servers import eventually
from tests.support.service import MAX_COMMAND_S, Service, manage

MAKE = """
from django.core.management import call_command
from prompts.models import Project
for owner in {owners!r}:
    Project.objects.create(owner=owner, tokens_per_month=10**9, allowed_origins=f"https://{{owner}}.example.com")
    call_command("create_api_key", owner, "--key", f"eps-test-key-of-{{owner}}-0123456789", "--name", f"word{{owner}}")
"""
# Of an owner, before.
HAVE_WORDS = {
    "prompts_apikey",
    "prompts_archivedconversation",
    "prompts_archiveditem",
    "prompts_archivedresponse",
    "prompts_archivedtimeline",
    "prompts_project",
    "prompts_prompt",
    "prompts_promptversion",
    "prompts_said_data",
}


@dataclass
class Person:
    """An owner who has one of everything; each text has their word."""

    owner: str
    http: httpx.AsyncClient
    sdk: AsyncOpenAI
    ids: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    """Each answers 200 as long as its owner has everything."""
    secret: str = ""
    vector_store: str = ""
    file: str = ""
    conversation: str = ""

    @property
    def word(self) -> str:
        return f"word{self.owner}"

    async def post(self, path: str, body: Mapping[str, Any], **headers: str) -> dict[str, Any]:
        answer = await self.http.post(f"/v1/{path}", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def keep(self, path: str, public_id: str) -> str:
        self.ids.append(public_id)
        self.paths.append(f"/v1/{path}/{public_id}")
        return public_id

    async def make_everything(self) -> None:
        kept = {"title": self.word}
        made = await self.post("conversations", {"metadata": kept, "eps:title": self.word})
        self.conversation = self.keep("conversations", made["id"])
        body = {"input": f"Say {self.word}", "conversation": self.conversation, "model": "stand-in"}
        told = await self.post("responses", body, **{"Idempotency-Key": self.word})
        self.keep("responses", told["id"])
        self.ids += [item["id"] for item in told["output"]]
        feedback = {"score": 1, "comment": self.word}
        await self.http.put(f"/v1/responses/{told['id']}/feedback", json=feedback)
        fork = await self.post(f"conversations/{self.conversation}/fork", {})
        self.keep("conversations", fork["id"])
        self.keep("prompts", (await self.post("prompts", {"prompt": f"Be {self.word}", "name": self.word}))["id"])
        store = await self.sdk.vector_stores.create(name=self.word, metadata=kept)
        self.vector_store = self.keep("vector_stores", store.id)
        text = f"# Notice\n\nThe {self.word} notice period is four weeks.".encode()
        file = await self.sdk.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=(f"{self.word}.md", text), poll_interval_ms=100
        )
        self.file = self.keep("files", file.id)
        self.paths.append(f"/v1/files/{file.id}/content")
        tool = {"type": "file_search", "vector_store_ids": [store.id], "eps:when": "always"}
        asked = {"input": f"What is the {self.word} notice period?", "model": "stand-in", "tools": [tool]}
        self.keep("responses", (await self.post("responses", asked))["id"])
        self.secret = await make_secret(self.http)

    async def check_everything(self) -> None:
        for path in self.paths:
            assert (await self.http.get(path)).status_code == 200, path
        found = await self.sdk.vector_stores.search(self.vector_store, query=self.word)
        assert [each.file_id for each in found.data] == [self.file]
        listed = (await self.http.get("/v1/conversations", params={"query": self.word})).json()["data"]
        assert self.conversation in [each["id"] for each in listed]
        async with open_browser(str(self.http.base_url), self.secret) as browser:
            assert (await browser.get("/v1/models")).status_code == 200


@pytest.fixture
async def people(service: Service) -> AsyncIterator[list[Person]]:
    """Carol, and Dave."""
    manage(service.environment, "shell", "--command", MAKE.format(owners=["rosalind", "cyrano"]))
    found = []
    for owner in ("rosalind", "cyrano"):
        key = f"eps-test-key-of-{owner}-0123456789"
        http = httpx.AsyncClient(base_url=service.url, headers={"Authorization": f"Bearer {key}"}, timeout=30)
        found.append(Person(owner, http, AsyncOpenAI(base_url=service.api_url, api_key=key)))
    for person in found:
        await person.make_everything()
    yield found
    for person in found:
        await person.http.aclose()
        await person.sdk.close()


def read_tables(path: Path, *, without: Iterable[str] = ()) -> dict[str, str]:
    """All rows of each table of an SQLite, those of its indexes of words included."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as sql:
        sql.text_factory = lambda raw: raw.decode("utf-8", "replace")
        names = [name for (name,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: repr(sql.execute(f'SELECT * FROM "{name}"').fetchall()) for name in names if name not in without}


async def read_lasting(redis_url: str) -> str:
    """All keys and values but tombstones, which go by themselves and hold nothing but an id."""
    async with Redis.from_url(redis_url) as redis:
        lasting = {cast(bytes, key) for key in await redis.keys() if await redis.ttl(key) < 0}
    return (await read_everything(redis_url, only=lasting)).decode()


def erase(service: Service, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "manage.py", "erase_owner", *arguments],
        cwd=REPO_ROOT,
        env={**os.environ, **service.environment},
        capture_output=True,
        text=True,
        timeout=MAX_COMMAND_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.long
async def test_nothing_is_left_of_an_owner_and_others_have_everything(service: Service, people: list[Person]) -> None:
    rosalind, cyrano = people
    database = Path(service.environment["DATABASE_URL"].removeprefix("sqlite:///"))
    knowledge = service.replica.directory / "knowledge.sqlite3"

    def is_archived() -> bool:
        return rosalind.ids[1] in read_tables(database)["prompts_archivedresponse"]

    await eventually(is_archived)
    await cyrano.check_everything()
    assert {name for name, rows in read_tables(database).items() if "rosalind" in rows} >= HAVE_WORDS
    assert {"passages", "files"} <= {name for name, rows in read_tables(knowledge).items() if "rosalind" in rows}
    assert rosalind.word in (await read_everything(service.valkey.url)).decode()
    with pytest.raises(CommandError, match="--yes"):
        call_command("erase_owner", "rosalind")
    path = service.replica.directory / "files" / rosalind.file[-2:] / rosalind.file
    path.unlink()
    (path / "in the way").mkdir(parents=True)  # what is no file cannot be removed
    code, told = erase(service, "rosalind", "--yes")
    assert code != 0
    assert "Run this again." in told
    assert "files: " in told
    assert (await rosalind.http.get("/v1/models")).status_code == 401
    (path / "in the way").rmdir()
    path.rmdir()
    code, told = erase(service, "rosalind", "--yes")
    assert (code, "Everything of this owner is erased." in told) == (0, True), told

    async def is_settled() -> bool:  # what is noted for the archive is settled about a second later
        left = await read_lasting(service.valkey.url)
        return not [each for each in rosalind.ids if each in left]

    await eventually(is_settled)
    everything = (await read_everything(service.valkey.url)).decode()
    for word in (rosalind.word, "rosalind"):
        assert word not in everything
    tables = read_tables(database, without=["prompts_erasurereceipt"])
    assert not [
        name for name, rows in tables.items() if "rosalind" in rows or any(each in rows for each in rosalind.ids)
    ]
    tables = read_tables(knowledge)
    assert not [
        name for name, rows in tables.items() if "rosalind" in rows or any(each in rows for each in rosalind.ids)
    ]
    files = [each for each in (service.replica.directory / "files").rglob("*") if each.is_file()]
    assert not [each for each in files if rosalind.file in each.name or b"rosalind" in each.read_bytes()]
    receipts = read_tables(database)["prompts_erasurereceipt"]
    assert rosalind.word not in receipts
    assert "Search index: items" in receipts
    async with open_browser(service.url, rosalind.secret) as browser:
        assert (await browser.get("/v1/models")).status_code == 401
    await cyrano.check_everything()
    assert "cyrano" in read_tables(database)["prompts_project"]
