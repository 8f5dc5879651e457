"""Use cases on responses: create, retrieve."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from prompts import ids
from prompts.composer import compose_messages
from prompts.domain import ConversationRef, InputText, Item, Message, ModelRequest, Part, Response, Role
from prompts.errors import NotFound, unknown_conversation, unknown_previous_response, unknown_response
from prompts.ports import ChatModel, Draft, ResponseStore, StoredResponse
from prompts.run import Run
from prompts.runner import Runner


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message a client sent; ids are ours to give."""

    role: Role
    content: Sequence[Part]


async def create_response(
    *,
    owner: str,
    new_input: Sequence[NewMessage],
    conversation_id: str | None,
    previous_response_id: str | None,
    echo: Response,
    model_request: ModelRequest,
    history_tokens: int,
    store: ResponseStore,
    model: ChatModel,
    runner: Runner,
) -> Run:
    """Admit a response and start its run, which goes on whatever becomes of the caller.

    `echo` holds what the response object repeats of the request; its id and time are given here and by Redis.
    Raises NotFound (model, conversation, previous response), ConversationLocked, ResponseNotEnded, Draining,
    Overloaded, Unavailable.
    """
    _check_anchor(conversation_id, previous_response_id)
    await _check_model(model_request.model, model)
    anchor = conversation_id or previous_response_id
    partition = ids.get_partition(anchor) if anchor else ids.new_partition()
    draft = Draft(
        response=_placed(echo, ids.new_id(ids.RESPONSE, partition), conversation_id, previous_response_id),
        model_request=model_request,
        input=build_items(new_input, partition),
        conversation_id=conversation_id,
        previous_response_id=previous_response_id,
    )
    with runner.reserve():
        admitted = await store.admit(draft, owner=owner, history_tokens=history_tokens, lease_s=runner.limits.lease_s)
        messages = compose_messages(
            instructions=draft.response.instructions, window=admitted.window, new_input=draft.input
        )
        return runner.start(draft, admitted, messages, owner=owner)


async def get_response(response_id: str, *, owner: str, store: ResponseStore) -> StoredResponse:
    """The response as it stands. Raises NotFound, Unavailable."""
    if not ids.is_well_formed(response_id, ids.RESPONSE):
        raise unknown_response(response_id)
    return await store.get(response_id, owner=owner)


def build_items(new_input: Sequence[NewMessage], partition: str) -> list[Item]:
    """Items of a history from what a client sent, each with an id of its own."""
    return [
        Message(
            id=ids.new_id(ids.MESSAGE, partition), status="completed", role=message.role, content=list(message.content)
        )
        for message in new_input
    ]


def user_message(text: str) -> NewMessage:
    """A string input is one user message."""
    return NewMessage(role="user", content=[InputText(text)])


def _check_anchor(conversation_id: str | None, previous_response_id: str | None) -> None:
    """An id that cannot be one of ours leads to no key."""
    if conversation_id is not None and not ids.is_well_formed(conversation_id, ids.CONVERSATION):
        raise unknown_conversation(conversation_id, param="conversation")
    if previous_response_id is not None and not ids.is_well_formed(previous_response_id, ids.RESPONSE):
        raise unknown_previous_response(previous_response_id)


async def _check_model(model_id: str, model: ChatModel) -> None:
    """Refuse a model nobody serves before anything is stored: some servers answer for any name."""
    served = await model.list_models()
    if served and model_id not in {entry.id for entry in served}:
        raise NotFound(
            f"The model '{model_id}' does not exist. GET /v1/models lists those that do.",
            code="model_not_found",
            param="model",
        )


def _placed(
    echo: Response, response_id: str, conversation_id: str | None, previous_response_id: str | None
) -> Response:
    placed = replace(echo, id=response_id, previous_response_id=previous_response_id)
    return replace(placed, conversation=ConversationRef(conversation_id)) if conversation_id else placed
