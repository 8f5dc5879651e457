"""Errors over HTTP: every refusal is OpenAI's envelope, and no request ends in anything else."""

import math
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import cast

import msgspec
import structlog
from django.core.exceptions import SuspiciousOperation, TooManyFieldsSent
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import Resolver404
from dmr.exceptions import RequestSerializationError, ValidationError

from prompts.api.state import WithAnswerHeaders, get_state
from prompts.api.wire.unknown import Unknown
from prompts.api.wire.wording import invalid
from prompts.errors import (
    AnswerTooLarge,
    ConversationLocked,
    InsufficientQuota,
    InternalError,
    InvalidApiKey,
    InvalidRequest,
    PromptChanged,
    QuotaExceeded,
    ServiceError,
    unknown_url,
)
from prompts.ports.api_keys import Caller
from prompts.ports.observer import ParameterIgnored

log = structlog.get_logger(__name__)

View = Callable[[HttpRequest], Awaitable[HttpResponseBase]]

encode = msgspec.json.Encoder().encode

# An error repeats so much of a client's own words: enough to find them.
MAX_TOLD = 300
# Clients that try again by themselves are told not to.
NO_WAIT_HELPS = (AnswerTooLarge.code, InsufficientQuota.code, PromptChanged.code, QuotaExceeded.code)


def envelope(view: View) -> View:
    """Lean-road middleware: whatever is raised below becomes an envelope; what nobody expected is logged, once."""

    async def answer(request: HttpRequest) -> HttpResponseBase:
        try:
            return _finish(request, await view(request))
        except ServiceError as error:
            return render_error(error)
        except Resolver404:
            return render_error(unknown_url(request.method, request.path))
        except SuspiciousOperation as error:
            return render_error(as_service_error(error) or InvalidRequest("The request cannot be read. Send another."))
        except Exception:
            log.exception("unexpected_error", path=request.path)
            return render_error(our_mistake(getattr(request, "request_id", "unknown")))

    return answer


def _finish(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    _tell_ignored(request, response)
    _tell_rate(request)
    return response


def _tell_ignored(request: HttpRequest, response: HttpResponseBase) -> None:
    """Count what of the request was left out, and name it in its log line."""
    unknown: Unknown | None = getattr(request, "unknown", None)
    if unknown is None or not unknown.counts or response.status_code >= HTTPStatus.BAD_REQUEST:
        return
    structlog.contextvars.bind_contextvars(ignored=unknown.list_names())
    observer = get_state(cast(ASGIRequest, request).scope).observer
    for kind, count in unknown.counts.items():
        observer.notice(ParameterIgnored(kind, count))


def _tell_rate(request: HttpRequest) -> None:
    """What is left of the caller's requests and tokens a minute, where there is a limit."""
    caller: Caller | None = getattr(request, "caller", None)
    if caller is None:
        return
    headers = cast(WithAnswerHeaders, request).answer_headers
    if caller.limit:
        headers += (
            (b"x-ratelimit-limit-requests", b"%d" % caller.limit),
            (b"x-ratelimit-remaining-requests", b"%d" % caller.remaining),
            (b"x-ratelimit-reset-requests", b"%.3fs" % caller.reset_s),
        )
    if (left := caller.tokens_left) is not None:
        headers += (
            (b"x-ratelimit-limit-tokens", b"%d" % left.limit),
            (b"x-ratelimit-remaining-tokens", b"%d" % left.remaining),
            (b"x-ratelimit-reset-tokens", b"%.3fs" % left.reset_s),
        )


def render_error(error: ServiceError) -> HttpResponse:
    """The envelope, with the headers that tell a client when to come back."""
    response = HttpResponse(
        encode({"error": describe_error(error)}), status=error.status, content_type="application/json"
    )
    for name, value in compose_headers(error).items():
        response[name] = value
    return response


def describe_error(error: ServiceError) -> dict[str, object]:
    """What the envelope holds."""
    body: dict[str, object] = {"message": _shorten(error.message), "type": error.type}
    body |= {"param": None if error.param is None else _shorten(error.param), "code": error.code}
    if isinstance(error, ConversationLocked):
        body["active_response_id"] = error.active_response_id
    return body


def compose_headers(error: ServiceError) -> dict[str, str]:
    """What is said beside the envelope: when to come back, and whether at all."""
    headers: dict[str, str] = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = render_pause(error.retry_after_s)
    if isinstance(error, ConversationLocked) or error.code in NO_WAIT_HELPS:
        headers["x-should-retry"] = "false"
    if isinstance(error, InvalidApiKey):
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def our_mistake(request_id: str) -> InternalError:
    """What a client is told of an exception that nobody expected; the log has the rest."""
    message = f"The server made a mistake. Try again, and if it stays, name request {request_id} to its operator."
    return InternalError(message)


def render_pause(retry_after_s: float) -> str:
    """The value of `Retry-After`: whole seconds, at least one."""
    return str(max(1, math.ceil(retry_after_s)))


def as_service_error(exc: Exception) -> ServiceError | None:
    """Our error for what the view library raises while it reads a request; None for anything else."""
    if isinstance(exc, ValidationError):
        return invalid(str(exc.payload[0]["msg"]))
    if isinstance(exc, RequestSerializationError):
        # The parser refuses bad bodies itself, so only the content type can be wrong here.
        return InvalidRequest("The Content-Type is not one this server reads. Send JSON, as application/json.")
    if isinstance(exc, TooManyFieldsSent):
        return InvalidRequest("The query has too many parameters. Send only those the API knows, each once.")
    return None


def _shorten(text: str) -> str:
    """The beginning and the end of a text that a client may have made very long."""
    return text if len(text) <= MAX_TOLD else f"{text[: MAX_TOLD // 2]}…{text[-MAX_TOLD // 2 :]}"
