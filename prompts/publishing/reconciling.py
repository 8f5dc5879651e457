"""What is published to Redis is made to agree with SQL, again and again."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from prompts.run.chores import jitter

log = structlog.get_logger(__name__)

# Healed within a minute, at some time of it: replicas do not ask SQL all at once.
RECONCILE_S = 60.0


async def keep_reconciled(reconciles: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
    """Reconcile each now and every minute, also after failures; runs until cancelled."""
    while True:
        for name, reconcile in reconciles.items():
            try:
                await reconcile()
            except Exception as exc:  # noqa: BLE001 -- Redis or SQL is away, in whatever words: the next minute tries again
                log.warning("not_published", what=name, reason=type(exc).__name__)
        await asyncio.sleep(jitter(RECONCILE_S))
