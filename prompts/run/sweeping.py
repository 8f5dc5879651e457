"""What every replica looks after, every two seconds: responses that nobody writes, and what is due to be erased.

Any number of replicas may do this at once: each step is one script that looks again before it acts.
"""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import structlog

from prompts.errors import ServiceError
from prompts.ports.eraser import Eraser, Slice
from prompts.ports.event_log import EventLog
from prompts.ports.responses import ResponseStore
from prompts.run.chores import jitter
from prompts.run.ending import is_passing
from prompts.run.runner import Runner
from prompts.run.takeover import take_over

log = structlog.get_logger(__name__)

# A lost response is found within the lease and this.
SWEEP_S = 2.0
# Erasing leaves off so soon for responses that were lost meanwhile, and goes on at once when there are none.
ERASE_S = 1.0
# Of each history, before what is due is listed again: a listing costs about as much as three slices.
SLICES_A_LISTING = 16
# Takeovers at once. Each is some round trips; what is told of its log in between holds nobody up.
AT_ONCE = 8


WaitLost: TypeAlias = Callable[[float], Awaitable[None]]


async def keep_swept(
    *, store: ResponseStore, event_log: EventLog, eraser: Eraser, runner: Runner, wait_lost: WaitLost
) -> None:
    """Sweep until cancelled, also after failures; at once when `wait_lost` says that a response waits."""
    is_more = False
    while True:
        await wait_lost(0 if is_more else jitter(SWEEP_S))
        is_more = False
        try:
            await take_over_lost(store=store, event_log=event_log, runner=runner)
            is_more = await erase_due(eraser, within_s=ERASE_S)
        except ServiceError as error:
            log.warning("not_swept", code=error.code)
        except Exception:
            log.exception("sweep_crashed")  # one response that cannot be read must not stop the sweep of all others


async def take_over_lost(*, store: ResponseStore, event_log: EventLog, runner: Runner) -> None:
    """Take over every response whose lease has expired, some at once: none waits for one that fails.

    Raises Unavailable.
    """
    tried: set[str] = set()
    while lost := [response_id for response_id in await store.list_lost() if response_id not in tried]:
        tried.update(lost)
        # A response whose run is here renews its lease, or learns that it was taken over.
        lost = [response_id for response_id in lost if runner.find(response_id) is None]
        random.shuffle(lost)  # replicas do not all begin with the same one
        await _take_over_all(lost, store=store, event_log=event_log, runner=runner)


async def _take_over_all(lost: Sequence[str], *, store: ResponseStore, event_log: EventLog, runner: Runner) -> None:
    left = iter(lost)

    async def take_some() -> None:
        for response_id in left:
            try:
                await take_over(response_id, store=store, event_log=event_log, runner=runner)
            except Exception as error:
                if is_passing(error):
                    raise
                log.exception("response_not_taken_over", response_id=response_id)

    failures = await asyncio.gather(*(take_some() for _ in range(min(AT_ONCE, len(lost)))), return_exceptions=True)
    for failure in failures:
        if failure is not None:
            raise failure


async def erase_due(eraser: Eraser, *, within_s: float = math.inf) -> bool:
    """Erase what is due, slice by slice and in turn; whether there was no time for all of it. Raises Unavailable."""
    deadline = time.monotonic() + within_s
    # A handle is done once a sweep, so that one that stays due cannot keep it busy for ever.
    done: set[str] = set()
    while due := [handle for handle in await eraser.list_due() if handle not in done]:
        for _ in range(SLICES_A_LISTING):
            erased = [(handle, await _erase_slice(eraser, handle)) for handle in due]
            done.update(handle for handle, piece in erased if not piece.is_more)
            due = [handle for handle, piece in erased if piece.is_more]
            if time.monotonic() > deadline:
                return True
    return False


async def erase_deleted(eraser: Eraser, conversation_id: str) -> None:
    """Erase all that a deleted conversation has left, and nothing else. Raises Unavailable."""
    await erase_left(eraser, await eraser.list_due(near=conversation_id))


async def erase_left(eraser: Eraser, handles: Sequence[str]) -> None:
    """Erase all that these handles stand for, and what goes with it. Raises Unavailable."""
    due = list(handles)
    while due:
        handle = due.pop()
        erased = await _erase_slice(eraser, handle)  # other commands run between two slices
        due += [handle] if erased.is_more else []
        due += erased.due


async def _erase_slice(eraser: Eraser, handle: str) -> Slice:
    """One that cannot be erased must not keep the others: it is done for now. Raises Unavailable."""
    try:
        return await eraser.erase_slice(handle)
    except Exception as error:
        if is_passing(error):
            raise
        log.exception("not_erased", handle=handle)
    return Slice(is_more=False)
