"""The official client's errors, its HTTP library's, and those that a stream holds, as ours: the one place for them.

Foreign texts do not go on: they name addresses, organisations and keys. They stay in the logs, and as the cause of what
is raised (`find_server_words`).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite

import aiohttp
import httpx2
import openai

from prompts.adapters.openai.server_words import ForeignError, ServerWords, read_server_words
from prompts.errors import (
    InsufficientQuota,
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
NOT_FOUND = 404
PAYMENT_REQUIRED = 402
TOO_MANY_REQUESTS = 429

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
    "BadRequestError",
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
_OVER_LIMIT_CODES = {"rate_limit_exceeded", "rate_limit_error"}
# OpenAI; Moonshot. DeepSeek and OpenRouter say it with the status.
_QUOTA_CODES = {"insufficient_quota", "billing_hard_limit_reached", "exceeded_current_quota_error"}
# OpenAI says in words how long to wait, also where there is no header: in a stream.
_PAUSE_WORDS = re.compile(r"try again in (\d+(?:\.\d+)?)\s*(ms|s)", re.I)
_UNKNOWN_MODEL_CODES = {"model_not_found", "invalid_model"}
# Ollama; vLLM before it named the parameter; OpenRouter.
_UNKNOWN_MODEL_WORDS = re.compile(
    r"^\W*(?:the )?model\b.{0,200}?(?:does not exist|not found)|is not a valid model", re.I | re.S
)
_OPERATORS_CODES = {"invalid_api_key", "authentication_error", "permission_error", "permission_denied"}
_TIMEOUT_CODES = {"timeout", "timeout_error"}


# What they raise: the official client, its HTTP library, and the one below that opens its connections.
FOREIGN_ERRORS = (
    openai.OpenAIError,
    httpx2.HTTPError,
    httpx2.StreamError,
    aiohttp.ClientError,
    OSError,
)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise ours for theirs, on a request and while its stream is read."""
    try:
        yield
    except FOREIGN_ERRORS as exc:
        raise translate(exc) from exc


def translate(exc: Exception) -> ServiceError:
    """Ours for one of theirs, which becomes its cause; most specific first."""
    if isinstance(exc, openai.APIStatusError):
        return _translate(_read_status_error(exc))
    if _is_timeout(exc):
        return UpstreamTimeout("The model's server took too long to answer. Try again in a moment.")
    return UpstreamError("The model's server cannot be reached, or broke off. Try again in a moment.")


def is_worth_a_retry(error: ServiceError) -> bool:
    """Whether asking again can help, and soon. A rate limit is told at once: the client decides about the wait."""
    return isinstance(error, UpstreamError) and (error.retry_after_s or 0) <= MAX_RETRY_AFTER_S and not error.is_final


def has_no_answer(error: ServiceError) -> bool:
    """Whether the connection failed, and the server may never have seen the request."""
    return isinstance(error, UpstreamError) and isinstance(
        error.__cause__, openai.APIConnectionError | httpx2.TransportError | aiohttp.ClientError | OSError
    )


def stream_error(error: object) -> ServiceError:
    """Ours for the error that came in place of an answer, or in the middle of one; it keeps its code."""
    told = read_server_words(error)
    ours = _translate(told)
    ours.__cause__ = ForeignError(told)
    return ours


def find_server_words(error: ServiceError) -> ServerWords | None:
    """What the model's server said, when it said anything."""
    match error.__cause__:
        case ForeignError(told=told):
            return told
        case openai.APIStatusError() as exc:
            return _read_status_error(exc)
    return None


def _translate(told: ServerWords) -> ServiceError:
    status, codes = told.status, told.codes
    if status == PAYMENT_REQUIRED or codes & _QUOTA_CODES:
        return InsufficientQuota("This server's quota at the model's server is used up. Tell its operator.")
    if status == TOO_MANY_REQUESTS or codes & _OVER_LIMIT_CODES:
        return RateLimited("The model's server is over its rate limit.", retry_after_s=_find_pause(told))
    if status in {401, 403} or codes & _OPERATORS_CODES:
        return UpstreamError("The model's server refuses this server's key. Tell its operator.", is_final=True)
    if _is_unknown_model(told):
        message = "The model does not exist. GET /v1/models lists those that do."
        return NotFound(message, code="model_not_found", param="model")
    if status in {None, 400, 413, 422} and (refusal := _find_refusal(told)):
        return refusal
    if status in {408, 504} or codes & _TIMEOUT_CODES:
        return UpstreamTimeout("The model's server took too long to answer. Try again in a moment.")
    if status is None:
        return UpstreamError("The model's server reported an error in place of an answer. Send the input again.")
    message = f"The model's server failed with HTTP {status}. Try again in a moment."
    return UpstreamError(message, retry_after_s=told.retry_after_s, is_final=status < FIRST_SERVER_ERROR)


def _is_unknown_model(told: ServerWords) -> bool:
    if told.status not in {None, 400, NOT_FOUND}:
        return False
    is_named = bool(told.codes & _UNKNOWN_MODEL_CODES) or (told.status == NOT_FOUND and told.param == "model")
    return is_named or (told.status is not None and bool(_UNKNOWN_MODEL_WORDS.search(told.words)))


def _find_refusal(told: ServerWords) -> InvalidPrompt | None:
    """What was refused of the input, as exactly as the server says it."""
    if told.codes & _TOO_LONG_CODES or _TOO_LONG_WORDS.search(told.words):
        return PromptTooLong("The input is longer than the model can take. Shorten it.", param="input")
    if told.codes & _UNREADABLE_IMAGE_CODES:
        return InvalidImage(
            "The model's server cannot read an image of the input. Send it again, whole.", param="input"
        )
    if told.status is not None or told.codes & _REFUSED_CODES:
        return InvalidPrompt("The model's server refused the input as invalid. Change the input or its parameters.")
    return None


def _is_timeout(exc: BaseException) -> bool:
    """The transport calls a broken connection a connect timeout too; what it was made from tells the two apart."""
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, (aiohttp.ClientError, OSError)):
            return isinstance(cause, TimeoutError)
        cause = cause.__cause__
    return isinstance(exc, (openai.APITimeoutError, httpx2.TimeoutException))


def _read_status_error(exc: openai.APIStatusError) -> ServerWords:
    headers = exc.response.headers
    retry_after_s = _read_seconds(headers.get("retry-after-ms"), 0.001) or _read_pause(headers.get("retry-after"))
    body = exc.body if exc.body is not None else exc.message
    told = read_server_words(body, status=exc.status_code, retry_after_s=retry_after_s)
    return told if told.words else replace(told, words=exc.message)


def _find_pause(told: ServerWords) -> float | None:
    """In seconds, from the header or the words."""
    if told.retry_after_s is not None:
        return told.retry_after_s
    found = _PAUSE_WORDS.search(told.words)
    return _read_seconds(found[1], 0.001 if found[2].lower() == "ms" else 1.0) if found else None


def _read_pause(value: str | None) -> float | None:
    """The header's seconds, or those until its date (RFC 9110, 10.2.3); None when it says nothing sensible."""
    seconds = _read_seconds(value, 1.0)
    return _bound(_seconds_until(value or "")) if seconds is None else seconds


def _read_seconds(value: str | None, unit_s: float) -> float | None:
    try:
        return _bound(float(value or "") * unit_s)
    except ValueError:
        return None


def _bound(seconds: float) -> float | None:
    return min(max(seconds, 0.0), MAX_PAUSE_S) if isfinite(seconds) else None


def _seconds_until(date: str) -> float:
    try:
        return (parsedate_to_datetime(date).astimezone(UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError):
        return float("nan")
