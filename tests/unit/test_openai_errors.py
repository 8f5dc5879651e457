"""The official client's errors as ours: no foreign text leaks, and each says whether a retry helps."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from math import ceil

import aiohttp
import httpx2
import openai
import pytest

from prompts.adapters.openai.errors import has_no_answer, is_worth_a_retry, stream_error, translated_errors
from prompts.adapters.openai.server_words import mask_keys
from prompts.errors import PAUSE_S, InvalidImage, InvalidPrompt, PromptTooLong, RateLimited, ServiceError, UpstreamError

SECRET = "secret detail at 10.1.2.3"
REQUEST = httpx2.Request("POST", "http://10.1.2.3/v1/chat/completions")


def refused(
    status: int, *, code: str | None = None, kind: str | None = None, words: str = "", **headers: str
) -> openai.APIStatusError:
    """The client's error for an answer of that status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx2.Response(status, headers=named, request=REQUEST)
    message = f"{SECRET} {words}"
    return openai.APIStatusError(message, response=response, body={"message": message, "code": code, "type": kind})


def translate(exc: BaseException) -> ServiceError:
    """Our error for the client's."""
    with pytest.raises(ServiceError) as raised, translated_errors():
        raise exc
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is exc
    return raised.value


@pytest.mark.parametrize(
    ("status", "code", "ours", "is_tried_again"),
    [
        (400, None, "invalid_prompt", False),
        (400, "context_length_exceeded", "context_length_exceeded", False),
        (401, None, "upstream_error", False),
        (403, None, "upstream_error", False),
        (404, None, "upstream_error", False),
        (404, "model_not_found", "model_not_found", False),
        (408, None, "upstream_timeout", False),
        (413, None, "invalid_prompt", False),
        (422, None, "invalid_prompt", False),
        (429, None, "rate_limit_exceeded", False),
        (429, "insufficient_quota", "insufficient_quota", False),
        (429, "exceeded_current_quota_error", "insufficient_quota", False),
        (402, None, "insufficient_quota", False),
        (418, None, "upstream_error", False),
        (500, None, "upstream_error", True),
        (502, None, "upstream_error", True),
        (503, None, "upstream_error", True),
        (504, None, "upstream_timeout", False),
    ],
)
def test_statuses(status: int, code: str | None, ours: str, is_tried_again: bool) -> None:
    error = translate(refused(status, code=code))
    assert (error.code, is_worth_a_retry(error)) == (ours, is_tried_again)


