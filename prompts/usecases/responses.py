"""Use cases on responses: create, retrieve, cancel, delete."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from prompts.answer.events import Narration
from prompts.domain import ids
from prompts.domain.items import (
    Compaction,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    Reasoning,
)
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import ENDED, ConversationRef, Response
from prompts.errors import (
    NotFound,
    ResponseEnded,
    StaleRun,
    Unavailable,
    unknown_conversation,
    unknown_item,
    unknown_previous_response,
    unknown_response,
)
from prompts.history.model_input import compose_items, measure
from prompts.ports.calibration import Calibration
from prompts.ports.chat_model import ChatModel
from prompts.ports.conversations import ConversationStore
from prompts.ports.event_log import EventLog, Watch
from prompts.ports.responses import (
    Admitted,
    Attached,
    Claim,
    Draft,
    ResponseStore,
    Seized,
    StoredResponse,
)
from prompts.ports.sealing import Sealer
from prompts.run.ending import end_seized, retell
from prompts.run.run import Brief, Run
from prompts.run.runner import Runner

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


@dataclass(frozen=True, slots=True)
class Turn:
    """The response a request belongs to: `run` when this process writes it, and whether the request made it."""

    response_id: str
    run: Run | None
    is_replay: bool


async def create_response(
    *,
    owner: str,
    new_input: Sequence[Item | StoredItem],
    conversation_id: str | None,
    previous_response_id: str | None,
    echo: Response,
    model_request: ModelRequest,
    claim: Claim,
    history_tokens: int,
    store: ResponseStore,
    conversations: ConversationStore,
    model: ChatModel,
    calibration: Calibration,
    runner: Runner,
) -> Turn:
    """Admit a response and start its run, which goes on whatever becomes of the caller; a retry gets the first one's.

    `echo` holds what the response object repeats of the request; its id and time are given here and by Redis.
    Raises NotFound (model, conversation, previous response, item), ConversationLocked, ResponseNotEnded, KeyReused,
    Draining, Overloaded, StorageFull, Unavailable.
    """
    check_anchor(conversation_id, previous_response_id)
    await check_model(model_request.model, model)
    partition = choose_partition(conversation_id or previous_response_id, owner, claim)
    response = _placed(echo, ids.new_id(ids.RESPONSE, partition), conversation_id, previous_response_id)
    items = await build_items(new_input, partition, owner=owner, conversations=conversations)
    factor = calibration.get_factor(model_request.model)
    draft = Draft(
        response=response,
        model_request=model_request,
        input=items,
        conversation_id=conversation_id,
        previous_response_id=previous_response_id,
        claim=claim,
        unanswered=find_unanswered(items),
        model_input=measure(
            instructions=echo.instructions,
            tools=model_request.offered,
            new_input=items,
            budget_tokens=history_tokens,
            calibration=factor,
        ),
        last_opening_number=len(Narration(response).opening()) - 1,
    )
    with runner.reserve():
        lease_s, estimated_tokens = runner.limits.lease_s, int(history_tokens / factor)
        admitted = await store.admit(draft, owner=owner, history_tokens=estimated_tokens, lease_s=lease_s)
        if isinstance(admitted, Attached):
            return Turn(admitted.response_id, runner.find(admitted.response_id), is_replay=True)
        run = runner.start(_brief(draft, admitted, owner=owner, sealer=runner.sealer))
        return Turn(run.response.id, run, is_replay=False)


async def get_response(response_id: str, *, owner: str, store: ResponseStore) -> StoredResponse:
    """The response as it stands. Raises NotFound, Unavailable."""
    _check_id(response_id)
    found = await store.get(response_id, owner=owner)
    if not found.is_stored:
        raise unknown_response(response_id)
    return found


async def delete_response(response_id: str, *, owner: str, store: ResponseStore) -> None:
    """Erase it; what it said stays in the history it joined. Raises NotFound, Unavailable."""
    _check_id(response_id)
    await store.delete(response_id, owner=owner)


async def cancel_response(
    response_id: str, *, owner: str, store: ResponseStore, event_log: EventLog, runner: Runner
) -> tuple[StoredResponse, bool]:
    """End an active response as `cancelled`, keeping what was written; from any replica, before the first token too.

    The flag says whether the connection to the model is known to be closed.
    Raises NotFound, ResponseEnded, Unavailable.
    """
    _check_id(response_id)
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


def _brief(draft: Draft, admitted: Admitted, *, owner: str, sealer: Sealer) -> Brief:
    narration = Narration(admitted.response)
    opening = narration.opening()  # admission has written them down
    return Brief(
        response=admitted.response,
        owner=owner,
        epoch=admitted.epoch,
        input=draft.input,
        model_request=draft.model_request,
        model_input=admitted.model_input,
        items=compose_items(
            instructions=admitted.response.instructions,
            window=admitted.window,
            new_input=draft.input,
            unseal=partial(sealer.open, owner),
        ),
        narration=narration,
        opening=opening,
    )


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


def choose_partition(anchor_id: str | None, owner: str, claim: Claim) -> str:
    """Where the response is born: with what it continues; else where a retry with the same key looks for it."""
    if anchor_id is not None:
        return ids.get_partition(anchor_id)
    if claim.idempotency_key is not None:
        return ids.find_partition(f"{owner} {claim.idempotency_key}")
    return ids.new_partition()


def _check_id(response_id: str) -> None:
    """An id that cannot be one of ours leads to no key."""
    if not ids.is_well_formed(response_id, ids.RESPONSE):
        raise unknown_response(response_id)


def check_anchor(conversation_id: str | None, previous_response_id: str | None) -> None:
    """Ids that cannot be ours lead to no key. Raises NotFound."""
    if conversation_id is not None and not ids.is_well_formed(conversation_id, ids.CONVERSATION):
        raise unknown_conversation(conversation_id, param="conversation")
    if previous_response_id is not None and not ids.is_well_formed(previous_response_id, ids.RESPONSE):
        raise unknown_previous_response(previous_response_id)


async def check_model(model_id: str, model: ChatModel) -> None:
    """Refuse a model nobody serves before anything is stored: some servers answer for any name. Raises NotFound."""
    served = await model.list_models()
    if served and model_id not in {entry.id for entry in served}:
        message = f"The model '{model_id}' does not exist. GET /v1/models lists those that do."
        raise NotFound(message, code="model_not_found", param="model")


def _placed(
    echo: Response, response_id: str, conversation_id: str | None, previous_response_id: str | None
) -> Response:
    placed = replace(echo, id=response_id, previous_response_id=previous_response_id)
    return replace(placed, conversation=ConversationRef(conversation_id)) if conversation_id else placed
