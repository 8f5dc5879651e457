"""The embedded search index: SQLite's full-text search (FTS5) in one file, by words alone.

Several processes may use the file at once. SQL runs in threads of its own, few, and each statement has a deadline.
"""

import asyncio
import os
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog

from prompts.adapters.found_passages import merge
from prompts.adapters.search_words import choose_words, clean, split_unspaced
from prompts.adapters.sqlite import schema
from prompts.adapters.sqlite.filters import compose_clause, compose_rows
from prompts.domain import ids
from prompts.domain.passages import Attributes, Filter, Passage, Stretch
from prompts.errors import Unavailable
from prompts.ports.passage_index import DEFAULT_RANKING, MAX_FOUND, Indexed, Ranking

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

SEARCH_S = 2.0
WRITE_S = 30.0
# How long what was removed waits for readers, to go from the journal at once.
EMPTY_S = 0.5
# Readers wait for nobody. Writers wait for each other in the file: they have one thread, and no reader waits for it.
READERS = 4
# Of the searches in one partition, which has all vector stores of an owner: others find a thread.
SEARCHES_A_PARTITION = READERS // 2
ALL = -1  # as SQLite writes it where a limit stands
# Bytecodes of SQLite between two looks at the clock: about 10 µs.
STEPS_A_LOOK = 1_000
# How much more a word weighs in a file's name and in a heading than in the text: benchmarks/retrieval has measured it.
NAME_WEIGHT, HEADING_WEIGHT, TEXT_WEIGHT = 1.0, 2.0, 1.0

encode = msgspec.json.Encoder().encode
decode_attributes = msgspec.json.Decoder(Attributes).decode


