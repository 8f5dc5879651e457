"""Use case: client secrets, which a browser holds in place of a key."""

from dataclasses import dataclass

from prompts.errors import InsufficientScope, NotFound, unknown_conversation
from prompts.ports.api_keys import Caller
from prompts.ports.client_secrets import ALL_SCOPES, LIFE_S, PAGE_SCOPES, ClientSecret, Scope, seal_secret
from prompts.ports.conversations import ConversationStore
from prompts.ports.sealing import Sealer
from prompts.ports.user_proofs import UserProofs
from prompts.usecases.conversations import get_conversation


@dataclass(frozen=True, slots=True)
class MadeSecret:
    """A secret's text, shown once, and what it says."""

    value: str
    expires_at: int
    scopes: frozenset[Scope]
    conversation: str | None


async def make_secret(
    caller: Caller,
    *,
    life_s: int = LIFE_S,
    scopes: frozenset[Scope] | None = None,
    conversation: str | None = None,
    conversations: ConversationStore,
    sealer: Sealer,
) -> MadeSecret:
    """A secret that opens what the caller's key does, or less, and no longer than that.

    Without `scopes` it is for a page: to read and to write, as far as the key may. Raises InsufficientScope (a secret
    makes none; a scope that the key has not), NotFound, Unavailable.
    """
    if caller.maker is None:
        raise InsufficientScope("A client secret cannot make client secrets. Make them with an API key, on a server.")
    if conversation is not None:
        await _check_conversation(conversation, owner=caller.owner, store=conversations)
    secret = ClientSecret(
        owner=caller.owner,
        maker=caller.maker,
        expires_at=min(caller.now_s + life_s, caller.expires_at or caller.now_s + life_s),
        scopes=_choose_scopes(caller, scopes),
        conversation=conversation,
    )
    return _seal(secret, sealer)


async def make_user_secret(owner: str, *, proofs: UserProofs, sealer: Sealer) -> MadeSecret:
    """A secret for everything that a signed-in user has. Raises Unavailable."""
    known = await proofs.get_proof(owner)
    secret = ClientSecret(
        owner=owner, maker=owner, user_proof=known.proof, expires_at=known.now_s + LIFE_S, scopes=ALL_SCOPES
    )
    return _seal(secret, sealer)


def _choose_scopes(caller: Caller, wanted: frozenset[Scope] | None) -> frozenset[Scope]:
    chosen = caller.scopes & PAGE_SCOPES if wanted is None else wanted
    if missing := sorted(chosen - caller.scopes):
        message = f"This API key has no scope '{missing[0]}' itself. Leave it out, or ask the operator for another key."
        raise InsufficientScope(message, param="scopes")
    if not chosen:
        message = "This API key may neither read nor write, so its client secrets may not either. Name other 'scopes'."
        raise InsufficientScope(message, param="scopes")
    return chosen


async def _check_conversation(conversation_id: str, *, owner: str, store: ConversationStore) -> None:
    try:
        await get_conversation(conversation_id, owner=owner, store=store)
    except NotFound as exc:
        raise unknown_conversation(conversation_id, param="conversation") from exc


def _seal(secret: ClientSecret, sealer: Sealer) -> MadeSecret:
    return MadeSecret(seal_secret(secret, sealer), secret.expires_at, secret.scopes, secret.conversation)
