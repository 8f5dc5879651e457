"""The origins that projects allow: SQL has the truth, Redis a published copy, and this makes the two agree."""

from collections import defaultdict
from functools import partial

import structlog

from prompts.models import Project
from prompts.ports.origins import Origins
from prompts.publishing.reconciling import repeat_while_changing
from prompts.sql_calls import ask_sql

log = structlog.get_logger(__name__)


async def reconcile_origins(origins: Origins) -> None:
    """Make the published origins those of SQL; Redis is read first, as for the keys. Raises Unavailable."""
    await repeat_while_changing(partial(_reconcile_once, origins))


async def _reconcile_once(origins: Origins) -> bool:
    """Whether anything was published."""
    published = await origins.published()
    wanted = await ask_sql(_read_allowed)
    changed = {
        origin: wanted.get(origin, frozenset())
        for origin in {*published, *wanted}
        if published.get(origin) != wanted.get(origin)
    }
    if changed:
        await origins.publish(changed)
        log.info("origins_published", changed=len(changed))
    return bool(changed)


def _read_allowed() -> dict[str, frozenset[str]]:
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for project in Project.objects.all():
        for origin in project.list_origins():
            owners[origin].add(project.owner)
    return {origin: frozenset(names) for origin, names in owners.items()}
