"""Admission in memory: whether a response may begin, and the history that it continues."""

import time

from prompts.domain import ids
from prompts.domain.anchors import AfterResponse, Anchor, InConversation
from prompts.domain.item_kinds import find_made_call
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
from prompts.ports.responses import Attached, Displaces, Draft, InTheWay
from tests.support.fakes.memory import Memory, check_calls, check_open
from tests.support.fakes.records import History, KeptConversation, KeptResponse, Root, new_root


def find_attached(memory: Memory, draft: Draft, owner: str, lease_s: float) -> Attached | None:
    """The response that an earlier try with the same idempotency key made, if any. Raises KeyReused."""
    claim = draft.claim
    if not claim.idempotency_key or not (earlier := memory.claims.get(_claim_key(draft, owner))):
        return None
    response_id, body_hash = earlier
    if body_hash != claim.body_hash:
        raise key_reused()
    return _attach(memory, memory.responses.get(response_id), response_id, draft, lease_s)


def meet_active(
    memory: Memory, draft: Draft, owner: str, displaces: Displaces, lease_s: float, *, met_id: str
) -> Attached | InTheWay | None:
    """What becomes of a turn whose conversation or chain has an active response; None: it is refused, or there is none.

    Raises NotFound when the turn could not be admitted behind it either.
    """
    active = _find_active(memory, draft, owner)
    if active is None:
        return None
    is_same = active.draft.claim.body_hash == draft.claim.body_hash
    is_again = draft.reader_id in memory.readers[active.id]  # the client library's second try
    if (is_same and draft.claim.is_retry) or is_again:
        return _attach_new(memory, active, draft, owner, lease_s)
    if displaces == "none" or (displaces == "any" and _has_won(memory, active, met_id)):
        return None
    if active.ending == "cancelled" and (active.lease_until or 0) > time.time():
        return InTheWay(active.id, is_ending=True)
    if active.ending != "cancelled" and displaces == "abandoned":
        if not does_give_way(memory, active):
            return None
        if is_same:
            return _attach_new(memory, active, draft, owner, lease_s)
    return _make_way(active, draft)


def _has_won(memory: Memory, active: KeptResponse, met_id: str) -> bool:
    """Whether it has displaced what the turn has met before."""
    met = memory.responses.get(met_id)
    return met is not None and met.displaced_by == active.id


def _make_way(active: KeptResponse, draft: Draft) -> InTheWay:
    check_open(active.root, unknown_anchor(draft))
    made = {find_made_call(item) for item in active.history}
    return InTheWay(active.id, missing_calls=tuple(call_id for call_id in draft.unanswered if call_id not in made))


def check_race(memory: Memory, draft: Draft, owner: str, met_id: str) -> None:
    """Raise ConversationLocked when the response that was met before has ended since, and nobody cancelled it."""
    conversation, met = find_conversation(memory, draft.anchor), memory.responses.get(met_id)
    if conversation is None or conversation.owner != owner or conversation.active_response_id or met is None:
        return
    if met.status != "cancelled" or met.displaced_by:
        raise conversation_locked(conversation.id, met.displaced_by or met.id)


def does_give_way(memory: Memory, active: KeptResponse) -> bool:
    """Whether nobody reads the response, and it may be displaced."""
    return active.draft.yields and not memory.is_followed(active.id)


def _attach_new(memory: Memory, active: KeptResponse, draft: Draft, owner: str, lease_s: float) -> Attached:
    _remember(memory, active.id, draft, owner)
    return _attach(memory, active, active.id, draft, lease_s)


def _remember(memory: Memory, response_id: str, draft: Draft, owner: str) -> None:
    if draft.claim.idempotency_key:
        memory.claims[_claim_key(draft, owner)] = (response_id, draft.claim.body_hash)


def _attach(memory: Memory, kept: KeptResponse | None, response_id: str, draft: Draft, lease_s: float) -> Attached:
    if kept is not None and kept.is_active:
        memory.mark_reader(response_id, draft.reader_id, lease_s)
    return Attached(response_id)


def _find_active(memory: Memory, draft: Draft, owner: str) -> KeptResponse | None:
    conversation = find_conversation(memory, draft.anchor)
    if conversation is not None and conversation.owner == owner:
        return memory.responses.get(conversation.active_response_id or "")
    previous = memory.responses.get(draft.anchor.id) if isinstance(draft.anchor, AfterResponse) else None
    is_there = previous is not None and previous.owner == owner and previous.is_stored
    return previous if is_there and previous is not None and previous.is_active else None


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
    _remember(memory, draft.response.id, draft, owner)
    return memory.place(draft, owner=owner, root=root, history=history, created_at=int(time.time()))


def _find_base(memory: Memory, draft: Draft, owner: str) -> tuple[Root, History]:
    """The root and the history that the response continues."""
    match draft.anchor:
        case InConversation():
            conversation = find_conversation(memory, draft.anchor)
            if conversation is None or conversation.owner != owner:
                raise unknown_anchor(draft)
            if conversation.active_response_id is not None:
                active = memory.responses[conversation.active_response_id]
                raise conversation_locked(conversation.id, active.id, is_followed=memory.is_followed(active.id))
            return conversation.root, conversation.history
        case AfterResponse(previous_id):
            previous = memory.responses.get(previous_id)
            if previous is None or previous.owner != owner or not previous.is_stored:
                raise unknown_anchor(draft)
            if previous.status not in CONTINUABLE:
                raise response_not_ended(previous.id, previous.status, is_followed=memory.is_followed(previous.id))
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
