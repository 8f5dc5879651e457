"""The official client's errors, and its HTTP library's, as ours: the one place that knows them.

Foreign texts do not go on: they name addresses, organisations and keys. They stay in the logs, as the exception's
cause.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite

import aiohttp
import httpx2
import openai

from prompts.errors import InvalidPrompt, NotFound, RateLimited, ServiceError, UpstreamError, UpstreamTimeout

# A longer wait is the client's to decide about.
MAX_RETRY_AFTER_S = 2.0
# No server means more than a day; a header that says so must not become a client's.
MAX_PAUSE_S = 86_400.0
FIRST_SERVER_ERROR = 500


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise ours for theirs, on a request and while its stream is read; most specific first."""
    try:
        yield
    except openai.APIStatusError as exc:
        raise _status_error(exc) from exc
    except (openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, aiohttp.ClientError, OSError) as exc:
        if _is_timeout(exc):
            raise UpstreamTimeout("The model's server took too long to answer. Try again in a moment.") from exc
        raise UpstreamError("The model's server cannot be reached, or broke off. Try again in a moment.") from exc


def is_worth_a_retry(error: ServiceError) -> bool:
    """Whether asking again can help, and soon. A rate limit is told at once: the client decides about the wait."""
    return isinstance(error, UpstreamError) and (error.retry_after_s or 0) <= MAX_RETRY_AFTER_S and not error.is_final


def _is_timeout(exc: BaseException) -> bool:
    """The transport calls a broken connection a connect timeout too; what it was made from tells the two apart."""
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, aiohttp.ClientError | OSError):
            return isinstance(cause, TimeoutError)
        cause = cause.__cause__
    return isinstance(exc, openai.APITimeoutError | httpx2.TimeoutException)


def _status_error(exc: openai.APIStatusError) -> ServiceError:
    retry_after_s = _retry_after_s(exc.response.headers.get("retry-after"))
    match exc.status_code:
        case 429:
            message = "The model's server is over its rate limit. Send the input again later."
            return RateLimited(message, retry_after_s=retry_after_s)
        case 401 | 403:
            return UpstreamError("The model's server refuses this server's key. Tell its operator.", is_final=True)
        case 404 if exc.code == "model_not_found" or exc.param == "model":
            message = "The model does not exist. GET /v1/models lists those that do."
            return NotFound(message, code="model_not_found", param="model")
        case 400 | 413 | 422 if exc.code == "context_length_exceeded":
            return InvalidPrompt("The input is longer than the model can take. Shorten it.", param="input")
        case 400 | 413 | 422:
            return InvalidPrompt("The model's server refused the input as invalid. Change the input or its parameters.")
        case 408 | 504:
            return UpstreamTimeout("The model's server took too long to answer. Try again in a moment.")
    message = f"The model's server failed with HTTP {exc.status_code}. Try again in a moment."
    return UpstreamError(message, retry_after_s=retry_after_s, is_final=exc.status_code < FIRST_SERVER_ERROR)


def _retry_after_s(value: str | None) -> float | None:
    """The header's seconds, or those until its date (RFC 9110, 10.2.3); None when it says nothing sensible."""
    try:
        seconds = float(value or "")
    except ValueError:
        seconds = _seconds_until(value or "")
    return min(max(seconds, 0.0), MAX_PAUSE_S) if isfinite(seconds) else None


def _seconds_until(date: str) -> float:
    try:
        return (parsedate_to_datetime(date).astimezone(UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError):
        return float("nan")
