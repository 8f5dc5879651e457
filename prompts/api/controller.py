"""The base of every view: who asks, and how what goes wrong is said.

`django-modern-rest` reads the request and documents it; structs and errors are ours and know nothing of it.
"""

from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, Literal, TypeAlias, cast

import msgspec
import structlog
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from dmr import Controller
from dmr.endpoint import Endpoint
from dmr.metadata import EndpointMetadata
from dmr.negotiation import RequestNegotiator, ResponseNegotiator
from dmr.openapi.objects import Parameter, Reference, SecurityRequirement, SecurityScheme
from dmr.parsers import Parser
from dmr.renderers import Renderer
from dmr.security.base import AsyncAuth
from dmr.serializer import BaseSerializer
from msgspec.structs import replace

from prompts.api.cors import check_page
from prompts.api.errors import as_service_error, render_error
from prompts.api.openapi.document import DocumentedEndpoint, ErrorEnvelope, FormBody
from prompts.api.openapi.schemas import WireSerializer
from prompts.api.own_seals import OwnSeals
from prompts.api.state import State, WithBody, get_state, get_unknown
from prompts.api.wire.items import Sender
from prompts.api.wire.parser import BodyParser
from prompts.api.wire.unknown import Unknown
from prompts.errors import (
    MethodNotAllowed,
    ServiceError,
)
from prompts.ports.api_keys import Caller
from prompts.ports.client_secrets import Scope
from prompts.ports.token_meter import TokensLeft
from prompts.usecases.callers import authenticate, check_rate
from prompts.usecases.scopes import check_conversation, check_response, check_scope, refuse_conversation_secret

log = structlog.get_logger(__name__)

encode = msgspec.json.Encoder().encode

Reach: TypeAlias = Literal["owner", "conversation", "response", "turn", "everybody"]


class BearerKey(AsyncAuth):
    """`Authorization: Bearer <key>`; one look-up in Redis, no SQL. The body is read for those who have one."""

    __slots__ = ()

    @property
    def www_authenticate_challenge(self) -> str | None:
        """None: `render_error` sends the challenge with every 401."""
        return None

    async def __call__(self, endpoint: Endpoint, controller: Controller[BaseSerializer]) -> "BearerKey":
        """Find the owner, then read the body.

        Raises InvalidApiKey, OriginNotAllowed, RateLimited, InsufficientScope, and as `WithBody.read_body`.
        """
        request = cast(ASGIRequest, controller.request)
        state = get_state(request.scope)
        caller = await authenticate(request.META.get("HTTP_AUTHORIZATION"), api_keys=state.api_keys)
        request.caller = caller  # type: ignore[attr-defined]  # read by ApiController.owner and the error middleware
        structlog.contextvars.bind_contextvars(owner=caller.owner)
        await check_page(request, caller, state)
        check_rate(caller)
        await _check_reach(caller, cast(ApiController, controller))
        state.turns.runner.shares.hear(caller.owner, caller.elsewhere)
        await self.read_body(cast(WithBody, request))
        return self

    async def read_body(self, request: WithBody) -> None:
        """What follows the key."""
        await request.read_body()

    def security_schemes(
        self, metadata: EndpointMetadata, controller_cls: type[Controller[BaseSerializer]]
    ) -> dict[str, SecurityScheme | Reference]:
        """For the OpenAPI document."""
        return {
            "api_key": SecurityScheme(
                type="http",
                scheme="bearer",
                description="A key or a client secret of this server's, with the scope that is named.",
            )
        }

    def security_requirements(
        self, metadata: EndpointMetadata, controller_cls: type[Controller[BaseSerializer]]
    ) -> list[SecurityRequirement]:
        """For the OpenAPI document: the scope that is needed, which OpenAPI 3.1 calls a role."""
        return [{"api_key": [find_scope(cast("type[ApiController]", controller_cls), metadata.method.upper())]}]


def find_scope(controller: "ApiController | type[ApiController]", method: str | None) -> Scope:
    """What a request needs."""
    is_read = controller.changes_nothing or method in ("GET", "HEAD")
    return "read" if is_read else controller.change_scope


async def _check_reach(caller: Caller, controller: "ApiController") -> None:
    """Raises InsufficientScope, NotFound for what the caller's key or secret was not made for."""
    check_scope(caller, find_scope(controller, controller.request.method))
    if caller.conversation is None:
        return
    match controller.reach:
        case "owner":
            refuse_conversation_secret(caller)
        case "conversation":
            check_conversation(caller, controller.kwargs["conversation_id"])
        case "response":
            await check_response(caller, controller.kwargs["response_id"], store=controller.state.turns.store)
        case "turn" | "everybody":  # the view looks at the body; there is nothing to look at
            pass


