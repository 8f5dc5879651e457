"""Searches in what was said."""

from collections.abc import Collection
from typing import Protocol


class SaidSearch(Protocol):
    """Finds conversations by what was said in them."""

    async def find(self, query: str, *, owner: str) -> Collection[str]:
        """The ids of the owner's conversations in which all words of the query were said, in one message.

        Of very many, those where it was said last. Raises Unavailable, within two seconds.
        """


class NothingSaid:
    """`SaidSearch` without an archive."""

    async def find(self, query: str, *, owner: str) -> Collection[str]:
        """See `SaidSearch.find`."""
        return ()
