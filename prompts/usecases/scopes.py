"""What a key or a client secret may do: its scopes, and the one conversation that a secret may be limited to.

A key without scopes may do everything that its owner may. What a caller may not is refused before anything is read.
"""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Struct, UnsetType

from prompts.domain.anchors import InConversation
from prompts.domain.items import Item
from prompts.domain.named_files import list_named
from prompts.domain.responses import ConversationRef
from prompts.domain.tools import FileSearchTool
from prompts.errors import InsufficientScope, NotFound, unknown_response
from prompts.ports.api_keys import Caller
from prompts.ports.client_secrets import Scope
from prompts.ports.responses import ResponseStore
from prompts.usecases.ask import Ask
from prompts.usecases.items import StoredItem


class _Place(Struct):
    """Of a response: the conversation that it belongs to."""

    conversation: ConversationRef | UnsetType = UNSET


_read_place = msgspec.json.Decoder(_Place).decode


def check_scope(caller: Caller, scope: Scope) -> None:
    """Raises InsufficientScope when the caller's key or secret was not made for it."""
    if scope in caller.scopes:
        return
    has = " and ".join(f"'{each}'" for each in sorted(caller.scopes)) or "none"
    if caller.maker is None:
        message = f"This needs the scope '{scope}', and this client secret has {has}. Make one with it, or use a key."
    else:
        message = f"This needs the scope '{scope}', and this API key has {has}. Ask the operator for a key that has it."
    raise InsufficientScope(message)


def check_conversation(caller: Caller, conversation_id: str | None, *, param: str = "conversation_id") -> None:
    """Raises InsufficientScope when the caller's secret is for another conversation; None is none at all."""
    if caller.conversation not in (None, conversation_id):
        message = f"This client secret is for the conversation '{caller.conversation}' alone. Name it, or get another."
        raise InsufficientScope(message, param=param)


def check_ask(caller: Caller, ask: Ask) -> None:
    """Raises InsufficientScope for a turn outside of the secret's conversation, or with what is outside of it."""
    if caller.conversation is None:
        return
    check_conversation(caller, ask.anchor.id if isinstance(ask.anchor, InConversation) else None, param="conversation")
    check_items(caller, ask.input, param="input")
    if any(isinstance(tool, FileSearchTool) for tool in ask.tools):
        raise _outside("vector stores", param="tools")
    if ask.prompt is not None:  # it may search in files, and a variable may be one
        raise _outside("a prompt template", param="prompt")


def check_items(caller: Caller, items: Sequence[Item | StoredItem], *, param: str) -> None:
    """Raises InsufficientScope for items that take in what is stored outside of the secret's conversation."""
    if caller.conversation is None:
        return
    for index, item in enumerate(items):
        if isinstance(item, StoredItem):
            raise _outside("stored items", param=item.param)
        for place, _ in list_named(item):
            raise _outside("files", param=f"{param}[{index}].{place}.file_id")


async def check_response(caller: Caller, response_id: str, *, store: ResponseStore) -> None:
    """Raises NotFound for a response that is not of the secret's conversation: it may not be known there."""
    if caller.conversation is None:
        return
    try:
        found = await store.get(response_id, owner=caller.owner)
    except NotFound:
        raise unknown_response(response_id) from None
    place = _read_place(found.body).conversation
    if place is UNSET or place.id != caller.conversation:
        raise unknown_response(response_id)


def refuse_conversation_secret(caller: Caller) -> None:
    """Raises InsufficientScope for what no secret of one conversation may do."""
    if caller.conversation is not None:
        message = "This client secret is for one conversation, its items and its responses. Use another one for this."
        raise InsufficientScope(message)


def _outside(what: str, *, param: str) -> InsufficientScope:
    message = (
        f"A client secret for one conversation cannot name {what}. Send the content itself, or use another secret."
    )
    return InsufficientScope(message, param=param)
