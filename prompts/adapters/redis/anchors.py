"""Where in Redis the anchor of a turn is."""

from msgspec import Struct

from prompts.adapters.redis import keys
from prompts.domain.anchors import AfterResponse, Anchor, InConversation
from prompts.errors import NotFound, unknown_conversation, unknown_previous_response


class AnchorPlace(Struct, frozen=True):
    """An anchor as the scripts take it: its kind ("conversation" or "previous"), its id and its key."""

    kind: str
    id: str
    key: str

    @property
    def unknown(self) -> NotFound:
        """The error when nothing is there."""
        if self.kind == "conversation":
            return unknown_conversation(self.id, param="conversation")
        return unknown_previous_response(self.id)


def find_place(anchor: InConversation | AfterResponse) -> AnchorPlace:
    match anchor:
        case InConversation(conversation_id):
            return AnchorPlace("conversation", conversation_id, keys.conversation(conversation_id))
        case AfterResponse(response_id):
            return AnchorPlace("previous", response_id, keys.response(response_id))


def get_anchor_id(anchor: Anchor) -> str:
    """The anchor's id, which an idempotency key is scoped to; "" without one."""
    return anchor.id if anchor is not None else ""
