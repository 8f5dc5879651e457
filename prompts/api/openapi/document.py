"""What the OpenAPI document says beyond the structs' types. Nothing of this is looked at when a request is served."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TypeAlias

from dmr import ResponseSpec
from dmr.controller import Controller
from dmr.endpoint import Endpoint
from dmr.headers import HeaderSpec
from dmr.metadata import EndpointMetadata
from dmr.openapi.collector import InternalRouteMetadata
from dmr.openapi.core.context import OpenAPIContext
from dmr.openapi.objects import (
    Header,
    MediaType,
    OpenAPIType,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Response,
    Schema,
)
from dmr.routing import Router
from dmr.serializer import BaseSerializer
from dmr.types import EMPTY
from msgspec import Struct


class ErrorBody(Struct):
    """What is inside the envelope."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorEnvelope(Struct):
    """OpenAI's error envelope."""

    error: ErrorBody


_RETRY_AFTER = {"Retry-After": HeaderSpec(description="Seconds to wait.", required=False, skip_validation=True)}
_CHALLENGE = {"WWW-Authenticate": HeaderSpec(description="`Bearer`.", skip_validation=True)}
_HEADERS = {
    HTTPStatus.UNAUTHORIZED: _CHALLENGE,
    HTTPStatus.CONFLICT: _RETRY_AFTER,
    HTTPStatus.TOO_MANY_REQUESTS: _RETRY_AFTER,
    HTTPStatus.SERVICE_UNAVAILABLE: _RETRY_AFTER,
}
_REFUSALS = {
    HTTPStatus.BAD_REQUEST: "The request is malformed or out of bounds; `param` says where.",
    HTTPStatus.UNAUTHORIZED: "No key, or not a valid one; a client secret whose time is over.",
    HTTPStatus.FORBIDDEN: "A key or secret that was not made for this, or a page whose site its project does not list.",
    HTTPStatus.NOT_FOUND: "Unknown, deleted, or another owner's.",
    HTTPStatus.CONFLICT: "What is there does not allow it now: another response is active, or this one has ended.",
    HTTPStatus.GONE: "The events are no longer kept; the response itself is.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than 10 MB.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The `Idempotency-Key` was used for another request.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests, of this key or to the model.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The server made a mistake; `x-request-id` is what its operator needs to know.",
    HTTPStatus.BAD_GATEWAY: "The model failed, or cannot be reached.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Something is away for the moment; `Retry-After` says when to come back.",
    HTTPStatus.GATEWAY_TIMEOUT: "The model did not answer in time.",
}


def refusals(*statuses: HTTPStatus) -> list[ResponseSpec]:
    """How an endpoint may refuse: the envelope, with the headers that belong to it."""
    return [
        ResponseSpec(ErrorEnvelope, status_code=status, description=_REFUSALS[status], headers=_HEADERS.get(status))
        for status in statuses
    ]


