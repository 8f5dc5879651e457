"""The anchor of a turn as a client names it."""

from prompts.domain import ids
from prompts.domain.anchors import AfterResponse, Anchor, InConversation
from prompts.errors import InvalidRequest, unknown_conversation, unknown_previous_response
from prompts.usecases.public_ids import check_kind


def read_anchor(conversation_id: str | None, previous_response_id: str | None) -> Anchor:
    """The one of the two that is named, if any.

    Raises InvalidRequest for both, or an id of another kind; NotFound for an id that cannot be ours.
    """
    if conversation_id is not None and previous_response_id is not None:
        message = "'conversation' and 'previous_response_id' are mutually exclusive. Send only one of the two."
        raise InvalidRequest(message, param="previous_response_id")
    if conversation_id is not None:
        check_kind(conversation_id, ids.CONVERSATION, param="conversation")
        if not ids.is_well_formed(conversation_id, ids.CONVERSATION):
            raise unknown_conversation(conversation_id, param="conversation")
        return InConversation(conversation_id)
    return read_previous(previous_response_id)


def read_previous(previous_response_id: str | None) -> AfterResponse | None:
    """The same where no conversation can be named."""
    if previous_response_id is None:
        return None
    check_kind(previous_response_id, ids.RESPONSE, param="previous_response_id")
    if not ids.is_well_formed(previous_response_id, ids.RESPONSE):
        raise unknown_previous_response(previous_response_id)
    return AfterResponse(previous_response_id)
