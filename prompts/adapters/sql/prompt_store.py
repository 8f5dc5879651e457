"""Prompts in SQL, asked in threads of their own: a slow database keeps who manages prompts waiting, and nobody else."""

from collections.abc import Mapping
from functools import partial
from typing import Literal

from prompts import prompt_rows
from prompts.adapters.sql.threads import SqlThreads
from prompts.domain.prompts import PromptContent, PromptVersion
from prompts.ports.prompts import Publication, VersionsPage

# Calls at once, and with them connections, of a process; each takes milliseconds.
MAX_THREADS = 4
# Waiting for a thread included. A call that takes longer may still come to its end.
MAX_CALL_S = 10.0


class SqlPrompts:
    """`PromptStore` on Django's ORM."""

    def __init__(self) -> None:
        self._threads = SqlThreads("prompts", MAX_THREADS, max_call_s=MAX_CALL_S)

    def close(self) -> None:
        """No more calls; those that have begun come to their end."""
        self._threads.close()

    async def create(self, prompt_id: str, content: PromptContent, *, owner: str, name: str | None) -> PromptVersion:
        """See `PromptStore.create`."""
        return await self._threads.ask(partial(prompt_rows.create_prompt, prompt_id, content, owner=owner, name=name))

    async def get(self, prompt_id: str, *, owner: str, number: int | None = None) -> PromptVersion:
        """See `PromptStore.get`."""
        return await self._threads.ask(partial(prompt_rows.get_version, prompt_id, owner=owner, number=number))

    async def list_prompts(
        self, *, owner: str, limit: int, order: Literal["asc", "desc"], after: str | None
    ) -> VersionsPage:
        """See `PromptStore.list_prompts`."""
        return await self._threads.ask(
            partial(prompt_rows.list_defaults, owner=owner, limit=limit, order=order, after=after)
        )

    async def list_versions(
        self, prompt_id: str, *, owner: str, limit: int, order: Literal["asc", "desc"], after: int | None
    ) -> VersionsPage:
        """See `PromptStore.list_versions`."""
        return await self._threads.ask(
            partial(prompt_rows.list_versions, prompt_id, owner=owner, limit=limit, order=order, after=after)
        )

    async def add_version(
        self,
        prompt_id: str,
        content: PromptContent,
        *,
        owner: str,
        after: int,
        name: str | None,
        becomes_default: bool,
    ) -> PromptVersion:
        """See `PromptStore.add_version`."""
        add = partial(prompt_rows.add_version, owner=owner, after=after, name=name, becomes_default=becomes_default)
        return await self._threads.ask(partial(add, prompt_id, content))

    async def set_default(self, prompt_id: str, number: int, *, owner: str) -> PromptVersion:
        """See `PromptStore.set_default`."""
        return await self._threads.ask(partial(prompt_rows.set_default, prompt_id, number, owner=owner))

    async def delete(self, prompt_id: str, *, owner: str) -> None:
        """See `PromptStore.delete`."""
        await self._threads.ask(partial(prompt_rows.delete_prompt, prompt_id, owner=owner))

    async def find_publication(self, prompt_id: str, *, above: int = 0) -> Publication | None:
        """See `PromptStore.find_publication`."""
        return await self._threads.ask(partial(prompt_rows.find_publication, prompt_id, above=above))

    async def list_revisions(self) -> Mapping[str, int]:
        """See `PromptStore.list_revisions`."""
        return await self._threads.ask(prompt_rows.list_revisions)