class KeyBeforeUpload(BearerKey):
    """The same for a view that reads the body itself, as it comes."""

    __slots__ = ()

    async def read_body(self, request: WithBody) -> None:
        """Nothing of it is read yet."""


class AnyAccept(ResponseNegotiator):
    """The body decides between JSON and an event stream; `Accept` is not looked at."""

    __slots__ = ()

    def __call__(self, request: HttpRequest) -> Renderer:
        """The default renderer."""
        request.META["HTTP_ACCEPT"] = "*/*"
        return super().__call__(request)


class JsonUnlessSaid(RequestNegotiator):
    """A body without a Content-Type is JSON; so is one that is not there (`curl -X POST …/conversations`)."""

    __slots__ = ()

    def __call__(self, request: HttpRequest) -> Parser:
        """The parser for what the request says, or the only one."""
        request.content_type = request.content_type or "application/json"
        return super().__call__(request)


class ApiEndpoint(DocumentedEndpoint):
    """An endpoint that negotiates nothing."""

    __slots__ = ()
    request_negotiator_cls = JsonUnlessSaid
    response_negotiator_cls = AnyAccept


class ApiController(Controller[WireSerializer]):
    """A resource of the API: authenticated, JSON in and out, errors in the envelope."""

    endpoint_cls = ApiEndpoint
    auth: ClassVar[Sequence[AsyncAuth]] = [BearerKey()]
    parsers = [BodyParser()]
    header_parameters: ClassVar[Sequence[Parameter]] = ()
    """Headers that a request may carry, for the OpenAPI document; the view reads them itself."""
    changes_nothing: ClassVar[bool] = False
    """Whether its POST only reads."""
    change_scope: ClassVar[Scope] = "write"
    """What its other methods need; `admin` where they decide for the whole project."""
    reach: ClassVar[Reach] = "owner"
    """What it reaches. A client secret of one conversation does not come to what is the owner's."""
    form_body: ClassVar[FormBody | None] = None
    """The form that one of its operations reads itself, for the OpenAPI document."""
    error_model: ClassVar[Any] = ErrorEnvelope
    exclude_semantic_responses = frozenset({HTTPStatus.NOT_ACCEPTABLE})  # nothing is negotiated

    @property
    def state(self) -> State:
        """The ports this process opened."""
        return get_state(cast(ASGIRequest, self.request).scope)

    @property
    def caller(self) -> Caller:
        """Whose key or client secret the request carries, and what it may do."""
        return cast(Caller, self.request.caller)  # type: ignore[attr-defined]  # set by BearerKey

    @property
    def owner(self) -> str:
        """Whose key the request carries."""
        return self.caller.owner

    def tell_tokens(self, left: TokensLeft | None) -> None:
        """Let the answer say what is left of a minute's tokens by now."""
        if left is not None:
            self.request.caller = replace(self.caller, tokens_left=left)  # type: ignore[attr-defined]  # as BearerKey

    def check_quota(self) -> None:
        """Raises QuotaExceeded when the owner may keep nothing more."""
        self.state.turns.quotas.check(self.owner)

    @property
    def unknown(self) -> Unknown:
        """What of the request is left out."""
        return get_unknown(self.request)

    @property
    def sender(self) -> Sender:
        """Who sends the items of the body."""
        return Sender(OwnSeals(self.state.sealer, self.owner).check, self.unknown)

    def render(self, content: bytes) -> HttpResponse:
        """An answer that is a JSON object already, with what of the request was left out."""
        ignored = self.unknown.list_names()
        named = content[:-1] + b',"eps:ignored":' + encode(ignored) + b"}" if ignored else content
        return json_response(named)

    async def handle_async_error(
        self, endpoint: Endpoint, controller: Controller[WireSerializer], exc: Exception
    ) -> HttpResponse:
        """Render errors of ours, and those of the view library as ours; the middleware handles the rest."""
        error = exc if isinstance(exc, ServiceError) else as_service_error(exc)
        if error is None:
            raise exc
        return render_error(error)

    def handle_method_not_allowed(self, method: str) -> HttpResponse:
        """405, with what is allowed."""
        allowed = ", ".join(sorted(self.api_endpoints))
        response = render_error(MethodNotAllowed(f"{method} is not allowed on {self.request.path}. Use {allowed}."))
        response["Allow"] = allowed
        return self._maybe_wrap(response)


def json_response(content: bytes, status: int = 200) -> HttpResponse:
    """An answer that is JSON already."""
    return HttpResponse(content, status=status, content_type="application/json")


async def break_off(pieces: AsyncIterator[bytes], event: str = "answer_broken_off") -> AsyncIterator[bytes]:
    """An error in the middle breaks the connection off: a clean end would look like the whole answer.

    `event` is its name in the log.
    """
    try:
        async for piece in pieces:
            yield piece
    except ServiceError as error:
        log.warning(event, code=error.code)
        raise ConnectionAbortedError from error
