"""One line a turn in the log: the run's own, `run_ended`, says whose request began it.

The run has what the request has bound, and it ends whatever becomes of the request: in the background, without its
client, at another replica. A request that was refused, or that began no run here, has its own line.
"""

import structlog
from django.http import HttpRequest

from prompts.api.state import get_unknown


def bind_request(request: HttpRequest) -> None:
    """Let all lines from here on tell method, path and what is left out, those of a run that begins here as well."""
    told: dict[str, object] = {"method": request.method, "path": request.path}
    if ignored := get_unknown(request).list_names():
        told["ignored"] = ignored
    structlog.contextvars.bind_contextvars(**told)


def leave_to_run(request: HttpRequest) -> None:
    """A run has begun for this request: its line tells of both."""
    request.is_told_by_run = True  # type: ignore[attr-defined]  # read by `is_told_by_run`


def is_told_by_run(request: HttpRequest) -> bool:
    """Whether the line of a run tells of this request."""
    return getattr(request, "is_told_by_run", False)
