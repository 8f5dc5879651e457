"""Use cases on templates: SQL is asked and changed, and what turns read is published before the answer.

None of this is on the way of a turn (`prompts.usecases.prompting` is).
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import structlog

from prompts.domain import ids
from prompts.domain.prompts import PromptContent, PromptVersion
from prompts.errors import Unavailable
from prompts.ports.prompts import PromptStore, PublishedPrompts, VersionsPage
from prompts.run.publishing_prompts import publish
from prompts.usecases.prompt_rules import check_content
from prompts.usecases.public_ids import check_prompt_id

log = structlog.get_logger(__name__)

Order: TypeAlias = Literal["asc", "desc"]


@dataclass(frozen=True, slots=True)
class PromptPorts:
    """What templates are kept with."""

    store: PromptStore
    published: PublishedPrompts


async def create_prompt(content: PromptContent, *, owner: str, name: str | None, ports: PromptPorts) -> PromptVersion:
    """A new template of the owner's. Raises InvalidRequest, QuotaExceeded, Unavailable."""
    check_content(content)
    prompt_id = ids.new_id(ids.PROMPT, ids.find_partition(owner))
    made = await ports.store.create(prompt_id, content, owner=owner, name=name)
    await publish_now(prompt_id, ports)
    return made


async def get_prompt(prompt_id: str, *, owner: str, number: int | None, ports: PromptPorts) -> PromptVersion:
    """One version; the default without a number. Raises NotFound, Unavailable."""
    check_prompt_id(prompt_id)
    return await ports.store.get(prompt_id, owner=owner, number=number)


async def list_prompts(*, owner: str, limit: int, order: Order, after: str | None, ports: PromptPorts) -> VersionsPage:
    """The templates that the owner may use. Raises NotFound (`after`), Unavailable."""
    if after is not None:
        check_prompt_id(after, param="after")
    return await ports.store.list_prompts(owner=owner, limit=limit, order=order, after=after)


async def list_prompt_versions(
    prompt_id: str, *, owner: str, limit: int, order: Order, after: int | None, ports: PromptPorts
) -> VersionsPage:
    """The versions of a template. Raises NotFound (also `after`), Unavailable."""
    check_prompt_id(prompt_id)
    return await ports.store.list_versions(prompt_id, owner=owner, limit=limit, order=order, after=after)


async def add_prompt_version(
    prompt_id: str,
    content: PromptContent,
    *,
    owner: str,
    after: int,
    name: str | None,
    becomes_default: bool,
    ports: PromptPorts,
) -> PromptVersion:
    """The version behind the latest. Raises InvalidRequest, NotFound, PromptChanged, QuotaExceeded, Unavailable."""
    check_prompt_id(prompt_id)
    check_content(content)
    made = await ports.store.add_version(
        prompt_id, content, owner=owner, after=after, name=name, becomes_default=becomes_default
    )
    await publish_now(prompt_id, ports, above=after)
    return made


async def set_default_version(prompt_id: str, number: int, *, owner: str, ports: PromptPorts) -> PromptVersion:
    """The version, which is the default from now on. Raises NotFound, Unavailable."""
    check_prompt_id(prompt_id)
    made = await ports.store.set_default(prompt_id, number, owner=owner)
    await publish_now(prompt_id, ports, above=made.latest_number)
    return made


async def delete_prompt(prompt_id: str, *, owner: str, ports: PromptPorts) -> None:
    """No turn uses it from now on; what used it stays. Raises NotFound, Unavailable."""
    check_prompt_id(prompt_id)
    await ports.store.delete(prompt_id, owner=owner)
    await publish_now(prompt_id, ports)


async def publish_now(prompt_id: str, ports: PromptPorts, *, above: int = 0) -> None:
    """Publish a change that is in SQL. What cannot be reached now is told within a minute (`keep_reconciled`)."""
    try:
        await publish(prompt_id, ports.store, ports.published, above=above)
    except Unavailable as error:
        log.warning("prompt_not_published", prompt_id=prompt_id, reason=error.message)
