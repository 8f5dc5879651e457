"""What is published to Redis is made to agree with SQL, again and again."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from prompts.run.chores import jitter

log = structlog.get_logger(__name__)

# Healed within a minute, at some time of it: replicas do not ask SQL all at once.
RECONCILE_S = 60.0
# The next minute looks again anyway.
MAX_LOOKS = 3


async def repeat_while_changing(reconcile: Callable[[], Awaitable[bool]]) -> None:
    """Reconcile until it changes nothing, a few times at most; it gives whether it has published anything.

    What was changed in SQL and published by another behind the look into SQL would be published as it was before, for a
    minute.
    """
    for _ in range(MAX_LOOKS):
        if not await reconcile():
            return


async def keep_reconciled(reconciles: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
    """Reconcile each now and every minute, also after failures; runs until cancelled."""
    while True:
        for name, reconcile in reconciles.items():
            try:
                await reconcile()
            except Exception as exc:  # noqa: BLE001 -- Redis or SQL is away, in whatever words: the next minute tries again
                log.warning("not_published", what=name, reason=type(exc).__name__)
        await asyncio.sleep(jitter(RECONCILE_S))
