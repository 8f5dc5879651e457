"""Where in Redis the anchor of a turn is."""

from dataclasses import dataclass

from prompts.adapters.redis import keys
from prompts.domain.anchors import AfterResponse, Anchor, InConversation
from prompts.errors import NotFound, unknown_conversation, unknown_previous_response


@dataclass(frozen=True, slots=True)
class AnchorPlace:
    """An anchor as the scripts take it: its kind ("conversation" or "previous"), its id and its key."""

    kind: str
    id: str
    key: str
    unknown: NotFound
    """The error when nothing is there."""


def find_place(anchor: InConversation | AfterResponse) -> AnchorPlace:
    match anchor:
        case InConversation(conversation_id):
            unknown = unknown_conversation(conversation_id, param="conversation")
            return AnchorPlace("conversation", conversation_id, keys.conversation(conversation_id), unknown)
        case AfterResponse(response_id):
            unknown = unknown_previous_response(response_id)
            return AnchorPlace("previous", response_id, keys.response(response_id), unknown)


def get_anchor_id(anchor: Anchor) -> str:
    """The anchor's id, which an idempotency key is scoped to; "" without one."""
    return anchor.id if anchor is not None else ""
