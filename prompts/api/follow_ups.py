"""`/v1/responses/{id}/follow_ups`: what could be asked next."""

from http import HTTPStatus
from typing import Literal

import msgspec
from django.http import HttpResponse
from dmr import Path, ResponseSpec, validate
from msgspec import UNSET, Struct, UnsetType, field

from prompts.api.controller import ApiController, json_response
from prompts.api.openapi.document import ERRORS, MODEL_ERRORS, refusals
from prompts.api.responses import ResponsePath
from prompts.domain import ids
from prompts.domain.responses import Notice
from prompts.usecases.public_ids import check_kind

encode = msgspec.json.Encoder().encode


class FollowUpsBody(Struct):
    """Questions that could be asked next."""

    response_id: str
    data: list[str]
    object: Literal["response.follow_ups"] = "response.follow_ups"
    notices: list[Notice] | UnsetType = field(default=UNSET, name="eps:notices")


class FollowUpsController(ApiController):
    """What could be asked next."""

    tags = ["Responses"]
    reach = "response"

    @validate(
        ResponseSpec(FollowUpsBody, status_code=HTTPStatus.OK),
        *ERRORS,
        *MODEL_ERRORS,
        *refusals(HTTPStatus.CONFLICT),
        operation_id="suggestFollowUps",
    )
    async def post(self, parsed_path: Path[ResponsePath]) -> HttpResponse:
        """Up to three questions that the model suggests; kept with the response, and the same from then on."""
        response_id = check_kind(parsed_path.response_id, ids.RESPONSE, param="response_id")
        suggested = await self.state.follow_ups.get(response_id, owner=self.owner)
        body = FollowUpsBody(response_id, list(suggested.questions), notices=list(suggested.notices) or UNSET)
        return json_response(encode(body))
