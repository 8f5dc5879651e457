"""Searches in the archive, for the API."""

from collections.abc import Collection
from functools import partial

from prompts.adapters.sql.threads import SqlThreads
from prompts.archive.search import find_said_ids, limited_time

# Of a process; a search takes milliseconds, or its time is over.
MAX_THREADS = 2
# Whoever types waits for it. The titles are there without it.
MAX_CALL_S = 2.0


class SqlSaidSearch:
    """`SaidSearch` on Django's ORM."""

    def __init__(self) -> None:
        self._threads = SqlThreads("said", MAX_THREADS, max_call_s=MAX_CALL_S)

    def close(self) -> None:
        """No more searches; those that have begun come to their end."""
        self._threads.close()

    async def find(self, query: str, *, owner: str) -> Collection[str]:
        """See `SaidSearch.find`."""
        return await self._threads.ask(partial(_find, query, owner))


def _find(query: str, owner: str) -> Collection[str]:
    with limited_time(MAX_CALL_S):
        return find_said_ids(query, owner=owner)
