"""Use cases on responses: retrieve, cancel, delete."""

from prompts.errors import (
    ResponseEnded,
    StaleRun,
    Unavailable,
    unknown_response,
)
from prompts.ports.event_log import EventLog
from prompts.ports.responses import (
    ResponseStore,
    Seized,
    StoredResponse,
    Unreadable,
)
from prompts.run.ending import end_cancelled
from prompts.run.runner import Runner
from prompts.usecases.public_ids import check_response_id
from prompts.usecases.waiting import wait_for_end

# How long a cancel waits for the replica to confirm that the model's connection is closed (docs/api.md).
CONFIRM_S = 2.0
# Two may seize a response at once: one wins, and the other looks again.
MAX_TRIES = 5


async def get_response(response_id: str, *, owner: str, store: ResponseStore) -> StoredResponse:
    """The response as it stands. Raises NotFound, Unavailable."""
    check_response_id(response_id)
    found = await store.get(response_id, owner=owner)
    if not found.is_stored:
        raise unknown_response(response_id)
    return found


async def check_response(response_id: str, *, owner: str, store: ResponseStore) -> None:
    """Check that there is such a response to follow, without reading it. Raises NotFound, Unavailable."""
    check_response_id(response_id)
    if not await store.is_kept(response_id, owner=owner):
        raise unknown_response(response_id)


async def delete_response(response_id: str, *, owner: str, store: ResponseStore) -> None:
    """Erase it; what it said stays in the history it joined. Raises NotFound, Unavailable."""
    check_response_id(response_id)
    await store.delete(response_id, owner=owner)


async def cancel_response(
    response_id: str, *, owner: str, store: ResponseStore, event_log: EventLog, runner: Runner
) -> tuple[StoredResponse, bool]:
    """End an active response as `cancelled`, keeping what was written; from any replica, before the first token too.

    The flag says whether the connection to the model is known to be closed.
    Raises NotFound, ResponseEnded, Unavailable.
    """
    check_response_id(response_id)
    async with event_log.watch(response_id) as watch:
        for _ in range(MAX_TRIES):
            seized = await store.seize(response_id, owner=owner, lease_s=runner.limits.lease_s)
            if not isinstance(seized, (Seized, Unreadable)):
                return await _get_cancelled(response_id, owner=owner, store=store), True
            try:
                outcome = await end_cancelled(
                    seized, store=store, event_log=event_log, observer=runner.observer, meter=runner.meter
                )
            except StaleRun:  # another's cancellation: seizing again would only delay it
                await wait_for_end(response_id, owner=owner, store=store, watch=watch, within_s=CONFIRM_S)
                continue
            is_confirmed = await watch.wait_released(CONFIRM_S)
            return StoredResponse("cancelled", outcome.result), is_confirmed
    raise Unavailable("The response could not be cancelled right now. Try again.")


async def _get_cancelled(response_id: str, *, owner: str, store: ResponseStore) -> StoredResponse:
    stored = await store.get(response_id, owner=owner)
    if stored.status != "cancelled":
        raise ResponseEnded(f"Cannot cancel a response that is {stored.status}.", param="response_id")
    return stored
