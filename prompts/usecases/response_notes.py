"""Use cases on what is kept with a response beside its answer: what it was asked, what people think of it."""

from typing import Literal

from prompts.domain.responses import Feedback, Score
from prompts.errors import NotFound
from prompts.ports.pages import Page
from prompts.ports.response_notes import ResponseNotes
from prompts.usecases.public_ids import check_item_id, check_response_id


async def list_input_items(
    response_id: str,
    *,
    owner: str,
    limit: int,
    order: Literal["asc", "desc"],
    after: str | None,
    notes: ResponseNotes,
) -> Page:
    """One page of the response's own input, while it is written too; compactions are not shown.

    Raises NotFound (the response, or the item `after`), Unavailable.
    """
    check_response_id(response_id)
    if after is not None:
        check_item_id(after, param="after")
    return await notes.list_input(response_id, owner=owner, limit=limit, order=order, after=after)


async def put_feedback(
    response_id: str, *, owner: str, score: Score, comment: str | None, notes: ResponseNotes
) -> Feedback:
    """Keep what a person thinks of it, in place of what they thought before. Raises NotFound, Unavailable."""
    check_response_id(response_id)
    return await notes.put_feedback(response_id, owner=owner, score=score, comment=comment)


async def get_feedback(response_id: str, *, owner: str, notes: ResponseNotes) -> Feedback:
    """The newest feedback. Raises NotFound (the response, or the feedback), Unavailable."""
    check_response_id(response_id)
    feedback = await notes.find_feedback(response_id, owner=owner)
    if feedback is None:
        message = f"Nobody has given feedback on the response '{response_id}' yet. PUT some first."
        raise NotFound(message, code="feedback_not_found", param="response_id")
    return feedback
