"""CORS: pages of other sites may use the API where the key's own project allows it.

    OPTIONS, the browser's question before      no key comes with it: yes, when any project allows the page
    the request itself                          only when the key's project does: else 403, before anything happens
    an answer without an owner (a wrong key)    may be read, when any project allows the page

Keys come in a header and never in a cookie, so no answer allows credentials. A request without an `Origin`, or from our
own page, costs nothing here.
"""

import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import cast

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from prompts.api.errors import render_error
from prompts.api.state import State, get_state
from prompts.domain.origins import is_of_host
from prompts.errors import OriginNotAllowed, ServiceError, Unavailable
from prompts.ports.api_keys import Caller
from prompts.usecases.origins import check_origin

View = Callable[[HttpRequest], Awaitable[HttpResponseBase]]

METHODS = "GET, POST, PUT, DELETE"
# What browsers' scripts cannot read otherwise.
EXPOSED = (
    "x-request-id, retry-after, x-should-retry, idempotency-replayed, x-ratelimit-limit-requests, "
    "x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, "
    "x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, content-disposition, openai-poll-after-ms, allow, "
    "www-authenticate"
)
# Chromium keeps an answer no longer. It only saves questions: each request is looked at itself.
MAX_AGE_S = 7_200
# Names of headers, as a browser lists them. Without cookies every header may be sent.
HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+( ?, ?[A-Za-z0-9!#$%&'*+.^_`|~-]+)*")
MAX_HEADER_NAMES = 4_000


def cors(view: View) -> View:
    """Lean-road middleware, outside of what renders errors: pages must be able to read these."""

    def answer(request: HttpRequest) -> Awaitable[HttpResponseBase]:
        origin = find_foreign_origin(request)
        return view(request) if origin is None else _answer_page(request, origin, view)

    return answer


async def _answer_page(request: HttpRequest, origin: str, view: View) -> HttpResponseBase:
    state = get_state(cast(ASGIRequest, request).scope)
    if request.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.META:
        return await _answer_question(request, origin, state)
    response = await view(request)
    if await _may_read(request, origin, state):
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Expose-Headers"] = EXPOSED
    return response


def find_foreign_origin(request: HttpRequest) -> str | None:
    """The origin of a page that is not ours; None where no page of another site asks."""
    origin = request.META.get("HTTP_ORIGIN")
    if origin is None or not request.path.startswith("/v1/"):
        return None
    # No page of another site can say that it is ours: the browser writes both headers.
    is_own = request.META.get("HTTP_SEC_FETCH_SITE") == "same-origin" or is_of_host(origin, _get_host(request))
    return None if is_own else origin


async def check_page(request: HttpRequest, caller: Caller, state: State) -> None:
    """Raises OriginNotAllowed when the caller's project does not allow the page that asks, Unavailable."""
    origin = find_foreign_origin(request)
    if origin is None:
        return
    request.may_read = False  # type: ignore[attr-defined]  # read by `_may_read`
    await check_origin(origin, host=_get_host(request), owner=caller.owner, origins=state.origins)
    request.may_read = True  # type: ignore[attr-defined]  # likewise


async def _answer_question(request: HttpRequest, origin: str, state: State) -> HttpResponse:
    try:
        if not await state.origins.allows(origin, owner=None):
            raise OriginNotAllowed(origin)
    except ServiceError as error:
        return render_error(error)
    response = HttpResponse(status=HTTPStatus.NO_CONTENT)
    del response["Content-Type"]
    response["Access-Control-Allow-Origin"] = origin
    response["Access-Control-Allow-Methods"] = METHODS
    response["Access-Control-Max-Age"] = str(MAX_AGE_S)
    wanted = request.META.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "")
    if len(wanted) <= MAX_HEADER_NAMES and HEADER_NAMES.fullmatch(wanted):
        response["Access-Control-Allow-Headers"] = wanted
    return response


async def _may_read(request: HttpRequest, origin: str, state: State) -> bool:
    decided: bool | None = getattr(request, "may_read", None)
    if decided is not None:
        return decided
    try:
        return await state.origins.allows(origin, owner=None)
    except Unavailable:
        return False


def _get_host(request: HttpRequest) -> str:
    return str(request.META.get("HTTP_HOST", ""))
