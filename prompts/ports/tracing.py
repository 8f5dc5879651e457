"""Traces of runs: which work belongs together, over processes and servers."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import Response


class RunTrace(Protocol):
    """The trace of one run."""

    def end(self, ending: str, *, response: Response | None, code: str | None) -> None:
        """The run is over: how, the response as this run ended it, if it did, and the code of the error, if any."""


class Tracing(Protocol):
    """Follows work through this process and beyond."""

    def find_traceparent(self) -> str | None:
        """The work that is being traced now, in the form of the header of that name; None when none is.

        https://www.w3.org/TR/trace-context/#traceparent-header
        """

    def trace_run(
        self, response: Response, request: ModelRequest, *, is_takeover: bool
    ) -> AbstractContextManager[RunTrace]:
        """Trace a run for as long as the context lasts. What it asks of other servers belongs to it.

        A run belongs to the request that it answers. A takeover is a trace of its own with a link to that one, which
        `request.traceparent` names: it begins when the other may long be over.
        """


class Untraced:
    """`Tracing` and `RunTrace` that nobody looks at."""

    def find_traceparent(self) -> None:
        """See `Tracing.find_traceparent`."""

    def trace_run(
        self, response: Response, request: ModelRequest, *, is_takeover: bool
    ) -> AbstractContextManager[RunTrace]:
        """See `Tracing.trace_run`."""
        return nullcontext(self)

    def end(self, ending: str, *, response: Response | None, code: str | None) -> None:
        """See `RunTrace.end`."""


UNTRACED = Untraced()
