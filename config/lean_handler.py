"""The lean handler: Django's request, URLconf, async views and async middleware on the event loop.

It leaves out the rest of Django's own ASGI handler on purpose: request signals, database bookkeeping (what asks SQL
does so in threads of its own, and closes its connections), sync middleware, and the thread of a request. A view that
needs one of these belongs on the full stack.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import cache, lru_cache, reduce
from io import BytesIO
from typing import cast

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import get_resolver
from django.utils.module_loading import import_string

from config.http_exchange import HttpExchange
from config.path_table import PathTable
from config.request_body import BodyRoom, ClientLeft, RequestBody, find_exchange
from config.response_headers import API_HEADERS, STREAM_HEADERS
from prompts.api.sse import EventStream, LastPart

# Clients send a few dozen names of headers, again and again; a hostile one may send others.
MAX_KNOWN_NAMES = 512
MAX_KNOWN_BYTES = 64

Response = HttpResponse | StreamingHttpResponse
View = Callable[[HttpRequest], Awaitable[Response]]


class LeanRequest(ASGIRequest):
    """A request whose body is still to come: the view asks for it, when it knows who sends it."""

    def __init__(self, scope: HTTPScope, body: RequestBody) -> None:
        left, named = [], dict[str, str]()
        for name, value in scope["headers"]:
            if name == b"content-type" or len(name) > MAX_KNOWN_BYTES:
                left.append((name, value))
            elif (spelled := _spell(name)) is not None:
                text = value.decode("latin1")
                named[spelled] = f"{named[spelled]},{text}" if spelled in named else text
        super().__init__({**scope, "headers": left}, BytesIO())  # Django would spell each name anew
        self.scope = scope
        self.META |= named
        self._coming = body
        self.answer_headers: list[tuple[bytes, bytes]] = []
        """Headers of its answer, whatever that is. Django's own cost ten times as much each."""

    async def read_body(self) -> None:
        """Make `body` what was sent. Raises BodyTooLarge, BodyTooSlow, Overloaded."""
        try:
            self._body = await self._coming.read()
        except ClientLeft:
            await asyncio.Event().wait()  # `LeanHandler` has noticed as well, and cancels this

    async def stream_body(self, *, max_bytes: int) -> AsyncIterator[bytes]:
        """What was sent, as it comes; `body` stays empty. Raises BodyTooLarge, BodyTooSlow."""
        try:
            async for part in self._coming.stream(max_bytes=max_bytes):
                yield part
        except ClientLeft:
            await asyncio.Event().wait()  # likewise


class LeanHandler:
    """An ASGI application over a URLconf whose views are all async. `middleware` lists the outermost first."""

    def __init__(self, urlconf: str, middleware: list[str], *, max_body_bytes: int, room: BodyRoom) -> None:
        self._paths = PathTable(get_resolver(urlconf))
        self._max_body_bytes = max_body_bytes
        self._room = room
        self._view: View = reduce(lambda view, path: import_string(path)(view), reversed(middleware), self._respond)

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert scope["type"] == "http"
        body = RequestBody(scope, receive, max_bytes=self._max_body_bytes, room=self._room)
        # After an abort, as after a client that left, the answer is unfinished: the server closes the connection, and
        # a client cannot take this for the end of the answer.
        try:
            exchange = find_exchange(receive)
            answer = self._answer(LeanRequest(scope, body), send, exchange)
            await (_watch_client(answer, body) if exchange is None else _unless_client_leaves(answer, exchange))
        except ConnectionAbortedError:
            pass
        finally:
            body.close()

    async def _answer(self, request: LeanRequest, send: ASGISendCallable, exchange: HttpExchange | None) -> None:
        # No `response.close()`: it fires request_finished, which handles databases and caches that are not used here.
        await _send(await self._view(request), send, request.answer_headers, exchange)

    async def _respond(self, request: HttpRequest) -> Response:
        match = self._paths.resolve(request.path_info)
        request.resolver_match = match
        response: Response = await match.func(request, *match.args, **match.kwargs)
        return response


async def _unless_client_leaves(answer: Awaitable[None], exchange: HttpExchange) -> None:
    """Answer until the client leaves, in the task of the request. Work that a view started in other tasks goes on."""
    task = cast("asyncio.Task[None]", asyncio.current_task())
    exchange.on_left = task.cancel
    if exchange.disconnected:
        task.cancel()
    try:
        await answer
    except asyncio.CancelledError:
        if exchange.disconnected and task.uncancel() == 0:
            return
        if task.cancelling():
            raise
        raise ConnectionAbortedError from None  # it had its time
    finally:
        exchange.on_left = None


async def _watch_client(answer: Awaitable[None], body: RequestBody) -> None:
    """The same under a server that tells only those who ask it all the time."""
    answering = asyncio.ensure_future(answer)
    watching = asyncio.ensure_future(body.wait_until_left())
    try:
        await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
        if answering.cancelled():
            raise ConnectionAbortedError  # likewise
        if answering.done():
            answering.result()
    finally:
        for task in (answering, watching):
            task.cancel()
        await asyncio.gather(answering, watching, return_exceptions=True)


async def _send(
    response: Response, send: ASGISendCallable, added: Iterable[tuple[bytes, bytes]], exchange: HttpExchange | None
) -> None:
    if not isinstance(response, StreamingHttpResponse):
        response["Content-Length"] = str(len(response.content))  # an HTTP/1.0 client cannot read chunks
    headers = [(_encode_name(name), value.encode("latin-1")) for name, value in response.items()]
    headers += [*added, *API_HEADERS]
    if isinstance(response, EventStream):
        headers += STREAM_HEADERS
        if exchange is not None:
            exchange.is_first_part_here = response.is_first_part_here
    start = {"type": "http.response.start", "status": response.status_code, "headers": headers, "trailers": False}
    await send(start)  # type: ignore[arg-type]  # a literal dict, not the TypedDict
    if not isinstance(response, StreamingHttpResponse):
        await send({"type": "http.response.body", "body": response.content, "more_body": False})
        return
    if isinstance(response, EventStream) and exchange is not None:
        response.open_outlet(exchange.push)
    # Django's own iterator would pass each part through two generators more.
    is_over = False
    async for part in response.parts if isinstance(response, EventStream) else response:
        is_over = isinstance(part, LastPart)
        await send({"type": "http.response.body", "body": part, "more_body": not is_over})
    if not is_over:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@lru_cache(maxsize=MAX_KNOWN_NAMES)
def _spell(name: bytes) -> str | None:
    """The name of a header as Django spells it in `META`; None for one that it leaves out: `_` could be `-`."""
    if b"_" in name:
        return None
    return "CONTENT_LENGTH" if name == b"content-length" else f"HTTP_{name.decode('latin1').upper().replace('-', '_')}"


@cache
def _encode_name(name: str) -> bytes:
    return name.encode("ascii").lower()  # our code has a few names
