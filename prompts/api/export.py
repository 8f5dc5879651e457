"""`/v1/conversations/{id}/export`: the owner's own data, whole, for programs and for people."""

from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Annotated, Literal, cast

import msgspec
from django.http import HttpResponse, StreamingHttpResponse
from dmr import Path, Query, validate
from msgspec import Meta, Struct

from prompts.api.controller import ApiController, break_off
from prompts.api.conversations import ConversationBody, ConversationPath, show
from prompts.api.openapi.document import ERRORS, AlsoAs, text
from prompts.domain import ids
from prompts.domain.items import Item
from prompts.usecases.export import Form, export_conversation, write_json, write_markdown
from prompts.usecases.public_ids import check_kind

encode = msgspec.json.Encoder().encode

CONTENT_TYPES: dict[Form, str] = {"json": "application/json", "markdown": "text/markdown; charset=utf-8"}
SUFFIXES: dict[Form, str] = {"json": "json", "markdown": "md"}


MARKDOWN = {"text/markdown": text("The conversation for people.")}


class ExportQuery(Struct, forbid_unknown_fields=True):
    """The query of `GET /v1/conversations/{id}/export`."""

    format: Annotated[Form, Meta(description="For programs, or for people.")] = "json"


class ExportBody(Struct):
    """The export as JSON, for the OpenAPI document."""

    conversation: ConversationBody
    items: list[Item]
    object: Literal["conversation.export"] = "conversation.export"


class ExportController(ApiController):
    """A conversation to take along."""

    tags = ["Conversations"]
    reach = "conversation"

    @validate(
        AlsoAs(ExportBody, status_code=HTTPStatus.OK, others=MARKDOWN), *ERRORS, operation_id="exportConversation"
    )
    async def get(self, parsed_path: Path[ConversationPath], parsed_query: Query[ExportQuery]) -> HttpResponse:
        """The conversation with all its items in order; with `format=markdown` it is `text/markdown`."""
        conversation_id = check_kind(parsed_path.conversation_id, ids.CONVERSATION, param="conversation_id")
        store, form = self.state.conversations, parsed_query.format
        conversation, slices = await export_conversation(conversation_id, owner=self.owner, store=store)
        # The first slice is read before the answer begins, so that a refusal still has a status.
        items = _prepend(await anext(slices, ()), slices)
        if form == "json":
            written = write_json(encode(show(conversation)), items)
        else:
            written = write_markdown(conversation, items)
        response = StreamingHttpResponse(break_off(written, "export_broken_off"), content_type=CONTENT_TYPES[form])
        response["Content-Disposition"] = f'attachment; filename="{conversation_id}.{SUFFIXES[form]}"'
        return cast(HttpResponse, response)


async def _prepend(first: Sequence[bytes], rest: AsyncIterator[Sequence[bytes]]) -> AsyncIterator[Sequence[bytes]]:
    yield first
    async for items in rest:
        yield items
