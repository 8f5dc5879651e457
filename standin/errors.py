"""The three ways a request ends early, and OpenAI's error envelope.

StandInError      the answer is an error: status, envelope and headers
AbortConnection   the connection is aborted, as a tester asked
ClientGone        the client disconnected: there is nobody to answer
"""

from typing import Any

import orjson

_KINDS: dict[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("permission_error", "forbidden"),
    404: ("invalid_request_error", "not_found"),
    405: ("invalid_request_error", "method_not_allowed"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
}


class StandInError(Exception):
    """An error as the answer, in OpenAI's envelope. Type and code follow from the status unless given."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None, retry_after_s: float = 0
    ) -> None:
        super().__init__(message)
        kind, usual_code = _KINDS.get(status, ("server_error", "server_error"))
        self.status = status
        self.error: dict[str, Any] = {"message": message, "type": kind, "param": param, "code": code or usual_code}
        self.headers = [(b"retry-after", f"{retry_after_s:g}".encode())] if retry_after_s else []

    @property
    def body(self) -> bytes:
        """The envelope as JSON."""
        return orjson.dumps({"error": self.error})


class AbortConnection(Exception):
    """Abort the connection now. Raised, so that the call is logged before a client can notice the abort."""


class ClientGone(Exception):
    """The client closed its connection; the work for it can stop."""
