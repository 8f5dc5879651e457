"""`GET /healthz`, answered before Django: whoever looks after a process asks every few seconds.

The same answer as `health.views.healthz` behind the lean handler's middleware gives, of which a test is sure.
"""

import time

from asgiref.typing import ASGISendCallable, HTTPScope

from config.recycling import note_request
from config.response_headers import API_HEADERS
from prompts.api.request_ids import choose_request_id

PATH = "/healthz"
BODY = b'{"status": "ok"}'
HEADERS = (
    (b"content-type", b"application/json"),
    (b"content-length", b"%d" % len(BODY)),
    (b"cache-control", b"no-store"),
    *API_HEADERS,
)
# Whatever is said with one of these is more than the question.
OTHERWISE = frozenset({b"upgrade", b"content-length", b"transfer-encoding"})


def is_plain_question(scope: HTTPScope) -> bool:
    """Whether somebody asks whether the process lives, and nothing else."""
    return scope["path"] == PATH and scope["method"] == "GET" and OTHERWISE.isdisjoint(dict(scope["headers"]))


async def answer_alive(scope: HTTPScope, send: ASGISendCallable) -> None:
    """200, as long as the event loop answers."""
    began = time.perf_counter()
    state = scope["state"]
    given = [value for name, value in scope["headers"] if name == b"x-request-id"]
    request_id = choose_request_id(given[0].decode("latin-1") if len(given) == 1 else None)
    headers = [*HEADERS, (b"x-request-id", request_id.encode("latin-1"))]
    if note_request(state):
        headers.append((b"connection", b"close"))
    if (metrics := state.get("http_metrics")) is not None:
        metrics.record(route="healthz", method="GET", status=200, took_s=time.perf_counter() - began)
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": BODY, "more_body": False})
