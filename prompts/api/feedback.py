"""`/v1/responses/{id}/feedback`: what a person thinks of an answer."""

from http import HTTPStatus
from typing import Annotated, Literal

import msgspec
from django.http import HttpResponse
from dmr import Path, ResponseSpec, validate
from dmr.plugins.msgspec import BodyMsgspec
from msgspec import Meta, Struct

from prompts.api.controller import ApiController, json_response
from prompts.api.openapi.document import BODY_ERRORS, ERRORS
from prompts.api.openapi.examples import PUT_FEEDBACK
from prompts.api.responses import ResponsePath
from prompts.domain import ids
from prompts.domain.responses import Feedback, Score
from prompts.usecases.public_ids import check_kind
from prompts.usecases.response_notes import get_feedback, put_feedback

encode = msgspec.json.Encoder().encode

# About a page of text: a comment is read by a person.
MAX_COMMENT_CHARACTERS = 4_000


class PutFeedback(Struct, forbid_unknown_fields=True):
    """The body of `PUT /v1/responses/{id}/feedback`: a thumb down, neither, or up."""

    score: Score
    comment: Annotated[str, Meta(max_length=MAX_COMMENT_CHARACTERS)] | None = None


class FeedbackBody(Struct):
    """Feedback as the API shows it."""

    response_id: str
    score: Score
    comment: str | None
    created_at: int
    object: Literal["response.feedback"] = "response.feedback"


class FeedbackController(ApiController):
    """What a person thinks of an answer."""

    tags = ["Responses"]
    reach = "response"

    @validate(ResponseSpec(FeedbackBody, status_code=HTTPStatus.OK), *BODY_ERRORS, operation_id="putFeedback")
    async def put(
        self, parsed_path: Path[ResponsePath], parsed_body: Annotated[BodyMsgspec[PutFeedback], PUT_FEEDBACK]
    ) -> HttpResponse:
        """Keep a score and a comment with the response, in place of earlier ones."""
        response_id = _response_id(parsed_path)
        feedback = await put_feedback(
            response_id,
            owner=self.owner,
            score=parsed_body.score,
            comment=parsed_body.comment,
            notes=self.state.notes,
        )
        return self.render(encode(_shown(response_id, feedback)))

    @validate(ResponseSpec(FeedbackBody, status_code=HTTPStatus.OK), *ERRORS, operation_id="getFeedback")
    async def get(self, parsed_path: Path[ResponsePath]) -> HttpResponse:
        """The newest feedback."""
        response_id = _response_id(parsed_path)
        feedback = await get_feedback(response_id, owner=self.owner, notes=self.state.notes)
        return json_response(encode(_shown(response_id, feedback)))


def _response_id(path: ResponsePath) -> str:
    return check_kind(path.response_id, ids.RESPONSE, param="response_id")


def _shown(response_id: str, feedback: Feedback) -> FeedbackBody:
    return FeedbackBody(response_id, feedback.score, feedback.comment, feedback.created_at)
