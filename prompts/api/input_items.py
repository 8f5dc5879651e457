"""`/v1/responses/{id}/input_items`: what a response was asked, page by page."""

from http import HTTPStatus

from django.http import HttpResponse
from dmr import Path, Query, ResponseSpec, validate

from prompts.api.controller import ApiController
from prompts.api.conversations import ItemList, ItemsQuery
from prompts.api.openapi.document import ERRORS
from prompts.api.pages import encode_page
from prompts.api.responses import ResponsePath
from prompts.api.wire.include import check_include
from prompts.domain import ids
from prompts.usecases.public_ids import check_kind
from prompts.usecases.response_notes import list_input_items


class InputItemsController(ApiController):
    """The input of a response."""

    tags = ["Responses"]
    reach = "response"

    @validate(ResponseSpec(ItemList, status_code=HTTPStatus.OK), *ERRORS, operation_id="listInputItems")
    async def get(self, parsed_path: Path[ResponsePath], parsed_query: Query[ItemsQuery]) -> HttpResponse:
        """One page of the response's own input items, newest first unless asked otherwise."""
        check_include(parsed_query.include, self.unknown)
        page = await list_input_items(
            check_kind(parsed_path.response_id, ids.RESPONSE, param="response_id"),
            owner=self.owner,
            limit=parsed_query.limit,
            order=parsed_query.order,
            after=parsed_query.after,
            notes=self.state.notes,
        )
        return self.render(encode_page(page))
