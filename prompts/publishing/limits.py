"""The limits of projects: SQL has the truth, Redis a published copy, and this makes the two agree."""

from functools import partial

import structlog

from prompts.models import Project
from prompts.ports.project_limits import Limits, ProjectLimits
from prompts.publishing.reconciling import repeat_while_changing
from prompts.sql_calls import ask_sql

log = structlog.get_logger(__name__)

NOTHING_SET = Limits()


async def reconcile_limits(project_limits: ProjectLimits) -> None:
    """Make the published limits those of SQL; Redis is read first, as for the keys. Raises Unavailable."""
    await repeat_while_changing(partial(_reconcile_once, project_limits))


async def _reconcile_once(project_limits: ProjectLimits) -> bool:
    """Whether anything was published."""
    published = await project_limits.published()
    wanted = await ask_sql(_read_set)
    changed = {
        owner: wanted.get(owner, NOTHING_SET)
        for owner in {*published, *wanted}
        if published.get(owner) != wanted.get(owner)
    }
    if changed:
        await project_limits.publish(changed)
        log.info("limits_published", changed=len(changed))
    return bool(changed)


def _read_set() -> dict[str, Limits]:
    found = {project.owner: project.limits for project in Project.objects.all()}
    return {owner: limits for owner, limits in found.items() if limits != NOTHING_SET}
