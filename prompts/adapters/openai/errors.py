"""The official client's errors, and its HTTP library's, as ours: the one place that knows them.

Foreign texts do not go on: they name addresses, organisations and keys. They stay in the logs, as the exception's
cause.
"""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite

import aiohttp
import httpx2
import openai

from prompts.errors import (
    InvalidImage,
    InvalidPrompt,
    NotFound,
    PromptTooLong,
    RateLimited,
    ServiceError,
    UpstreamError,
    UpstreamTimeout,
)

# A longer wait is the client's to decide about.
MAX_RETRY_AFTER_S = 2.0
# No server means more than a day; a header that says so must not become a client's.
MAX_PAUSE_S = 86_400.0
FIRST_SERVER_ERROR = 500

# OpenAI, and TensorRT-LLM and others after it; llama.cpp says it as the error's type (ggml-org/llama.cpp#15780).
_TOO_LONG_CODES = {"context_length_exceeded", "exceed_context_size_error"}
# What the rest say, in words: vLLM (harbor-framework/harbor#996 has both its ways), SGLang, Mistral; Anthropic; TGI.
_TOO_LONG_WORDS = re.compile(
    r"context (?:length|size|window)|maximum model length|prompt is too long|max_new_tokens` must"
)
# Chat Completions says `invalid_base64`, Responses the others (its `ResponseErrorCode`).
_UNREADABLE_IMAGE_CODES = {
    "invalid_base64",
    "invalid_base64_image",
    "invalid_image",
    "invalid_image_format",
    "image_parse_error",
    "empty_image_file",
}
# What else the input is to blame for; the latter are codes of a failed response (openai.types.responses.ResponseError).
_REFUSED_CODES = {
    "invalid_request_error",
    "invalid_prompt",
    "bio_policy",
    "misalignment_policy_violation",
    "invalid_image_mode",
    "invalid_image_url",
    "image_content_policy_violation",
    "image_file_not_found",
    "image_file_too_large",
    "image_too_large",
    "image_too_small",
    "unsupported_image_media_type",
    "failed_to_download_image",
}
_OVER_LIMIT_CODES = {"429", "rate_limit_exceeded", "rate_limit_error", "insufficient_quota"}


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


def has_no_answer(error: ServiceError) -> bool:
    """Whether the connection failed, and the server may never have seen the request."""
    return isinstance(error, UpstreamError) and not isinstance(error.__cause__, openai.APIStatusError)


def stream_error(error: object) -> ServiceError:
    """Ours for the `error` that a stream holds in place of an answer."""
    told = error if isinstance(error, dict) else {}
    codes = {str(told.get("code")), str(told.get("type"))}
    if codes & _OVER_LIMIT_CODES:
        return RateLimited("The model's server is over its rate limit. Send the input again later.")
    if refusal := _find_refusal(codes, str(told.get("message"))):
        return refusal
    if codes & _REFUSED_CODES:
        return _refuse()
    return UpstreamError("The model's server reported an error in the middle of the answer. Send the input again.")


def _refuse() -> InvalidPrompt:
    return InvalidPrompt("The model's server refused the input as invalid. Change the input or its parameters.")


def _find_refusal(codes: Collection[str], words: str) -> InvalidPrompt | None:
    """What exactly was refused of the input, where the server says so."""
    if _TOO_LONG_CODES.intersection(codes) or _TOO_LONG_WORDS.search(words):
        return PromptTooLong("The input is longer than the model can take. Shorten it.", param="input")
    if _UNREADABLE_IMAGE_CODES.intersection(codes):
        return InvalidImage(
            "The model's server cannot read an image of the input. Send it again, whole.", param="input"
        )
    return None


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
        case 400 | 413 | 422:
            return _find_refusal((str(exc.code), str(exc.type)), exc.message) or _refuse()
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
