"""`/v1/models`: what may be asked for."""

from http import HTTPStatus
from typing import Annotated, Literal

import msgspec
from django.http import HttpResponse
from dmr import Path, Query, ResponseSpec, validate
from msgspec import UNSET, Meta, Struct, UnsetType

from prompts.api.codex_catalogue import CodexModel, build_catalogue
from prompts.api.controller import ApiController, json_response
from prompts.api.openapi.document import ALWAYS, ERRORS, MODEL_ERRORS, refusals
from prompts.domain.model_request import Model
from prompts.usecases.models import get_model

encode = msgspec.json.Encoder().encode


class ModelList(Struct):
    """All models, as the model's server names them."""

    data: list[Model]
    object: Literal["list"] = "list"
    models: list[CodexModel] | UnsetType = UNSET


class ModelsQuery(Struct):
    """The query of `GET /v1/models`."""

    client_version: (
        Annotated[str, Meta(description="The Codex CLI's; with it the answer has its catalogue, `models`, as well.")]
        | None
    ) = None


class ModelPath(Struct):
    """`/v1/models/{model}`; a name may hold slashes."""

    model: Annotated[str, Meta(description="Its name; it may hold slashes.", examples=["stand-in"])]


class ModelsController(ApiController):
    """The models that may be asked for."""

    tags = ["Models"]
    reach = "everybody"

    @validate(
        ResponseSpec(ModelList, status_code=HTTPStatus.OK),
        *ALWAYS,
        *refusals(HTTPStatus.BAD_REQUEST),
        *MODEL_ERRORS,
        operation_id="listModels",
    )
    async def get(self, parsed_query: Query[ModelsQuery]) -> HttpResponse:
        """All of them; at most a minute old."""
        turns = self.state.turns
        listed = list(await turns.model.list_models())
        is_codex = parsed_query.client_version is not None
        catalogue = build_catalogue(listed, default=turns.defaults.model) if is_codex else UNSET
        return json_response(encode(ModelList(listed, models=catalogue)))


class ModelController(ApiController):
    """One model."""

    tags = ["Models"]
    reach = "everybody"

    @validate(ResponseSpec(Model, status_code=HTTPStatus.OK), *ERRORS, *MODEL_ERRORS, operation_id="getModel")
    async def get(self, parsed_path: Path[ModelPath]) -> HttpResponse:
        """The model of that name."""
        return json_response(encode(await get_model(parsed_path.model, self.state.turns.model)))
