"""Ending a response from outside its run: cancelled by its owner, or lost for good.

Its epoch rises first, so that the log stands still; then the answer is told again from the log, and committed as it is.
"""

import time

from msgspec.structs import replace

from prompts.answer.events import Narration, encode
from prompts.domain.responses import Response, ResponseError
from prompts.domain.signals import Finished, pack
from prompts.errors import ReplicaLost, ServiceError
from prompts.history.model_input import calibrate
from prompts.ports.event_log import EventLog, Group
from prompts.ports.responses import (
    Failure,
    Outcome,
    ResponseStore,
    Seized,
)
from prompts.run.log_reader import read_slices

LOST = ReplicaLost("The replicas that wrote this answer were lost. Send the input again.")


async def end_seized(
    seized: Seized,
    narration: Narration,
    *,
    store: ResponseStore,
    finished: Finished | None = None,
    error: ServiceError | None = None,
) -> Outcome:
    """End it as it stands: `failed` with the error, as the model `finished`, or with neither `cancelled`.

    Raises StaleRun when another was quicker, TailLost, Unavailable.
    """
    after = narration.next_number - 1
    told = ResponseError(error.response_code, error.message) if error else None
    ended = narration.end(completed_at=int(time.time()), finished=finished, error=told)
    ended = replace(ended, model_input=calibrate(seized.model_input))
    result = encode(ended)
    closing = narration.closing(ended, result)
    items = [] if error else [*seized.input, *ended.output]
    outcome = Outcome(ended, result, items, describe(error) if error else None)
    last = Group(after, closing[-1].sequence_number, pack([finished] if finished else []))
    await store.commit(outcome, last, owner=seized.owner, epoch=seized.epoch)
    return outcome


async def retell(response: Response, *, event_log: EventLog) -> Narration:
    """The narration as its run left it. Raises StreamExpired, Unavailable."""
    narration = Narration(response)
    narration.opening()
    async for entry in read_slices(event_log, response.id, after=narration.next_number - 1):
        narration.tell(entry.signals)
    return narration


def describe(error: ServiceError) -> Failure:
    """The failure as a retry of the request is told it."""
    return Failure(error.code, error.type, error.status, error.message, error.retry_after_s)