class SqlitePassageIndex:
    """`PassageIndex` in a file, which only its user may read. `close` ends its threads."""

    def __init__(self, path: Path, *, search_s: float = SEARCH_S, write_s: float = WRITE_S) -> None:
        """`search_s` and `write_s` are the most that a search, and anything else, may take."""
        self._path = path
        self._search_s = search_s
        self._write_s = write_s
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="knowledge")
        self._shares: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(SEARCHES_A_PARTITION))
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="knowledge-writer")
        self._of_thread = threading.local()
        self._opened: list[sqlite3.Connection] = []

    async def prepare(self) -> None:
        """See `PassageIndex.prepare`."""
        await self._write(schema.prepare)

    async def put(self, vector_store_id: str, indexed: Indexed) -> None:
        """See `PassageIndex.put`. A search finds all of the old passages or all of the new ones."""

        def write(sql: sqlite3.Connection) -> None:
            store = _find_store(sql, vector_store_id) or _create_store(sql, vector_store_id)
            _remove_file(sql, store, indexed.file_id)
            _insert(sql, store, indexed)

        await self._write(write)

    async def remove_file(self, vector_store_id: str, file_id: str) -> None:
        """See `PassageIndex.remove_file`."""

        def write(sql: sqlite3.Connection) -> None:
            if store := _find_store(sql, vector_store_id):
                _remove_file(sql, store, file_id)

        await self._write(write)
        await self._empty_journal()

    async def remove_store(self, vector_store_id: str) -> None:
        """See `PassageIndex.remove_store`."""

        def write(sql: sqlite3.Connection) -> None:
            if store := _find_store(sql, vector_store_id):
                _remove_store(sql, store)

        await self._write(write)
        await self._empty_journal()

    async def set_attributes(self, vector_store_id: str, file_id: str, attributes: Attributes) -> None:
        """See `PassageIndex.set_attributes`."""

        def write(sql: sqlite3.Connection) -> None:
            store = _find_store(sql, vector_store_id)
            if file := _find_file(sql, store, file_id):
                sql.execute("UPDATE files SET attributes = ? WHERE id = ?", (encode(attributes).decode(), file))
                sql.execute("DELETE FROM attributes WHERE file = ?", (file,))
                _insert_attributes(sql, file, attributes)

        await self._write(write)

    async def search(
        self,
        vector_store_id: str,
        queries: Sequence[str],
        *,
        limit: int,
        where: Filter | None = None,
        ranking: Ranking = DEFAULT_RANKING,
    ) -> Sequence[Passage]:
        """See `PassageIndex.search`. A score is the part of the best one's of the same query."""
        questions = [words for query in queries if (words := choose_words(clean(query)))]
        limit = min(limit, MAX_FOUND)
        if not questions or limit < 1:
            return []

        def read(sql: sqlite3.Connection) -> list[list[Passage]]:
            store = _find_store(sql, vector_store_id)
            if store is None:
                return []
            place = (vector_store_id, store)
            return [list(_search(sql, place, words, where=where, limit=limit)) for words in questions]

        async with self._share(vector_store_id) as left_s:
            found = await self._read(read, within_s=left_s)
        return merge(found, limit=limit, threshold=ranking.score_threshold)

    async def list_stretches(
        self, vector_store_id: str, file_id: str, *, first: int = 0, count: int | None = None
    ) -> Sequence[Stretch]:
        """See `PassageIndex.list_stretches`."""

        def read(sql: sqlite3.Connection) -> list[Stretch]:
            columns = "number, text, heading, page, tokens, start"
            file = _find_file(sql, _find_store(sql, vector_store_id), file_id)
            statement = f"SELECT {columns} FROM passages WHERE file = ? AND number >= ? ORDER BY number LIMIT ?"  # noqa: S608 -- our own names
            rows = sql.execute(statement, (file, first, ALL if count is None else count))
            return [Stretch(*row) for row in rows]

        return await self._read(read, within_s=self._write_s)

    async def close(self) -> None:
        """Wait for what runs, and close the file."""
        for threads in (self._readers, self._writer):
            await asyncio.to_thread(threads.shutdown, cancel_futures=True)
        for sql in self._opened:
            sql.close()

    @asynccontextmanager
    async def _share(self, vector_store_id: str) -> AsyncIterator[float]:
        """A place for a search in the vector store, and the seconds that are left for it. Raises Unavailable."""
        deadline = time.monotonic() + self._search_s
        share = self._shares[ids.get_partition(vector_store_id)]
        try:
            async with asyncio.timeout(self._search_s):
                await share.acquire()
        except TimeoutError as exc:
            raise Unavailable("Your other searches take all the time there is. Try again later.") from exc
        try:
            yield max(deadline - time.monotonic(), 0.0)
        finally:
            share.release()

    async def _write(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Do it as one transaction, behind what is being written. Raises Unavailable."""

        def write(sql: sqlite3.Connection) -> None:
            with _transaction(sql):
                work(sql)

        await self._run(write, threads=self._writer, within_s=self._write_s)

    async def _empty_journal(self) -> None:
        """What was removed stands in the journal until that is written anew. Others that read now keep it."""

        def empty(sql: sqlite3.Connection) -> None:
            sql.execute(f"PRAGMA busy_timeout = {int(1000 * EMPTY_S)}")
            sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        await self._run(empty, threads=self._writer, within_s=self._write_s)

    async def _read(self, work: Callable[[sqlite3.Connection], Result], *, within_s: float) -> Result:
        """Do it as of one moment. Raises Unavailable."""

        def read(sql: sqlite3.Connection) -> Result:
            with _snapshot(sql):
                return work(sql)

        return await self._run(read, threads=self._readers, within_s=within_s)

    async def _run(
        self, work: Callable[[sqlite3.Connection], Result], *, threads: ThreadPoolExecutor, within_s: float
    ) -> Result:
        """Do it in a thread. Raises Unavailable where it takes longer, waiting for a thread included, or fails."""
        deadline = time.monotonic() + within_s

        def run() -> Result:
            sql = self._connect()
            sql.set_progress_handler(lambda: time.monotonic() > deadline, STEPS_A_LOOK)
            sql.execute(f"PRAGMA busy_timeout = {max(int(1000 * (deadline - time.monotonic())), 0)}")
            return work(sql)

        try:
            async with asyncio.timeout(within_s):
                return await asyncio.get_running_loop().run_in_executor(threads, run)
        except (TimeoutError, sqlite3.Error, OSError, schema.TooNewError) as exc:
            log.warning("knowledge_failed", path=str(self._path), reason=f"{type(exc).__name__}: {exc}")
            message = "The knowledge index cannot be used at the moment. Try again later."
            raise Unavailable(message) from exc

    def _connect(self) -> sqlite3.Connection:
        """This thread's connection."""
        sql: sqlite3.Connection | None = getattr(self._of_thread, "sql", None)
        if sql is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Before SQLite makes it, with everybody's rights; its journal takes the file's. One that is there is not
            # opened: closing it would take the locks of this process's other connections away, and whichever process
            # leaves next would take the journal with it.
            with suppress(FileExistsError):
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            sql = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            self._opened.append(sql)
            sql.execute(f"PRAGMA busy_timeout = {int(1000 * SEARCH_S)}")
            sql.execute("PRAGMA journal_mode = WAL")
            sql.execute("PRAGMA synchronous = NORMAL")
            sql.execute("PRAGMA secure_delete = ON")  # what is removed is overwritten
            self._of_thread.sql = sql
        return sql


@contextmanager
def _transaction(sql: sqlite3.Connection) -> Iterator[None]:
    sql.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        sql.set_progress_handler(None, 0)  # its deadline must not stop the way back
        sql.execute("ROLLBACK")
        raise
    sql.execute("COMMIT")


@contextmanager
def _snapshot(sql: sqlite3.Connection) -> Iterator[None]:
    """What is read in it is of one moment: no table goes between two statements."""
    sql.execute("BEGIN")
    try:
        yield
    finally:
        sql.set_progress_handler(None, 0)
        sql.execute("ROLLBACK")


def _find_store(sql: sqlite3.Connection, vector_store_id: str) -> int | None:
    return _first(sql.execute("SELECT id FROM stores WHERE public_id = ?", (vector_store_id,)))


def _find_file(sql: sqlite3.Connection, store: int | None, file_id: str) -> int | None:
    return _first(sql.execute("SELECT id FROM files WHERE store = ? AND public_id = ?", (store, file_id)))


def _first(rows: sqlite3.Cursor) -> int | None:
    row: tuple[int] | None = rows.fetchone()
    return None if row is None else row[0]


def _create_store(sql: sqlite3.Connection, vector_store_id: str) -> int:
    store = sql.execute("INSERT INTO stores (public_id) VALUES (?)", (vector_store_id,)).lastrowid
    assert store is not None
    schema.create_words(sql, store)
    return store


def _insert(sql: sqlite3.Connection, store: int, indexed: Indexed) -> None:
    name = clean(indexed.filename)
    row = (store, indexed.file_id, name, encode(indexed.attributes).decode())
    file = sql.execute("INSERT INTO files (store, public_id, name, attributes) VALUES (?, ?, ?, ?)", row).lastrowid
    assert file is not None
    _insert_attributes(sql, file, indexed.attributes)
    for stretch in indexed.stretches:
        text, heading = clean(stretch.text), clean(stretch.heading)
        values = (file, stretch.number, text, heading, stretch.page, stretch.tokens, stretch.start)
        columns = "file, number, text, heading, page, tokens, start"
        passage = sql.execute(f"INSERT INTO passages ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", values).lastrowid  # noqa: S608 -- our own names
        words = (passage, *map(split_unspaced, (name, heading, text)))
        sql.execute(f"INSERT INTO {schema.words_of(store)} (rowid, name, heading, text) VALUES (?, ?, ?, ?)", words)  # noqa: S608 -- our own name


def _insert_attributes(sql: sqlite3.Connection, file: int, attributes: Attributes) -> None:
    rows = [(file, *row) for row in compose_rows(attributes)]
    sql.executemany("INSERT INTO attributes (file, key, kind, value) VALUES (?, ?, ?, ?)", rows)


def _remove_file(sql: sqlite3.Connection, store: int, file_id: str) -> None:
    file = _find_file(sql, store, file_id)
    of_file = "SELECT id FROM passages WHERE file = ?"
    sql.execute(f"DELETE FROM {schema.words_of(store)} WHERE rowid IN ({of_file})", (file,))  # noqa: S608 -- our own names
    sql.execute("DELETE FROM passages WHERE file = ?", (file,))
    sql.execute("DELETE FROM attributes WHERE file = ?", (file,))
    sql.execute("DELETE FROM files WHERE id = ?", (file,))


def _remove_store(sql: sqlite3.Connection, store: int) -> None:
    of_store = "(SELECT id FROM files WHERE store = ?)"
    sql.execute(f"DELETE FROM passages WHERE file IN {of_store}", (store,))  # noqa: S608 -- our own names
    sql.execute(f"DELETE FROM attributes WHERE file IN {of_store}", (store,))  # noqa: S608 -- the same
    sql.execute("DELETE FROM files WHERE store = ?", (store,))
    sql.execute("DELETE FROM stores WHERE id = ?", (store,))
    sql.execute(f"DROP TABLE {schema.words_of(store)}")


def _search(
    sql: sqlite3.Connection,
    store: tuple[str, int],
    words: Sequence[str],
    *,
    where: Filter | None,
    limit: int,
) -> Iterator[Passage]:
    """Passages that have any of the words, the best first. `store`: its public id, and its row.

    A quoted word is a word, whatever FTS5's syntax would say.
    """
    vector_store_id, row_id = store
    table = schema.words_of(row_id)
    clause, parameters = compose_clause(where)
    weights = f"{NAME_WEIGHT}, {HEADING_WEIGHT}, {TEXT_WEIGHT}"
    # The plus keeps SQLite from asking the full-text table once for each passage that fits the filter.
    fitting = f"""
        AND +rowid IN (SELECT passages.id FROM files JOIN passages ON passages.file = files.id
                       WHERE files.store = ? AND {clause})
    """  # noqa: S608 -- our own names; whatever comes from others is a parameter
    statement = f"""
        SELECT files.public_id, files.name, files.attributes,
               passages.number, passages.text, passages.heading, page, tokens, start, fit
        FROM (SELECT rowid AS id, -bm25({table}, {weights}) AS fit FROM {table}
              WHERE {table} MATCH ? {"" if where is None else fitting} ORDER BY fit DESC, rowid LIMIT ?) AS found
        JOIN passages ON passages.id = found.id JOIN files ON files.id = passages.file
    """  # noqa: S608 -- the same
    chosen = [] if where is None else [row_id, *parameters]
    question = " OR ".join(f'"{word}"' for word in words)
    rows: list[tuple[Any, ...]] = sql.execute(statement, (question, *chosen, limit)).fetchall()
    best = max((row[-1] for row in rows), default=0.0)
    for file_id, filename, attributes, number, text, heading, page, tokens, start, fit in rows:
        yield Passage(
            vector_store_id=vector_store_id,
            file_id=file_id,
            filename=filename,
            number=number,
            text=text,
            heading=heading,
            page=page,
            tokens=tokens,
            start=start,
            # Of a word that nearly every passage has, FTS5 says that it tells nothing: all fit alike.
            score=min(max(fit / best, 0.0), 1.0) if best > 0 else 1.0,
            attributes=decode_attributes(attributes),
        )
