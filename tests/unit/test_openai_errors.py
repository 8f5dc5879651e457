"""The official client's errors as ours: nothing of theirs is told, and each says what helps."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import httpx2
import openai
import pytest

from prompts.adapters.openai_errors import is_worth_a_retry, translated_errors
from prompts.errors import RateLimited, ServiceError, UpstreamError

SECRET = "secret detail at 10.1.2.3"
REQUEST = httpx2.Request("POST", "http://10.1.2.3/v1/chat/completions")


def refused(status: int, *, code: str | None = None, **headers: str) -> openai.APIStatusError:
    """What the client raises for an answer of that status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx2.Response(status, headers=named, request=REQUEST)
    return openai.APIStatusError(SECRET, response=response, body={"message": SECRET, "code": code})


def translate(exc: BaseException) -> ServiceError:
    """Ours for theirs."""
    with pytest.raises(ServiceError) as raised, translated_errors():
        raise exc
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is exc
    return raised.value


@pytest.mark.parametrize(
    ("status", "code", "ours", "is_tried_again"),
    [
        (400, None, "invalid_prompt", False),
        (400, "context_length_exceeded", "invalid_prompt", False),
        (401, None, "upstream_error", False),
        (403, None, "upstream_error", False),
        (404, None, "upstream_error", False),
        (404, "model_not_found", "model_not_found", False),
        (408, None, "upstream_timeout", False),
        (413, None, "invalid_prompt", False),
        (422, None, "invalid_prompt", False),
        (429, None, "rate_limit_exceeded", False),
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
    [("7", 7), ("0.5", 0.5), ("-3", 0), ("", None), ("soon", None), ("inf", None), ("nan", None), ("1e300", 86_400)],
)
def test_the_pause_a_server_asks_for(header: str, pause_s: float | None) -> None:
    error = translate(refused(429, retry_after=header))
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == pause_s


def test_the_pause_until_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    pause_s = translate(refused(429, retry_after=date)).retry_after_s
    assert pause_s is not None
    assert 80 < pause_s <= 90


def test_a_long_pause_is_the_clients_to_decide_about() -> None:
    assert is_worth_a_retry(translate(refused(503, retry_after="1")))
    assert not is_worth_a_retry(translate(refused(503, retry_after="60")))
    assert not is_worth_a_retry(UpstreamError("No.", is_final=True))
