"""`/v1/responses/{id}/passages`: what the model was given to answer from."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Literal

import msgspec
from django.http import HttpResponse
from dmr import Path, ResponseSpec, validate
from msgspec import Struct

from prompts.api.controller import ApiController, json_response
from prompts.api.openapi.document import ERRORS
from prompts.api.responses import ResponsePath
from prompts.domain import ids
from prompts.domain.passages import Attributes, Passage
from prompts.usecases.passages import list_passages
from prompts.usecases.public_ids import check_kind

encode = msgspec.json.Encoder().encode


class PassageBody(Struct, kw_only=True):
    """One passage; `index` is its number in the answer's citations (`eps:passage`)."""

    index: int
    file_id: str
    filename: str
    vector_store_id: str
    page: int | None
    heading: str | None
    score: float
    text: str
    attributes: Attributes
    object: Literal["response.passage"] = "response.passage"


class PassageList(Struct):
    """All passages of a response; there is one page."""

    data: list[PassageBody]
    object: Literal["list"] = "list"


class PassagesController(ApiController):
    """What the model was given."""

    tags = ["Responses"]
    reach = "response"

    @validate(ResponseSpec(PassageList, status_code=HTTPStatus.OK), *ERRORS, operation_id="listPassages")
    async def get(self, parsed_path: Path[ResponsePath]) -> HttpResponse:
        """The passages that the model was given, in the order of their numbers; none where nothing was searched."""
        response_id, ports = check_kind(parsed_path.response_id, ids.RESPONSE, param="response_id"), self.state.turns
        passages = await list_passages(response_id, owner=self.owner, store=ports.store, event_log=ports.event_log)
        return json_response(encode(PassageList(_show(passages))))


def _show(passages: Sequence[Passage]) -> list[PassageBody]:
    return [
        PassageBody(
            index=passage.index,
            file_id=passage.file_id,
            filename=passage.filename,
            vector_store_id=passage.vector_store_id,
            page=passage.page,
            heading=passage.heading or None,
            score=passage.score,
            text=passage.text,
            attributes=passage.attributes,
        )
        for passage in passages
    ]
