"""What every replica looks after, every two seconds: responses that nobody writes, and what is due to be erased.

Any number of replicas may do this at once: each step is one script that looks again before it acts.
"""

import random
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import structlog

from prompts.errors import ServiceError, Unavailable
from prompts.ports.eraser import Eraser
from prompts.ports.event_log import EventLog
from prompts.ports.responses import ResponseStore
from prompts.run.runner import Runner
from prompts.run.takeover import take_over

log = structlog.get_logger(__name__)

# A lost response is found within the lease and this; replicas are jittered apart, so that they do not all look at once.
SWEEP_S = 2.0
JITTER = 0.25


WaitLost: TypeAlias = Callable[[float], Awaitable[None]]


async def keep_swept(
    *, store: ResponseStore, event_log: EventLog, eraser: Eraser, runner: Runner, wait_lost: WaitLost
) -> None:
    """Sweep until cancelled, also after failures; at once when `wait_lost` says that a response waits."""
    while True:
        await wait_lost(SWEEP_S * random.uniform(1 - JITTER, 1))  # noqa: S311 -- jitter, no secret
        try:
            await take_over_lost(store=store, event_log=event_log, runner=runner)
            await erase_due(eraser)
        except ServiceError as error:
            log.warning("not_swept", code=error.code)
        except Exception:
            log.exception("sweep_crashed")  # one response that cannot be read must not stop the sweep of all others


async def take_over_lost(*, store: ResponseStore, event_log: EventLog, runner: Runner) -> None:
    """Take over every response whose lease has expired. Raises Unavailable."""
    for response_id in await store.list_lost():
        if runner.find(response_id) is not None:
            continue  # its run is here: it renews the lease, or learns that the response was taken over
        try:
            await take_over(response_id, store=store, event_log=event_log, runner=runner)
        except Unavailable:
            raise
        except Exception:
            log.exception("response_not_taken_over", response_id=response_id)


async def erase_due(eraser: Eraser, *, near: str | None = None) -> None:
    """Erase everything that is due; `near` an id: in its partition only. Raises Unavailable."""
    done: set[str] = set()
    # Each handle is tried once a sweep, so that one that stays due cannot keep it busy for ever.
    while due := [handle for handle in await eraser.list_due(near) if handle not in done]:
        for handle in due:
            is_more = True
            while is_more:  # other commands run between two slices
                is_more = await eraser.erase_slice(handle)
        done.update(due)
