"""Upgrades that come as plain requests: a proxy, or the server below, does not pass them on as WebSockets.

Clients that may use one are told to go on over HTTP. WebSockets themselves go to `prompts/consumers/`.
"""

from collections.abc import Awaitable, Callable
from typing import cast

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponseBase

from prompts.api.state import get_state
from prompts.errors import WebSocketsOff
from prompts.usecases.callers import authenticate

View = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


def refuse_upgrades(view: View) -> View:
    """Lean-road middleware: an upgrade is answered 401 to a wrong key and 426 to a good one.

    Codex goes on over HTTP after a 426 only: https://github.com/openai/codex/issues/43353.
    """

    def answer(request: HttpRequest) -> Awaitable[HttpResponseBase]:
        if request.META.get("HTTP_UPGRADE", "").lower() != "websocket":
            return view(request)  # no coroutine around it, since each request comes by here
        return _refuse(request)

    return answer


async def _refuse(request: HttpRequest) -> HttpResponseBase:
    api_keys = get_state(cast(ASGIRequest, request).scope).api_keys
    await authenticate(request.META.get("HTTP_AUTHORIZATION"), api_keys=api_keys)
    raise WebSocketsOff("No WebSocket can be opened here. Send the request over HTTP, with 'stream': true.")
