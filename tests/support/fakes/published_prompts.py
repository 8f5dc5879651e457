"""`PublishedPrompts` in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from prompts.domain.prompts import EVERYBODY
from prompts.errors import unknown_prompt
from prompts.ports.prompts import FoundPrompt, Publication


@dataclass
class FakePublishedPrompts:
    """Templates by their ids; how often a version was read is counted."""

    kept: dict[str, Publication] = field(default_factory=dict)
    reads: int = 0
    _withdrawn: set[str] = field(default_factory=set)

    async def get(self, prompt_id: str, *, owner: str, number: int | None = None) -> FoundPrompt:
        """See `PublishedPrompts.get`."""
        self.reads += 1
        kept = self.kept.get(prompt_id)
        if kept is None or kept.owner not in (owner, EVERYBODY):
            raise unknown_prompt(prompt_id, number)
        wanted = kept.default_number if number is None else number
        if wanted not in kept.versions:
            raise unknown_prompt(prompt_id, number)
        return FoundPrompt(wanted, kept.owner, kept.versions[wanted])

    async def publish(self, publication: Publication, *, wrong_revision: int = 0) -> bool:
        """See `PublishedPrompts.publish`."""
        if publication.prompt_id in self._withdrawn:
            return True
        before = self.kept.get(publication.prompt_id)
        if before is not None and before.revision == wrong_revision > publication.revision:
            before = None
        published = before.revision if before else 0
        if not publication.is_whole and published < publication.revision - 1:
            return False
        versions = {**(before.versions if before else {}), **publication.versions}
        newest = publication if published <= publication.revision or before is None else before
        self.kept[publication.prompt_id] = replace(newest, versions=versions)
        return True

    async def withdraw(self, prompt_id: str) -> None:
        """See `PublishedPrompts.withdraw`."""
        self.kept.pop(prompt_id, None)
        self._withdrawn.add(prompt_id)

    async def list_revisions(self) -> Mapping[str, int]:
        """See `PublishedPrompts.list_revisions`."""
        return {prompt_id: kept.revision for prompt_id, kept in self.kept.items()}
