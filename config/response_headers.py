"""What every answer tells browsers: of the API, the probes, the pages and the metrics, errors included.

Constant headers, added where an answer leaves us, so that no view, middleware or refusal can miss them. A library for
the policy (django-csp) would reach only what passes Django's middleware; our pages have no inline code, so that the
policy needs no nonce.
"""

from collections.abc import Iterable

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

from prompts.api import sse

Header = tuple[bytes, bytes]

COMMON: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"permissions-policy", b"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
# An answer of the API is data. A browser that is led to show it as a page loads and runs nothing.
API_HEADERS: tuple[Header, ...] = (
    *COMMON,
    (b"referrer-policy", b"no-referrer"),
    (b"vary", b"origin"),  # see prompts/api/cors.py
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
# Swagger UI has pictures in its styles (data:). Forms of the admin need a Referer: Django checks it against forgery.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'{inline}; style-src 'self'{inline}; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

# Of a stream of events. Given to Django's response, each costs it as much as all the rest of the head.
STREAM_HEADERS: tuple[Header, ...] = tuple(
    (name.lower().encode(), value.encode()) for name, value in sse.HEADERS.items()
)
STREAM_TYPE: Header = (b"content-type", sse.CONTENT_TYPE.encode())

# The same as lines of an answer's head: they are in every answer, or every stream, and need no second look.
ALWAYS: dict[Header, bytes] = {
    (name, value): b"%b: %b\r\n" % (name, value) for name, value in (*API_HEADERS, *STREAM_HEADERS, STREAM_TYPE)
}


def page_headers(*, has_inline: bool) -> tuple[Header, ...]:
    """The headers of pages. `has_inline` allows inline code and styles, as Django's debug pages have them."""
    policy = PAGE_POLICY.format(inline=" 'unsafe-inline'" if has_inline else "")
    return (*COMMON, (b"referrer-policy", b"same-origin"), (b"content-security-policy", policy.encode()))


def with_headers(app: ASGI3Application, headers: Iterable[Header]) -> ASGI3Application:
    """The application; its answers have these headers, where they have none of the same name."""
    wanted = dict(headers)

    async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        async def send_with(event: ASGISendEvent) -> None:
            if event["type"] in ("http.response.start", "websocket.http.response.start"):
                has = {name.lower() for name, _ in event["headers"]}
                missing = [(name, value) for name, value in wanted.items() if name not in has]
                event["headers"] = [*event["headers"], *missing]
            await send(event)

        await app(scope, receive, send_with)

    return answer
