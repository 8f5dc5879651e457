"""Use cases on responses: retrieve, cancel, delete."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from msgspec.structs import replace

from prompts.domain import ids
from prompts.domain.items import (
    Compaction,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    Reasoning,
)
from prompts.domain.responses import ENDED
from prompts.errors import (
    ResponseEnded,
    StaleRun,
    Unavailable,
    unknown_item,
    unknown_response,
)
from prompts.ports.conversations import ConversationStore
from prompts.ports.event_log import EventLog, Watch
from prompts.ports.responses import (
    ResponseStore,
    Seized,
    StoredResponse,
)
from prompts.run.ending import end_seized, retell
from prompts.run.runner import Runner
from prompts.usecases.public_ids import check_response_id

# How long a cancel waits for the replica to confirm that the model's connection is closed (API.md).
CONFIRM_S = 2.0
# What an item's id begins with.
KINDS = {
    Message: ids.MESSAGE,
    FunctionCall: ids.FUNCTION_CALL,
    FunctionCallOutput: ids.FUNCTION_CALL_OUTPUT,
    Reasoning: ids.REASONING,
    Compaction: ids.COMPACTION,
}
# A response may be seized by two at once; one of them is quicker, and the other looks again.
MAX_TRIES = 5


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item that is stored already, named by its id; `param` is where the client named it."""

    id: str
    param: str


async def get_response(response_id: str, *, owner: str, store: ResponseStore) -> StoredResponse:
    """The response as it stands. Raises NotFound, Unavailable."""
    check_response_id(response_id)
    found = await store.get(response_id, owner=owner)
    if not found.is_stored:
        raise unknown_response(response_id)
    return found


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
            if not isinstance(seized, Seized):
                return await _get_cancelled(response_id, owner=owner, store=store), True
            try:
                narration = await retell(seized.response, event_log=event_log)
                outcome = await end_seized(seized, narration, store=store)
            except StaleRun:
                await _wait_for_end(response_id, owner=owner, store=store, watch=watch)
                continue
            is_confirmed = await watch.wait_released(CONFIRM_S)
            return StoredResponse("cancelled", outcome.result), is_confirmed
    raise Unavailable("The response could not be cancelled right now. Try again.")


async def build_items(
    new_input: Sequence[Item | StoredItem], partition: str, *, owner: str, conversations: ConversationStore
) -> list[Item]:
    """Items of a history from what a client sent, each with an id of its own. Raises NotFound, Unavailable."""
    references = [entry for entry in new_input if isinstance(entry, StoredItem)]
    stored = await _get_stored(references, owner=owner, conversations=conversations)
    items = [stored[entry.id] if isinstance(entry, StoredItem) else entry for entry in new_input]
    return [replace(item, id=ids.new_id(KINDS[type(item)], partition)) for item in items]


async def _get_stored(
    references: Sequence[StoredItem], *, owner: str, conversations: ConversationStore
) -> Mapping[str, Item]:
    """The items that are named. Raises NotFound with the place of the first that is not there, Unavailable."""
    named = {entry.id: entry for entry in references}
    found = await conversations.find_items(list(named), owner=owner) if named else []
    for entry, item in zip(named.values(), found, strict=True):
        if item is None:
            raise unknown_item(entry.id, param=entry.param)
    return {entry_id: item for entry_id, item in zip(named, found, strict=True) if item is not None}


def find_unanswered(items: Sequence[Item]) -> list[str]:
    """Ids of the calls whose outputs are here and which are not: somebody must have made them before."""
    made: set[str] = set()
    unanswered: list[str] = []
    for item in items:
        match item:
            case FunctionCall(call_id=call_id):
                made.add(call_id)
            case FunctionCallOutput(call_id=call_id) if call_id not in made:
                unanswered.append(call_id)
    return unanswered


async def _wait_for_end(response_id: str, *, owner: str, store: ResponseStore, watch: Watch) -> None:
    """Another cancels it at this moment; seizing it again would only put them back. Raises NotFound, Unavailable."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CONFIRM_S):
            while (await store.get(response_id, owner=owner)).status not in ENDED:
                await watch.wait(CONFIRM_S)


async def _get_cancelled(response_id: str, *, owner: str, store: ResponseStore) -> StoredResponse:
    stored = await store.get(response_id, owner=owner)
    if stored.status != "cancelled":
        raise ResponseEnded(f"Cannot cancel a response that is {stored.status}.", param="response_id")
    return stored
