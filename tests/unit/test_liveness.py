"""`GET /healthz` is answered before Django, as Django would answer it."""

from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.typing import ASGI3Application
from prometheus_client import CollectorRegistry

from config.asgi import application, lean_handler
from config.metrics import HttpMetrics
from prompts.adapters.metrics.tally import Tally

Header = tuple[bytes, bytes]


async def ask(asked: ASGI3Application, state: dict[str, Any], *headers: Header, method: str = "GET") -> Any:
    """Status, headers and body."""
    scope: Any = {
        "type": "http",
        "method": method,
        "path": "/healthz",
        "query_string": b"",
        "headers": list(headers),
        "state": state,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: Any) -> None:
        sent.append(event)

    await asked(scope, receive, send)
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"], len(start["headers"])


def open_state(*, is_draining: bool = False) -> dict[str, Any]:
    """What the process opened, as far as it concerns the question."""
    noted: list[int] = []
    return {
        "readiness": SimpleNamespace(is_draining=is_draining),
        "wear": SimpleNamespace(is_recycling=False, note_request=lambda: noted.append(1)),
        "http_metrics": HttpMetrics(CollectorRegistry(), Tally()),
        "noted": noted,
    }


@pytest.mark.parametrize("is_draining", [False, True])
@pytest.mark.parametrize("request_id", [b"mine-1", b"not sane!", None])
async def test_it_is_answered_as_by_django(request_id: bytes | None, *, is_draining: bool) -> None:
    headers = [(b"x-request-id", request_id)] if request_id else []
    quick_state, state = open_state(is_draining=is_draining), open_state(is_draining=is_draining)
    quick = await ask(application, quick_state, (b"host", b"x"), *headers)
    usual = await ask(lean_handler, state, (b"host", b"x"), *headers)
    if request_id != b"mine-1":
        ids = [answer[1].pop(b"x-request-id") for answer in (quick, usual)]
        assert [len(each) for each in ids] == [36, 36]
    assert quick == usual
    assert (b"connection" in quick[1]) is is_draining
    assert quick_state["noted"] == state["noted"] == [1]
    assert read_counts(quick_state) == read_counts(state) == {("/healthz", "GET", "200"): 1}


def read_counts(state: dict[str, Any]) -> dict[tuple[str, ...], float]:
    """The requests that were counted, by route, method and status."""
    [counted] = state["http_metrics"]._requests.collect()
    return {
        tuple(sample.labels[name] for name in ("route", "method", "status")): sample.value
        for sample in counted.samples
        if sample.name.endswith("_total")
    }


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "OPTIONS"])
async def test_other_methods_are_djangos(method: str) -> None:
    quick = await ask(application, open_state(), method=method)
    assert quick[0] == (200 if method == "HEAD" else 405)
