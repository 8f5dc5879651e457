"""The lean handler's request is Django's, built with fewer steps."""

from io import BytesIO
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from hypothesis import given
from hypothesis import strategies as st

from config.lean_handler import MAX_KNOWN_BYTES, LeanRequest
from config.request_body import BodyRoom, RequestBody

NAMES = st.sampled_from(
    [b"host", b"content-type", b"content-length", b"x-a", b"x_a", b"cookie", b"\xe9-b", b"n" * (MAX_KNOWN_BYTES + 1)]
)
VALUES = st.sampled_from([b"", b"12", b"text/plain; charset=latin-1", b"a, b", b"\xe9"])


@given(st.lists(st.tuples(NAMES, VALUES), max_size=12))
def test_headers_are_spelled_as_django_spells_them(headers: list[tuple[bytes, bytes]]) -> None:
    scope: Any = {
        "type": "http",
        "method": "POST",
        "path": "/v1/responses",
        "query_string": b"a=1",
        "headers": headers,
        "client": ("192.0.2.1", 5),
        "server": ("example.com", 443),
    }
    body = RequestBody(scope, receive=nothing, max_bytes=1, room=BodyRoom(1))
    ours, djangos = LeanRequest(scope, body), ASGIRequest(scope, BytesIO())

    assert ours.META == djangos.META
    assert (ours.content_type, ours.content_params, ours.encoding) == (
        djangos.content_type,
        djangos.content_params,
        djangos.encoding,
    )
    assert ours.scope is scope


async def nothing() -> Any:
    """No part of a body comes."""
