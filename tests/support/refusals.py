"""Checks a refusal of the API."""

from typing import Any

import httpx

INVALID = "invalid_request_error"
UNKNOWN_CONVERSATION = "conv_" + "0" * 32
UNKNOWN_RESPONSE = "resp_" + "0" * 32
UNKNOWN_ITEM = "msg_" + "0" * 32
UNKNOWN_PROMPT = "pmpt_" + "0" * 32
UNKNOWN_FILE = "file-" + "0" * 32


def check_refusal(
    answer: httpx.Response, *, status: int = 400, code: str | None = INVALID, param: str | None = None
) -> dict[str, Any]:
    """Check the envelope, and that it names `param`. Returns the error. `code=None` accepts any code."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:500]}"
    error: dict[str, Any] = answer.json()["error"]
    assert code is None or error["code"] == code, error
    assert param is None or error["param"] == param, error
    return error
