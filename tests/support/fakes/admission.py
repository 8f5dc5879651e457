"""Admission in memory: whether a response may begin, and the history that it continues."""

import time

from prompts.domain import ids
from prompts.domain.anchors import AfterResponse, Anchor, InConversation
from prompts.domain.responses import CONTINUABLE
from prompts.errors import (
    NotFound,
    conversation_locked,
    key_reused,
    response_not_ended,
    unknown_conversation,
    unknown_previous_response,
    unknown_response,
)
from prompts.ports.responses import Draft
from tests.support.fakes.memory import Memory, check_calls, check_open
from tests.support.fakes.records import History, KeptConversation, KeptResponse, Root, new_root


def find_attached(memory: Memory, draft: Draft, owner: str) -> str | None:
    """The response that an earlier try of the same request made, if any. Raises KeyReused."""
    claim = draft.claim
    if claim.idempotency_key and (earlier := memory.claims.get(_claim_key(draft, owner))):
        response_id, body_hash = earlier
        if body_hash != claim.body_hash:
            raise key_reused()
        return response_id
    conversation = find_conversation(memory, draft.anchor)
    if conversation is None or conversation.owner != owner or not claim.is_retry:
        return None
    active = memory.responses.get(conversation.active_response_id or "")
    return active.id if active and active.draft.claim.body_hash == claim.body_hash else None


def begin_response(memory: Memory, draft: Draft, owner: str) -> KeptResponse:
    """Create the response. Raises NotFound, UnknownCall, ConversationLocked, ResponseNotEnded."""
    root, history = _find_base(memory, draft, owner)
    check_calls(history, draft.unanswered)
    check_open(root, unknown_anchor(draft))
    if draft.response.store:
        memory.roots[root.id] = root
        root.use()
    if conversation := find_conversation(memory, draft.anchor):
        conversation.active_response_id = draft.response.id
    if draft.claim.idempotency_key:
        memory.claims[_claim_key(draft, owner)] = (draft.response.id, draft.claim.body_hash)
    return memory.place(draft, owner=owner, root=root, history=history, created_at=int(time.time()))


def _find_base(memory: Memory, draft: Draft, owner: str) -> tuple[Root, History]:
    """The root and the history that the response continues."""
    match draft.anchor:
        case InConversation():
            conversation = find_conversation(memory, draft.anchor)
            if conversation is None or conversation.owner != owner:
                raise unknown_anchor(draft)
            if conversation.active_response_id is not None:
                raise conversation_locked(conversation.id, conversation.active_response_id)
            return conversation.root, conversation.history
        case AfterResponse(previous_id):
            previous = memory.responses.get(previous_id)
            if previous is None or previous.owner != owner or not previous.is_stored:
                raise unknown_anchor(draft)
            if previous.status not in CONTINUABLE:
                raise response_not_ended(previous.id, previous.status)
            return previous.root, previous.history
    return new_root(draft.response.id, owner), ()


def find_conversation(memory: Memory, anchor: Anchor) -> KeptConversation | None:
    """The conversation of the anchor, if it is one and exists."""
    return memory.conversations.get(anchor.id) if isinstance(anchor, InConversation) else None


def unknown_anchor(draft: Draft) -> NotFound:
    """The error for an anchor that does not exist; without an anchor, for a response that was deleted."""
    match draft.anchor:
        case InConversation(conversation_id):
            return unknown_conversation(conversation_id, param="conversation")
        case AfterResponse(previous_id):
            return unknown_previous_response(previous_id)
    return unknown_response(draft.response.id)


def _claim_key(draft: Draft, owner: str) -> tuple[str, str, str, str]:
    anchor_id = draft.anchor.id if draft.anchor else ""
    return ids.get_partition(draft.response.id), owner, anchor_id, draft.claim.idempotency_key or ""
