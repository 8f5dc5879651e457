"""Waiting for the end of an active response that somebody else writes."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from prompts.domain.responses import ENDED
from prompts.errors import NotFound
from prompts.ports.event_log import Watch
from prompts.ports.responses import ResponseStore

# A nudge may be lost, and an older release does not tell the end apart: then the response is looked at.
LOOK_S = 2.0


async def wait_for_end(
    response_id: str,
    *,
    owner: str,
    store: ResponseStore,
    watch: Watch,
    within_s: float,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Until the response has ended or is gone, or `within_s`. `check` is called at each look, and may raise.

    Raises Unavailable.
    """
    with suppress(TimeoutError, NotFound):
        async with asyncio.timeout(within_s):
            while (await store.get(response_id, owner=owner)).status not in ENDED:
                check()
                await watch.wait_news(LOOK_S)
