"""Templates: their truth, which people change, and the published copy, which turns read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from prompts.domain.prompts import PromptContent, PromptVersion
from prompts.errors import unknown_prompt

# docs/api.md, "Limits". What an owner keeps is in SQL, and a copy of it in Redis.
MAX_PROMPTS = 1_000
MAX_VERSIONS = 200
MAX_PROMPT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class VersionsPage:
    """One page of versions, in the order asked for."""

    versions: Sequence[PromptVersion]
    has_more: bool


class PromptStore(Protocol):
    """The truth. An owner reads their own templates and everybody's, and changes their own.

    Each call asks SQL in a thread: it is not for the way of a turn. All raise Unavailable within a bounded time.
    """

    async def create(self, prompt_id: str, content: PromptContent, *, owner: str, name: str | None) -> PromptVersion:
        """A new template; this is its version 1, and the default. Raises QuotaExceeded."""

    async def get(self, prompt_id: str, *, owner: str, number: int | None = None) -> PromptVersion:
        """One version; the default without a number. Raises NotFound."""

    async def list_prompts(
        self, *, owner: str, limit: int, order: Literal["asc", "desc"], after: str | None
    ) -> VersionsPage:
        """The default version of each template that the owner may use, by age. Raises NotFound (`after`)."""

    async def list_versions(
        self, prompt_id: str, *, owner: str, limit: int, order: Literal["asc", "desc"], after: int | None
    ) -> VersionsPage:
        """The versions of a template, by number. Raises NotFound (also `after`)."""

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
        """The version behind the latest one, whose number is `after`; without a `name` the template keeps its own.

        Raises NotFound, PromptChanged (there is a later one), QuotaExceeded.
        """

    async def set_default(self, prompt_id: str, number: int, *, owner: str) -> PromptVersion:
        """Make this version the default. Raises NotFound (also a version)."""

    async def delete(self, prompt_id: str, *, owner: str) -> None:
        """Erase a template with its versions. Raises NotFound."""

    async def find_publication(self, prompt_id: str, *, above: int = 0) -> "Publication | None":
        """A template as it is to be published, with its versions above this number; None when there is none."""

    async def list_revisions(self) -> Mapping[str, int]:
        """The revision of every template: it rises with each change."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A template as it is published, whole, or the versions that are new."""

    prompt_id: str
    owner: str
    revision: int
    default_number: int
    versions: Mapping[int, PromptContent]
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class FoundPrompt:
    """A published version."""

    number: int
    owner: str
    content: PromptContent


class PublishedPrompts(Protocol):
    """The published copy of all templates. Every method raises Unavailable."""

    async def get(self, prompt_id: str, *, owner: str, number: int | None = None) -> FoundPrompt:
        """A version of the owner's, or of everybody's; the default without a number. One round trip.

        Raises NotFound (template, version; the answer is the same for another owner's).
        """

    async def publish(self, publication: Publication, *, wrong_revision: int = 0) -> bool:
        """Make a template usable as it is now. An older revision than the published one changes nothing.

        False: only the versions of the latest change came, and those before are not published.

        Unless that is the `wrong_revision`, which the truth does not have: it was taken back to an earlier state.
        """

    async def withdraw(self, prompt_id: str) -> None:
        """Make a template unknown. A publication of it that comes late changes nothing."""

    async def list_revisions(self) -> Mapping[str, int]:
        """The revision of every published template."""


class NoPrompts:
    """`PublishedPrompts` where nobody has any."""

    async def get(self, prompt_id: str, *, owner: str, number: int | None = None) -> FoundPrompt:
        """See `PublishedPrompts.get`."""
        raise unknown_prompt(prompt_id, number)

    async def publish(self, publication: Publication, *, wrong_revision: int = 0) -> bool:
        """See `PublishedPrompts.publish`."""
        return True

    async def withdraw(self, prompt_id: str) -> None:
        """See `PublishedPrompts.withdraw`."""

    async def list_revisions(self) -> Mapping[str, int]:
        """See `PublishedPrompts.list_revisions`."""
        return {}


NO_PROMPTS = NoPrompts()
