"""Use cases on responses: create, retrieve, cancel, delete."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from msgspec.structs import replace

from prompts import ids
from prompts.composer import compose_messages, measure
from prompts.domain import ENDED, ConversationRef, InputText, Item, Message, ModelRequest, Part, Response, Role
from prompts.ending import end_seized, retell
from prompts.errors import (
    NotFound,
    ResponseEnded,
    StaleRun,
    Unavailable,
    unknown_conversation,
    unknown_previous_response,
    unknown_response,
)
from prompts.events import Narration
from prompts.ports import (
    Admitted,
    Attached,
    ChatModel,
    Claim,
    ConversationStore,
    Draft,
    EventLog,
    ResponseStore,
    Seized,
    StoredResponse,
    Watch,
)
from prompts.run import Brief, Run
from prompts.runner import Runner

# How long a cancel waits for the replica to confirm that the model's connection is closed (API.md).
CONFIRM_S = 2.0
# A response may be seized by two at once; one of them is quicker, and the other looks again.
MAX_TRIES = 5


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message a client sent; ids are ours to give."""

    role: Role
    content: Sequence[Part]


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item that is stored already, named by its id."""

    id: str


@dataclass(frozen=True, slots=True)
class Turn:
    """The response a request belongs to: `run` when this process writes it, and whether the request made it."""

    response_id: str
    run: Run | None
    is_replay: bool


async def create_response(
    *,
    owner: str,
    new_input: Sequence[NewMessage | StoredItem],
    conversation_id: str | None,
    previous_response_id: str | None,
    echo: Response,
    model_request: ModelRequest,
    claim: Claim,
    history_tokens: int,
    store: ResponseStore,
    conversations: ConversationStore,
    model: ChatModel,
    runner: Runner,
) -> Turn:
    """Admit a response and start its run, which goes on whatever becomes of the caller; a retry gets the first one's.

    `echo` holds what the response object repeats of the request; its id and time are given here and by Redis.
    Raises NotFound (model, conversation, previous response, item), ConversationLocked, ResponseNotEnded, KeyReused,
    Draining, Overloaded, StorageFull, Unavailable.
    """
    _check_anchor(conversation_id, previous_response_id)
    await _check_model(model_request.model, model)
    partition = _choose_partition(conversation_id or previous_response_id, owner, claim)
    response = _placed(echo, ids.new_id(ids.RESPONSE, partition), conversation_id, previous_response_id)
    items = await build_items(new_input, partition, owner=owner, conversations=conversations)
    draft = Draft(
        response=response,
        model_request=model_request,
        input=items,
        conversation_id=conversation_id,
        previous_response_id=previous_response_id,
        claim=claim,
        model_input=measure(instructions=echo.instructions, new_input=items, budget_tokens=history_tokens),
        last_opening_number=len(Narration(response).opening()) - 1,
    )
    with runner.reserve():
        lease_s = runner.limits.lease_s
        admitted = await store.admit(draft, owner=owner, history_tokens=history_tokens, lease_s=lease_s)
        if isinstance(admitted, Attached):
            return Turn(admitted.response_id, runner.find(admitted.response_id), is_replay=True)
        run = runner.start(_brief(draft, admitted, owner=owner))
        return Turn(run.response.id, run, is_replay=False)


async def get_response(response_id: str, *, owner: str, store: ResponseStore) -> StoredResponse:
    """The response as it stands. Raises NotFound, Unavailable."""
    _check_id(response_id)
    return await store.get(response_id, owner=owner)


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
    new_input: Sequence[NewMessage | StoredItem], partition: str, *, owner: str, conversations: ConversationStore
) -> list[Item]:
    """Items of a history from what a client sent, each with an id of its own. Raises NotFound, Unavailable."""
    references = [entry.id for entry in new_input if isinstance(entry, StoredItem)]
    stored = iter(await conversations.get_items(references, owner=owner) if references else [])
    items: list[Item] = []
    for entry in new_input:
        new_id = ids.new_id(ids.MESSAGE, partition)
        if isinstance(entry, StoredItem):
            items.append(replace(next(stored), id=new_id))
        else:
            items.append(Message(id=new_id, status="completed", role=entry.role, content=list(entry.content)))
    return items


def user_message(text: str) -> NewMessage:
    """A string input is one user message."""
    return NewMessage(role="user", content=[InputText(text)])


def _brief(draft: Draft, admitted: Admitted, *, owner: str) -> Brief:
    narration = Narration(admitted.response)
    opening = narration.opening()  # admission has written them down
    return Brief(
        response=admitted.response,
        owner=owner,
        epoch=admitted.epoch,
        input=draft.input,
        model_request=draft.model_request,
        model_input=admitted.model_input,
        messages=compose_messages(
            instructions=admitted.response.instructions, window=admitted.window, new_input=draft.input
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


def _choose_partition(anchor_id: str | None, owner: str, claim: Claim) -> str:
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


def _check_anchor(conversation_id: str | None, previous_response_id: str | None) -> None:
    if conversation_id is not None and not ids.is_well_formed(conversation_id, ids.CONVERSATION):
        raise unknown_conversation(conversation_id, param="conversation")
    if previous_response_id is not None and not ids.is_well_formed(previous_response_id, ids.RESPONSE):
        raise unknown_previous_response(previous_response_id)


async def _check_model(model_id: str, model: ChatModel) -> None:
    """Refuse a model nobody serves before anything is stored: some servers answer for any name."""
    served = await model.list_models()
    if served and model_id not in {entry.id for entry in served}:
        message = f"The model '{model_id}' does not exist. GET /v1/models lists those that do."
        raise NotFound(message, code="model_not_found", param="model")


def _placed(
    echo: Response, response_id: str, conversation_id: str | None, previous_response_id: str | None
) -> Response:
    placed = replace(echo, id=response_id, previous_response_id=previous_response_id)
    return replace(placed, conversation=ConversationRef(conversation_id)) if conversation_id else placed