ALWAYS = refusals(
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
ERRORS = [*ALWAYS, *refusals(HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)]
"""Of an endpoint that reads a path or a query."""
BODY_ERRORS = [*ERRORS, *refusals(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)]
"""Of one that reads a body as well."""
NEW_ERRORS = [*ALWAYS, *refusals(HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)]
"""Of one whose path and body name no object."""
MODEL_ERRORS = refusals(HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)
"""Besides, where the model's server is asked."""

_Controller: TypeAlias = type[Controller[BaseSerializer]]


@dataclass(frozen=True, kw_only=True)
class AlsoAs(ResponseSpec):
    """An answer that is JSON, or on demand of another content type."""

    others: Mapping[str, MediaType] = field(default_factory=dict)

    def get_schema(self, metadata: EndpointMetadata, controller_cls: _Controller, context: OpenAPIContext) -> Response:
        """For the OpenAPI document."""
        response = super().get_schema(metadata, controller_cls, context)
        response.content = {**(response.content or {}), **self.others}
        return response


def text(description: str) -> MediaType:
    """A content type that is no JSON."""
    schema = Schema(type=OpenAPIType.STRING, description=description)
    return MediaType(schema=schema)


@dataclass(frozen=True)
class FormBody:
    """The body of an operation that reads a form by itself."""

    operation_id: str
    content: MediaType


@dataclass(frozen=True, kw_only=True)
class FileContent(ResponseSpec):
    """An answer that is a file's bytes, of whatever content type."""

    def get_schema(self, metadata: EndpointMetadata, controller_cls: _Controller, context: OpenAPIContext) -> Response:
        """For the OpenAPI document."""
        response = super().get_schema(metadata, controller_cls, context)
        response.content = {"*/*": MediaType(schema=Schema(type=OpenAPIType.STRING, format="binary"))}
        return response


class DocumentedEndpoint(Endpoint):
    """An endpoint that knows what the view library does not: headers, and that a query has no null."""

    __slots__ = ()

    def get_schema(
        self,
        route_metadata: InternalRouteMetadata,
        controller_cls: _Controller,
        context: OpenAPIContext,
        router: Router,
    ) -> Operation:
        """For the OpenAPI document."""
        operation = super().get_schema(route_metadata, controller_cls, context, router)
        named: Iterable[Parameter] = getattr(controller_cls, "header_parameters", ())
        parameters = [*(operation.parameters or ()), *named]
        operation.parameters = [_shown(parameter) for parameter in parameters] or None
        if isinstance(body := operation.request_body, RequestBody):
            body.required = not _may_be_left_out(body)
        form: FormBody | None = getattr(controller_cls, "form_body", None)
        if form is not None and operation.operation_id == form.operation_id:
            operation.request_body = RequestBody(content={"multipart/form-data": form.content}, required=True)
        for status, response in (operation.responses or {}).items():
            assert isinstance(response, Response)
            limits = LIMIT_REFERENCES if status in ("200", "429") else {}
            response.headers = {"x-request-id": REQUEST_ID, **limits, **(response.headers or {})}
        return operation


def _may_be_left_out(body: RequestBody) -> bool:
    """Whether the body may be left out: where null is allowed, so is none."""
    return any(
        each.type == OpenAPIType.NULL
        for content in body.content.values()
        if isinstance(content, MediaType) and content.schema is not None
        for each in content.schema.any_of or ()
    )


REQUEST_ID = Header(
    description="The client's own, when it is sane; otherwise made here.",
    required=True,
    schema=Schema(type=OpenAPIType.STRING),
)


_PAUSE = "^[0-9]+\\.[0-9]{3}s$"
_COUNT = "^[0-9]+$"
LIMIT_HEADERS = {
    f"x-ratelimit-{kind}-{what}": Header(
        description=f"{words} Where {what} a minute are limited.",
        required=False,
        schema=Schema(type=OpenAPIType.STRING, pattern=pattern),
    )
    for what, back in (("requests", "the oldest request does not count any more"), ("tokens", "all of them are back"))
    for kind, words, pattern in (
        ("limit", f"How many {what} the owner may use within a minute.", _COUNT),
        ("remaining", f"How many {what} are left of that, with this request counted.", _COUNT),
        ("reset", f"How long it takes until {back}.", _PAUSE),
    )
}
"""What an answer says of its owner's limits; components of the document."""
LIMIT_REFERENCES = {name: Reference(ref=f"#/components/headers/{name}") for name in LIMIT_HEADERS}


def header(name: str, description: str, *, pattern: str) -> Parameter:
    """A header that a request may carry. It has no example: the page would send it with every request that is tried."""
    schema = Schema(type=OpenAPIType.STRING, pattern=pattern)
    return Parameter(name=name, param_in="header", description=description, schema=schema)


def _shown(parameter: Parameter | Reference) -> Parameter | Reference:
    """The parameter without the null that only means that it is left out."""
    assert isinstance(parameter, Parameter)
    schema = parameter.schema
    if schema is None or schema.default is not None or not schema.any_of:
        return parameter
    [one] = [each for each in schema.any_of if each.type != OpenAPIType.NULL]
    description = schema.description or one.description or parameter.description
    shown = replace(one, default=EMPTY, description=None, examples=schema.examples or one.examples)
    return replace(parameter, schema=shown, description=description)


IDEMPOTENCY_KEY = header(
    "Idempotency-Key",
    "A retry with the same key and body gets the first request's response, marked `idempotency-replayed: true`.",
    pattern="^[!-~]{1,255}$",
)
