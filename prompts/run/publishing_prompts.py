"""Prompts are published as API keys are: SQL has the truth, Redis the copy that turns read.

Who changes a prompt publishes it at once; what failed to be published, or was flushed, heals within a minute, and so
does a prompt that is deleted and still published.
"""

import structlog

from prompts.ports.prompts import PromptStore, PublishedPrompts

log = structlog.get_logger(__name__)


async def reconcile(store: PromptStore, published: PublishedPrompts) -> None:
    """Make the published prompts those of SQL.

    Redis is read first: what is published by then is in SQL, unless it was deleted. A prompt that is being made at this
    moment is never taken for one to withdraw.
    """
    there = await published.list_revisions()
    wanted = await store.list_revisions()
    for prompt_id, revision in wanted.items():
        if there.get(prompt_id) != revision:
            wrong = there.get(prompt_id, 0)
            await publish(prompt_id, store, published, wrong_revision=wrong if wrong > revision else 0)
    withdrawn = [prompt_id for prompt_id in there if prompt_id not in wanted]
    for prompt_id in withdrawn:
        await published.withdraw(prompt_id)
    if withdrawn or there != wanted:
        log.info("prompts_published", prompts=len(wanted), withdrawn=len(withdrawn))


async def publish(
    prompt_id: str, store: PromptStore, published: PublishedPrompts, *, above: int = 0, wrong_revision: int = 0
) -> None:
    """Publish a prompt as it is in SQL now; withdraw it when it is not there.

    Only its versions above this number, where all others are published already.
    """
    publication = await store.find_publication(prompt_id, above=above)
    if publication is None:
        await published.withdraw(prompt_id)
    elif not await published.publish(publication, wrong_revision=wrong_revision):
        await publish(prompt_id, store, published)
