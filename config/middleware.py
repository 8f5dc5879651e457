"""Middleware for both handlers: the request id, and of each request one log line and its metrics."""

import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, cast

import structlog
from django.core.handlers.asgi import ASGIRequest
from django.db import DataError, connections
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_only_middleware

from config.lean_handler import LeanRequest, Response, View
from config.metrics import HttpMetrics
from config.recycling import note_request
from prompts.api.request_ids import choose_request_id
from prompts.api.run_lines import is_told_by_run

if TYPE_CHECKING:
    from config.http_tracing import HttpTracing

log = structlog.get_logger("access")

# A process's share of PostgreSQL's usual 100 connections; a page takes milliseconds of them.
MAX_PAGES_AT_ONCE = 8
# Longer than any page takes, and shorter than a person's patience.
MAX_PAGE_WAIT_S = 20
# The kubelet probes every few seconds; its lines would bury all others.
UNLOGGED = ("/healthz", "/readyz", "/health")


def request_id(view: View) -> View:
    """Lean handler: give a request an id (the client's own when it is sane), bind it to the logs, return it."""

    async def answer(request: HttpRequest) -> Response:
        began = _begin(request)
        response = await view(request)
        cast(LeanRequest, request).answer_headers.append((b"x-request-id", _get_id(request).encode()))
        _end(request, response, began)
        return response

    return answer


@sync_only_middleware
def page_request_id(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Full stack: the same."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        began = _begin(request)
        response = get_response(request)
        response["x-request-id"] = _get_id(request)
        _end(request, response, began)
        return response

    return answer


@sync_only_middleware
def few_pages_at_once(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Full stack: each page has a thread of its own, and each thread would open a connection to the database.

    It is closed here, and not when the answer has been sent: a client that reads slowly keeps none.
    """
    gate = BoundedSemaphore(MAX_PAGES_AT_ONCE)

    def answer(request: HttpRequest) -> HttpResponseBase:
        if not gate.acquire(timeout=MAX_PAGE_WAIT_S):
            return HttpResponse("Too many pages at once. Try again.", status=503, headers={"Retry-After": "5"})
        try:
            return get_response(request)
        finally:
            connections.close_all()
            gate.release()

    return answer


@sync_only_middleware
def refuse_what_sql_cannot_hold(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """Full stack: what PostgreSQL has no value for (NUL in an id, a broken expression) is the request's fault."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        return get_response(request)

    def tell(request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, DataError):
            return None
        log.warning("page_refused", path=request.path, reason=type(error.__cause__).__name__)
        return HttpResponse("No such value can be looked for.", status=400, content_type="text/plain")

    answer.process_exception = tell  # type: ignore[attr-defined]  # Django looks for it there
    return answer


def traced(view: View) -> View:
    """Lean handler: make a span of a request, in a process that traces. Probes would bury all others."""

    def answer(request: HttpRequest) -> Awaitable[Response]:
        tracing: HttpTracing | None = cast(ASGIRequest, request).scope["state"].get("http_tracing")
        if tracing is None or request.path.startswith(UNLOGGED):
            return view(request)
        return tracing.answer(request, view)

    return answer


def close_while_draining(view: View) -> View:
    """Lean handler: a draining process asks clients to reconnect, which leads them to another replica."""

    async def answer(request: HttpRequest) -> Response:
        response = await view(request)
        if note_request(cast(ASGIRequest, request).scope["state"]):
            response["Connection"] = "close"
        return response

    return answer


def _begin(request: HttpRequest) -> float:
    chosen = choose_request_id(request.META.get("HTTP_X_REQUEST_ID"))
    request.request_id = chosen  # type: ignore[attr-defined]  # read by `_end` and the tracing
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=chosen)
    return time.perf_counter()


def _get_id(request: HttpRequest) -> str:
    chosen: str = request.request_id  # type: ignore[attr-defined]  # given by `_begin`
    return chosen


def _end(request: HttpRequest, response: HttpResponseBase, began: float) -> None:
    took_s = time.perf_counter() - began
    _record(request, response, took_s)
    is_told = response.status_code < HTTPStatus.BAD_REQUEST and is_told_by_run(request)
    if not is_told and not request.path.startswith(UNLOGGED):
        took_ms = round(took_s * 1000, 1)
        log.info("request", method=request.method, path=request.path, status=response.status_code, took_ms=took_ms)


def _record(request: HttpRequest, response: HttpResponseBase, took_s: float) -> None:
    metrics: HttpMetrics | None = cast(ASGIRequest, request).scope["state"].get("http_metrics")
    if metrics is not None:
        match = request.resolver_match
        metrics.record(
            route=match.route if match else None, method=request.method, status=response.status_code, took_s=took_s
        )
