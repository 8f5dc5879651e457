"""`/v1/prompts`: templates in versions, as OGX has them. SQL is asked here, in threads: no turn comes this way."""

from http import HTTPStatus
from typing import Annotated, Literal

import msgspec
from django.http import HttpResponse
from dmr import Path, Query, ResponseSpec, validate
from dmr.plugins.msgspec import BodyMsgspec
from msgspec import Meta, Struct

from prompts.api.controller import ApiController, json_response
from prompts.api.openapi.document import BODY_ERRORS, ERRORS, NEW_ERRORS, refusals
from prompts.api.openapi.examples import CREATE_PROMPT, SET_DEFAULT_VERSION, UPDATE_PROMPT
from prompts.api.pages import Limit, Order, check_cursors, encode_page
from prompts.api.wire.ids import PromptId
from prompts.api.wire.prompts import (
    CreatePrompt,
    Number,
    Prompt,
    SetDefaultVersion,
    UpdatePrompt,
    read_content,
    show_version,
)
from prompts.domain import ids
from prompts.ports.pages import Page, count_fitting
from prompts.ports.prompts import VersionsPage
from prompts.usecases.prompts import (
    add_prompt_version,
    create_prompt,
    delete_prompt,
    get_prompt,
    list_prompt_versions,
    list_prompts,
    set_default_version,
)
from prompts.usecases.public_ids import check_kind

encode = msgspec.json.Encoder().encode


class PromptPath(Struct):
    """`/v1/prompts/{prompt_id}`."""

    prompt_id: PromptId


class PromptQuery(Struct, forbid_unknown_fields=True):
    """The query of `GET /v1/prompts/{id}`."""

    version: Annotated[Number, Meta(description="The number of a version; left out, the default.")] | None = None


class PromptsQuery(Struct, forbid_unknown_fields=True):
    """The query of `GET /v1/prompts`."""

    limit: Limit = 20
    order: Order = "desc"
    after: PromptId | None = None


class VersionsQuery(Struct, forbid_unknown_fields=True):
    """The query of `GET /v1/prompts/{id}/versions`."""

    limit: Limit = 20
    order: Order = "desc"
    after: Annotated[Number, Meta(description="The number of the last version of the page before.")] | None = None


class PromptList(Struct):
    """One page of templates, each in its default version; or one of the versions of a template."""

    data: list[Prompt]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal["list"] = "list"


class DeletedPrompt(Struct):
    """What is left of a deleted template."""

    id: str
    object: Literal["prompt.deleted"] = "prompt.deleted"
    deleted: bool = True


class PromptsController(ApiController):
    """Templates of the key's owner, and everybody's."""

    tags = ["Prompts"]
    change_scope = "admin"

    @validate(ResponseSpec(Prompt, status_code=HTTPStatus.OK), *NEW_ERRORS, operation_id="createPrompt")
    async def post(self, parsed_body: Annotated[BodyMsgspec[CreatePrompt], CREATE_PROMPT]) -> HttpResponse:
        """A new prompt: version 1, which is the default. `{{name}}` in its text is the place of a variable."""
        made = await create_prompt(
            read_content(parsed_body), owner=self.owner, name=parsed_body.name, ports=self.state.prompts
        )
        return self.render(encode(show_version(made)))

    @validate(ResponseSpec(PromptList, status_code=HTTPStatus.OK), *ERRORS, operation_id="listPrompts")
    async def get(self, parsed_query: Query[PromptsQuery]) -> HttpResponse:
        """One page of the prompts that the owner may use, each in its default version, newest first."""
        check_cursors(ids.PROMPT, after=parsed_query.after)
        page = await list_prompts(
            owner=self.owner,
            limit=parsed_query.limit,
            order=parsed_query.order,
            after=parsed_query.after,
            ports=self.state.prompts,
        )
        return json_response(encode_page(_fit(page, [version.prompt_id for version in page.versions])))


