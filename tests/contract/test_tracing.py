"""`Tracing`: it takes every run and every end, and raises nothing of its own."""

import asyncio

import pytest
from msgspec.structs import replace
from opentelemetry.sdk.trace import TracerProvider

from prompts.adapters.opentelemetry.tracing import OpenTelemetryTracing
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import IncompleteDetails, Response
from prompts.domain.usage import Usage
from prompts.ports.tracing import Tracing, Untraced

RESPONSE = Response(id="resp_1", created_at=1, status="in_progress", model="m")
REQUEST = ModelRequest(model="m")
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ENDED = [
    None,
    replace(RESPONSE, status="completed", usage=Usage(1, 2, 3)),
    replace(RESPONSE, status="incomplete", incomplete_details=IncompleteDetails("max_output_tokens")),
    replace(RESPONSE, status="failed"),
]


@pytest.fixture(params=["OpenTelemetryTracing", "Untraced"])
def tracing(request: pytest.FixtureRequest) -> Tracing:
    if request.param == "Untraced":
        return Untraced()
    return OpenTelemetryTracing(TracerProvider(shutdown_on_exit=False).get_tracer("tests"))


@pytest.mark.parametrize("response", ENDED)
@pytest.mark.parametrize("code", [None, "upstream_error"])
def test_it_takes_every_end(tracing: Tracing, response: Response | None, code: str | None) -> None:
    with tracing.trace_run(RESPONSE, REQUEST, is_takeover=False) as run:
        run.end("handed_over" if response is None else response.status, response=response, code=code)


@pytest.mark.parametrize("traceparent", [None, TRACEPARENT, "", "nonsense"])
def test_it_takes_every_takeover(tracing: Tracing, traceparent: str | None) -> None:
    request = REQUEST if traceparent is None else replace(REQUEST, traceparent=traceparent)
    with tracing.trace_run(RESPONSE, request, is_takeover=True) as run:
        run.end("completed", response=None, code=None)


def test_a_cancelled_run_stays_cancelled(tracing: Tracing) -> None:
    with pytest.raises(asyncio.CancelledError), tracing.trace_run(RESPONSE, REQUEST, is_takeover=False):
        raise asyncio.CancelledError


def test_there_is_no_traceparent_before_and_after_a_run(tracing: Tracing) -> None:
    assert tracing.find_traceparent() is None
    with tracing.trace_run(RESPONSE, REQUEST, is_takeover=False):
        pass
    assert tracing.find_traceparent() is None