@pytest.mark.parametrize(
    "told",
    [
        {"code": "context_length_exceeded"},
        {"kind": "exceed_context_size_error"},
        {"words": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."},
        {"words": "You passed 1015 input tokens. However, the model's context length is only 1024 tokens."},
        {"words": "the request exceeds the available context size. try increasing the context size"},
        {"words": "The decoder prompt (length 5000) is longer than the maximum model length of 4096."},
        {"words": "prompt is too long: 209000 tokens > 200000 maximum"},
    ],
)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_input_that_is_too_long_in_every_servers_words(status: int, told: dict[str, str]) -> None:
    error = translate(refused(status, **told))
    assert isinstance(error, PromptTooLong)
    assert error.code == error.response_code == "context_length_exceeded"
    assert error.param == "input"


@pytest.mark.parametrize("code", ["invalid_base64", "invalid_base64_image", "invalid_image", "image_parse_error"])
def test_an_image_that_cannot_be_read(code: str) -> None:
    error = translate(refused(400, code=code))
    assert isinstance(error, InvalidImage)
    assert (error.code, error.response_code) == ("invalid_base64_image", "invalid_base64_image")


def test_a_refusal_of_anything_else_is_neither() -> None:
    error = translate(refused(400, code="invalid_value", kind="invalid_request_error", words="Unknown field."))
    assert type(error) is InvalidPrompt


@pytest.mark.parametrize(
    ("exc", "is_lost"),
    [
        (aiohttp.ServerDisconnectedError(), True),
        (openai.APIConnectionError(request=REQUEST), True),
        (refused(503), False),
        (openai.APITimeoutError(REQUEST), False),
    ],
)
def test_a_connection_that_failed_is_told_from_a_server_that_did(exc: Exception, is_lost: bool) -> None:
    assert has_no_answer(translate(exc)) == is_lost


@pytest.mark.parametrize(
    ("exc", "ours"),
    [
        (openai.APITimeoutError(REQUEST), "upstream_timeout"),
        (openai.APIConnectionError(message=SECRET, request=REQUEST), "upstream_error"),
        (openai.OpenAIError(SECRET), "upstream_error"),
        (httpx2.ReadTimeout(SECRET), "upstream_timeout"),
        (httpx2.ReadError(SECRET), "upstream_error"),
        (httpx2.StreamClosed(), "upstream_error"),
        (aiohttp.ServerDisconnectedError(SECRET), "upstream_error"),
        (aiohttp.SocketTimeoutError(SECRET), "upstream_timeout"),
        (ConnectionResetError(SECRET), "upstream_error"),
    ],
)
def test_connections(exc: Exception, ours: str) -> None:
    assert translate(exc).code == ours


def test_a_cancellation_is_nobodys_error() -> None:
    with pytest.raises(asyncio.CancelledError), translated_errors():
        raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("header", "pause_s"),
    [
        *[("7", 7), ("0.5", 0.5), ("-3", 0), ("1e300", 86_400)],
        *[("", PAUSE_S), ("soon", PAUSE_S), ("inf", PAUSE_S), ("nan", PAUSE_S)],
    ],
)
def test_the_pause_a_server_asks_for(header: str, pause_s: float) -> None:
    error = translate(refused(429, retry_after=header))
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == pause_s
    assert read_pause_as_codex(error.message) == max(1, ceil(pause_s))


@pytest.mark.parametrize(
    ("words", "pause_s"),
    [
        ("Rate limit reached on tokens per min. Please try again in 11.054s. Visit", 11.054),
        ("Please try again in 250ms.", 0.25),
        ("Please try again in 20 seconds.", 20),
    ],
)
def test_the_pause_a_server_asks_for_in_words(words: str, pause_s: float) -> None:
    assert translate(refused(429, words=words)).retry_after_s == pytest.approx(pause_s)
    in_stream = stream_error({"message": words, "code": "rate_limit_exceeded"})
    assert isinstance(in_stream, RateLimited)
    assert read_pause_as_codex(in_stream.message) == ceil(pause_s)


def test_no_wait_helps_when_the_operators_quota_is_used_up() -> None:
    error = translate(refused(429, code="insufficient_quota", retry_after="7"))
    assert (error.code, error.type, error.response_code) == ("insufficient_quota",) * 3
    assert error.retry_after_s is None
    assert read_pause_as_codex(error.message) is None
    assert stream_error({"message": "Used up.", "type": "insufficient_quota"}).code == "insufficient_quota"


def read_pause_as_codex(message: str) -> float | None:
    """In seconds, as the Codex CLI reads it (codex-rs, sse/responses.rs)."""
    found = re.search(r"(?i)try again in\s*(\d+(?:\.\d+)?)\s*(s|ms|seconds?)", message)
    return float(found[1]) if found else None


def test_the_pause_until_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    pause_s = translate(refused(429, retry_after=date)).retry_after_s
    assert pause_s is not None
    assert 80 < pause_s <= 90


def test_a_long_pause_is_the_clients_to_decide_about() -> None:
    assert is_worth_a_retry(translate(refused(503, retry_after="1")))
    assert not is_worth_a_retry(translate(refused(503, retry_after="60")))
    assert not is_worth_a_retry(UpstreamError("No.", is_final=True))


def test_words_for_the_log_are_one_line_that_no_terminal_obeys() -> None:
    assert (
        mask_keys("no\x1b[2J\r\nlevel=error \x00\u202e key sk-123456") == "no\ufffd[2J level=error \ufffd\ufffd key ***"
    )
