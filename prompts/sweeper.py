"""What every replica looks after, every two seconds: responses whose replica is gone, and what is due to be erased.

Any number of replicas may do this at once: each step is one script that looks again before it acts.
"""

import asyncio
import random

import structlog

from prompts.ending import end_lost
from prompts.errors import ServiceError, StaleRun, Unavailable
from prompts.ports import Eraser, EventLog, ResponseStore

log = structlog.get_logger(__name__)

# A lost response is found within the lease and this; replicas are jittered apart, so that they do not all look at once.
SWEEP_S = 2.0
JITTER = 0.25


async def keep_swept(*, store: ResponseStore, event_log: EventLog, eraser: Eraser, lease_s: float) -> None:
    """Sweep until cancelled, whatever is away in between."""
    while True:
        await asyncio.sleep(SWEEP_S * random.uniform(1 - JITTER, 1))  # noqa: S311 -- jitter, no secret
        try:
            await sweep(store=store, event_log=event_log, eraser=eraser, lease_s=lease_s)
        except ServiceError as error:
            log.warning("not_swept", code=error.code)
        except Exception:
            log.exception("sweep_crashed")  # one thing that cannot be read must not end the looking after all others


async def sweep(*, store: ResponseStore, event_log: EventLog, eraser: Eraser, lease_s: float) -> None:
    """One look at everything. Raises Unavailable."""
    for response_id in await store.list_lost():
        try:
            await end_lost(response_id, store=store, event_log=event_log, lease_s=lease_s)
        except StaleRun:
            continue  # another replica was quicker
        except Unavailable:
            raise
        except Exception:
            log.exception("lost_response_not_ended", response_id=response_id)
    await erase_due(eraser)


async def erase_due(eraser: Eraser, *, near: str | None = None) -> None:
    """Erase what is due until nothing is; `near` an id: in its partition only. Raises Unavailable."""
    done: set[str] = set()
    # What stays due although nothing of it is left would be looked at for ever; the next sweep may try it again.
    while due := [handle for handle in await eraser.list_due(near) if handle not in done]:
        for handle in due:
            is_more = True
            while is_more:  # others' commands go between two slices
                is_more = await eraser.erase_slice(handle)
        done.update(due)