class PromptController(ApiController):
    """One template."""

    tags = ["Prompts"]
    change_scope = "admin"

    @validate(ResponseSpec(Prompt, status_code=HTTPStatus.OK), *ERRORS, operation_id="getPrompt")
    async def get(self, parsed_path: Path[PromptPath], parsed_query: Query[PromptQuery]) -> HttpResponse:
        """One version of the prompt; without `version` its default."""
        found = await get_prompt(
            _prompt_id(parsed_path), owner=self.owner, number=parsed_query.version, ports=self.state.prompts
        )
        return json_response(encode(show_version(found)))

    @validate(
        ResponseSpec(Prompt, status_code=HTTPStatus.OK),
        *BODY_ERRORS,
        *refusals(HTTPStatus.CONFLICT),
        operation_id="updatePrompt",
    )
    async def put(
        self, parsed_path: Path[PromptPath], parsed_body: Annotated[BodyMsgspec[UpdatePrompt], UPDATE_PROMPT]
    ) -> HttpResponse:
        """The next version, whole; `version` is the latest one, on which it follows. It becomes the default."""
        made = await add_prompt_version(
            _prompt_id(parsed_path),
            read_content(parsed_body),
            owner=self.owner,
            after=parsed_body.version,
            name=parsed_body.name,
            becomes_default=parsed_body.set_as_default is not False,
            ports=self.state.prompts,
        )
        return self.render(encode(show_version(made)))

    @validate(ResponseSpec(DeletedPrompt, status_code=HTTPStatus.OK), *ERRORS, operation_id="deletePrompt")
    async def delete(self, parsed_path: Path[PromptPath]) -> HttpResponse:
        """Erase the prompt with all its versions; responses that used it stay as they are."""
        prompt_id = _prompt_id(parsed_path)
        await delete_prompt(prompt_id, owner=self.owner, ports=self.state.prompts)
        return json_response(encode(DeletedPrompt(prompt_id)))


class PromptVersionsController(ApiController):
    """The versions of a template."""

    tags = ["Prompts"]

    @validate(ResponseSpec(PromptList, status_code=HTTPStatus.OK), *ERRORS, operation_id="listPromptVersions")
    async def get(self, parsed_path: Path[PromptPath], parsed_query: Query[VersionsQuery]) -> HttpResponse:
        """One page of the prompt's versions, the latest first; `first_id` and `last_id` are their numbers."""
        page = await list_prompt_versions(
            _prompt_id(parsed_path),
            owner=self.owner,
            limit=parsed_query.limit,
            order=parsed_query.order,
            after=parsed_query.after,
            ports=self.state.prompts,
        )
        return json_response(encode_page(_fit(page, [str(version.number) for version in page.versions])))


class DefaultVersionController(ApiController):
    """The default version of a template."""

    tags = ["Prompts"]
    change_scope = "admin"

    @validate(ResponseSpec(Prompt, status_code=HTTPStatus.OK), *BODY_ERRORS, operation_id="setDefaultPromptVersion")
    async def put(
        self,
        parsed_path: Path[PromptPath],
        parsed_body: Annotated[BodyMsgspec[SetDefaultVersion], SET_DEFAULT_VERSION],
    ) -> HttpResponse:
        """Use this version where none is named."""
        made = await set_default_version(
            _prompt_id(parsed_path), parsed_body.version, owner=self.owner, ports=self.state.prompts
        )
        return self.render(encode(show_version(made)))


def _prompt_id(path: PromptPath) -> str:
    return check_kind(path.prompt_id, ids.PROMPT, param="prompt_id")


def _fit(page: VersionsPage, cursors: list[str]) -> Page:
    """As many of the versions as fit on a page."""
    data = [encode(show_version(version)) for version in page.versions]
    size = count_fitting([len(entry) for entry in data])
    first_id, last_id = (cursors[0], cursors[size - 1]) if size else (None, None)
    return Page(data[:size], first_id, last_id, has_more=page.has_more or size < len(data))
