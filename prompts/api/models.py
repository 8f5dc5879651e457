"""`/v1/models`: what may be asked for."""

from http import HTTPStatus
from typing import Annotated, Literal

import msgspec
from django.http import HttpResponse
from dmr import Path, ResponseSpec, validate
from msgspec import Meta, Struct

from prompts.api.controller import ApiController, json_response
from prompts.api.openapi.document import ALWAYS, ERRORS, MODEL_ERRORS
from prompts.domain.model_request import Model
from prompts.errors import NotFound

encode = msgspec.json.Encoder().encode


class ModelList(Struct):
    """All models, as the model's server names them."""

    data: list[Model]
    object: Literal["list"] = "list"


class ModelPath(Struct):
    """`/v1/models/{model}`; a name may hold slashes."""

    model: Annotated[str, Meta(description="Its name; it may hold slashes.", examples=["stand-in"])]


class ModelsController(ApiController):
    """The models that may be asked for."""

    tags = ["Models"]

    @validate(ResponseSpec(ModelList, status_code=HTTPStatus.OK), *ALWAYS, *MODEL_ERRORS, operation_id="listModels")
    async def get(self) -> HttpResponse:
        """All of them; at most a minute old."""
        return json_response(encode(ModelList(list(await self.state.turns.model.list_models()))))


class ModelController(ApiController):
    """One model."""

    tags = ["Models"]

    @validate(ResponseSpec(Model, status_code=HTTPStatus.OK), *ERRORS, *MODEL_ERRORS, operation_id="getModel")
    async def get(self, parsed_path: Path[ModelPath]) -> HttpResponse:
        """The model of that name."""
        for model in await self.state.turns.model.list_models():
            if model.id == parsed_path.model:
                return json_response(encode(model))
        message = f"The model '{parsed_path.model}' does not exist. GET /v1/models lists those that do."
        raise NotFound(message, code="model_not_found", param="model")
