"""The embedded index as a file: whose it is, several processes on it, and what happens when it cannot be used."""

import asyncio
import os
import sqlite3
import sys
import textwrap
import time
from pathlib import Path

import pytest

from prompts.adapters.sqlite.passage_index import SqlitePassageIndex
from prompts.adapters.sqlite.schema import VERSION
from prompts.domain import ids
from prompts.errors import Unavailable
from tests.support.knowledge import a_file, new_file, new_store, open_sqlite_index
from tests.support.processes import REPO_ROOT

FILL = """
import asyncio, sys
from pathlib import Path
from tests.support.knowledge import a_file, new_file, open_sqlite_index

async def main(path: str, store: str) -> None:
    async with open_sqlite_index(Path(path)) as index:
        for number in range(20):
            await index.put(store, a_file(new_file(), "harbour", f"pier {number}"))
            assert await index.search(store, ["harbour"], limit=50)

asyncio.run(main(*sys.argv[1:]))
"""

LOOK_IN = """
import asyncio, sys
from pathlib import Path
from tests.support.knowledge import open_sqlite_index

async def main(path: str, store: str, count: str) -> None:
    async with open_sqlite_index(Path(path)) as index:
        assert len(await index.search(store, ["harbour"], limit=50)) == int(count)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_only_its_user_may_read_it(tmp_path: Path) -> None:
    previous = os.umask(0o022)
    try:
        path = tmp_path / "data" / "knowledge.sqlite3"
        async with open_sqlite_index(path) as index:
            await index.put(new_store(), a_file(new_file(), "harbour"))
            files = list(path.parent.iterdir())
            assert len(files) == 3  # the journal and its index beside it
            assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
            assert path.parent.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(previous)


@pytest.mark.long
async def test_processes_share_the_file(tmp_path: Path) -> None:
    path, store = tmp_path / "knowledge.sqlite3", new_store()
    workers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", textwrap.dedent(FILL), str(path), store, cwd=REPO_ROOT
        )
        for _ in range(3)
    ]
    assert [await worker.wait() for worker in workers] == [0, 0, 0]
    async with open_sqlite_index(path) as index:
        assert len({found.file_id for found in await index.search(store, ["pier"], limit=50)}) == 50
        assert len({found.file_id for found in await index.search(store, ["pier 7"], limit=3)}) == 3


async def test_what_one_process_puts_the_others_find_at_once(tmp_path: Path) -> None:
    path, store, file_id = tmp_path / "knowledge.sqlite3", new_store(), new_file()
    async with open_sqlite_index(path) as one, open_sqlite_index(path) as two:
        await one.put(store, a_file(file_id, "harbour"))
        assert len(await two.search(store, ["harbour"], limit=5)) == 1
        await two.remove_store(store)
        assert await one.search(store, ["harbour"], limit=5) == []
        await one.put(store, a_file(file_id, "harbour"))
        assert len(await two.search(store, ["harbour"], limit=5)) == 1


@pytest.mark.timed
async def test_a_search_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    path, store = tmp_path / "knowledge.sqlite3", new_store()
    async with open_sqlite_index(path) as patient, open_sqlite_index(path, search_s=0.05) as index:
        words = " ".join(f"word{number}" for number in range(300))
        await index.put(store, a_file(new_file(), *(words for _ in range(3_000))))
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await index.search(store, [words] * 20, limit=50)
        assert time.monotonic() - began < 2
        assert await patient.search(store, ["word7"], limit=5)


async def test_a_locked_file_is_unavailable_to_writers_alone(tmp_path: Path) -> None:
    path, store = tmp_path / "knowledge.sqlite3", new_store()
    async with open_sqlite_index(path, write_s=0.3) as index:
        await index.put(store, a_file(new_file(), "harbour"))
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            await index.put(store, a_file(new_file(), "pier"))
        assert len(await index.search(store, ["harbour"], limit=5)) == 1
        holder.close()
        await index.put(store, a_file(new_file(), "pier"))


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
async def test_what_is_no_index_is_unavailable_and_says_nothing_of_its_place(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "knowledge.sqlite3"
    path.write_bytes(content)
    index = SqlitePassageIndex(path)
    try:
        for work in (index.prepare(), index.search(new_store(), ["harbour"], limit=5)):
            with pytest.raises(Unavailable) as caught:
                await work
            assert str(tmp_path) not in caught.value.message
    finally:
        await index.close()
    assert path.read_bytes()[: len(content)] == content


async def test_a_file_of_a_later_release_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "knowledge.sqlite3"
    async with open_sqlite_index(path):
        pass
    with sqlite3.connect(path) as sql:
        sql.execute(f"PRAGMA user_version = {VERSION + 1}")
    sql.close()
    index = SqlitePassageIndex(path)
    try:
        with pytest.raises(Unavailable):
            await index.prepare()
    finally:
        await index.close()


async def test_preparing_that_failed_halfway_holds_the_file_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "knowledge.sqlite3"
    with sqlite3.connect(path) as sql:
        sql.execute("CREATE TABLE passages (id)")
    index = SqlitePassageIndex(path)
    try:
        with pytest.raises(Unavailable):
            await index.prepare()
        sql.execute("DROP TABLE passages")
        await index.prepare()
        assert await index.search(new_store(), ["harbour"], limit=5) == []
    finally:
        sql.close()
        await index.close()


async def test_an_index_that_was_not_prepared_is_unavailable(tmp_path: Path) -> None:
    index = SqlitePassageIndex(tmp_path / "knowledge.sqlite3")
    try:
        with pytest.raises(Unavailable):
            await index.search(new_store(), ["harbour"], limit=5)
        await index.prepare()
        assert await index.search(new_store(), ["harbour"], limit=5) == []
    finally:
        await index.close()


async def test_a_caller_that_leaves_while_a_file_is_put_leaves_no_half(tmp_path: Path) -> None:
    store, file_id = new_store(), new_file()
    async with open_sqlite_index(tmp_path / "knowledge.sqlite3") as index:
        await index.put(store, a_file(file_id, "harbour"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await index.put(store, a_file(file_id, *("pier " * 50 for _ in range(2_000))))
        assert len(await index.list_stretches(store, file_id)) in {1, 2_000}


async def test_what_is_removed_is_not_in_the_file_any_more(tmp_path: Path) -> None:
    path, store, other = tmp_path / "knowledge.sqlite3", new_store(), new_store()
    async with open_sqlite_index(path) as index:
        await index.put(other, a_file(new_file(), "kept"))
        await index.put(store, a_file(new_file(), *(f"unspeakable {number}" for number in range(200))))
        await index.remove_store(store)
    assert b"unspeakable" not in path.read_bytes()
    assert b"kept" in path.read_bytes()


@pytest.mark.timed
async def test_writers_that_wait_keep_no_search_waiting(tmp_path: Path) -> None:
    """Another process may hold the file for as long as a large file takes to be put."""
    path, store, file_id = tmp_path / "knowledge.sqlite3", new_store(), new_file()
    async with open_sqlite_index(path) as index:
        await index.put(store, a_file(file_id, "harbour"))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = [asyncio.ensure_future(index.set_attributes(store, file_id, {"n": n})) for n in range(8)]
        await asyncio.sleep(0.1)
        began = time.monotonic()
        assert await index.search(store, ["harbour"], limit=5)
        assert time.monotonic() - began < 1
        other.execute("ROLLBACK")
        other.close()
        await asyncio.gather(*waiting)


async def test_a_process_that_leaves_takes_nothing_away_from_the_others(tmp_path: Path) -> None:
    """The locks of a process are those of all its connections: a second one must not lose them for the first."""
    path, store = tmp_path / "knowledge.sqlite3", new_store()
    async with open_sqlite_index(path) as index:
        for number in range(2):
            await index.put(store, a_file(new_file(), f"harbour {number}"))
            assert await index.search(store, ["harbour"], limit=5)  # by another connection
            leaver = await asyncio.create_subprocess_exec(
                sys.executable, "-c", textwrap.dedent(LOOK_IN), str(path), store, str(number + 1), cwd=REPO_ROOT
            )
            assert await leaver.wait() == 0
            assert len(await index.search(store, ["harbour"], limit=50)) == number + 1


@pytest.mark.timed
async def test_slow_searches_of_one_owner_keep_no_other_waiting(tmp_path: Path) -> None:
    """Sixteen at once, each of which would take longer than it may."""
    large, small = ids.new_id(ids.VECTOR_STORE, "01"), ids.new_id(ids.VECTOR_STORE, "02")
    words = " ".join(f"w{number}" for number in range(40))
    async with open_sqlite_index(tmp_path / "knowledge.sqlite3") as index:
        await index.put(large, a_file(new_file(), *[words] * 10_000))
        await index.put(small, a_file(new_file(), "harbour"))
        slow = [asyncio.ensure_future(index.search(large, [words] * 16, limit=50)) for _ in range(16)]
        await asyncio.sleep(0.1)
        began = time.monotonic()
        assert len(await index.search(small, ["harbour"], limit=5)) == 1
        assert time.monotonic() - began < 1
        ended = await asyncio.gather(*slow, return_exceptions=True)
    assert sum(isinstance(each, Unavailable) for each in ended) > 8
