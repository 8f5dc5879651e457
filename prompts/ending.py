"""Ending a response from outside its run: cancelled by its owner, or lost with its replica.

Its epoch rises first, so that the log stands still; then the answer is told again from the log, and committed as it is.
"""

import time

import structlog

from prompts.domain import Response, ResponseError
from prompts.errors import ReplicaLost, ServiceError
from prompts.events import Narration, encode, pack
from prompts.ports import EventLog, Failure, Outcome, ResponseStore, Seized
from prompts.reading import read_slices

log = structlog.get_logger(__name__)

LOST = ReplicaLost("The replica that wrote this answer was lost. Send the input again.")


async def end_lost(response_id: str, *, store: ResponseStore, event_log: EventLog, lease_s: float) -> None:
    """End a response whose lease has expired as `failed`, its partial text kept. Raises StaleRun, Unavailable."""
    seized = await store.seize(response_id, owner=None, lease_s=lease_s)
    if isinstance(seized, Seized):
        error = ResponseError(LOST.response_code, LOST.message)
        await end_seized(seized, store=store, event_log=event_log, error=error)
        log.warning("response_lost", response_id=response_id, owner=seized.owner)


async def end_seized(
    seized: Seized, *, store: ResponseStore, event_log: EventLog, error: ResponseError | None
) -> Outcome:
    """End it as `failed`, or without an error as `cancelled`. Raises StaleRun when another was quicker, Unavailable."""
    narration = await retell(seized.response, event_log=event_log)
    ended = narration.end(completed_at=int(time.time()), finished=None, error=error)
    result = encode(ended)
    closing = narration.closing(ended, result)
    items = [] if error else [*seized.input, *ended.output]
    outcome = Outcome(ended, result, items, describe(LOST) if error else None)
    last_number = closing[-1].sequence_number
    await store.commit(outcome, owner=seized.owner, epoch=seized.epoch, last_number=last_number, signals=pack([]))
    return outcome


async def retell(response: Response, *, event_log: EventLog) -> Narration:
    """The narration as its run left it. Raises Unavailable."""
    narration = Narration(response)
    narration.opening()
    async for entry in read_slices(event_log, response.id, after=narration.next_number - 1):
        narration.tell(entry.signals)
    return narration


def describe(error: ServiceError) -> Failure:
    """The failure as a retry of the request is told it."""
    return Failure(error.code, error.type, error.status, error.message, error.retry_after_s)
