"""The tables of the embedded index, and their version.

files          one row a file in a vector store, with its attributes as JSON for whoever shows them
attributes     the same attributes, one row each, typed, to filter by
passages       the texts
words_<n>      full-text table of the vector store with the row `n`: one each, so that neither the words of other
               vector stores nor how often they have them weigh in a search; its rows are those of `passages`
"""

import sqlite3

from prompts.adapters.search_words import TOKENIZER

VERSION = 1
SCHEMA = """
CREATE TABLE stores (id INTEGER PRIMARY KEY AUTOINCREMENT, public_id TEXT NOT NULL UNIQUE);
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    store INTEGER NOT NULL REFERENCES stores,
    public_id TEXT NOT NULL,
    name TEXT NOT NULL,
    attributes TEXT NOT NULL,
    UNIQUE (store, public_id)
);
CREATE TABLE attributes (
    file INTEGER NOT NULL REFERENCES files,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    value NOT NULL,
    PRIMARY KEY (file, key)
) WITHOUT ROWID;
CREATE TABLE passages (
    id INTEGER PRIMARY KEY,
    file INTEGER NOT NULL REFERENCES files,
    number INTEGER NOT NULL,
    text TEXT NOT NULL,
    heading TEXT NOT NULL,
    page INTEGER,
    tokens INTEGER NOT NULL,
    start INTEGER NOT NULL,
    UNIQUE (file, number)
);
"""


class TooNewError(Exception):
    """A later release has made the file; this one must not write into it."""


def prepare(sql: sqlite3.Connection) -> None:
    """Make the tables, or see that they are there; in a transaction. Raises TooNewError."""
    [version] = sql.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise TooNewError
    if version == 0:
        for statement in SCHEMA.split(";\n"):
            sql.execute(statement)
        sql.execute(f"PRAGMA user_version = {VERSION}")


def create_words(sql: sqlite3.Connection, store: int) -> None:
    """Make the full-text table of a vector store."""
    sql.execute(f"CREATE VIRTUAL TABLE {words_of(store)} USING fts5(name, heading, text, tokenize = '{TOKENIZER}')")


def words_of(store: int) -> str:
    """The name of a vector store's full-text table."""
    return f"words_{store:d}"
