"""Channels' end of a WebSocket: it is accepted or refused, its messages go to its `Socket`, and it is closed."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, cast

import structlog
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from typing_extensions import override

from prompts.api.errors import our_mistake, render_error
from prompts.api.request_ids import choose_request_id
from prompts.api.state import get_state
from prompts.consumers.frames import PUSH, Push, name_lane
from prompts.consumers.socket import ClientGone, Opened, Socket, TurnTracing
from prompts.consumers.sockets import Sockets
from prompts.consumers.upgrade import Headers, always_streams, check_upgrade
from prompts.errors import ServiceError
from prompts.ports.observer import SocketEnd

log = structlog.get_logger(__name__)
access_log = structlog.get_logger("access")

SWITCHING_PROTOCOLS = 101
CRASHED = 1011
# Why the server below, or the client, has closed the connection, by the code.
REASONS: Mapping[int, SocketEnd] = {
    1000: "client",
    1001: "client",
    1002: "message",
    1003: "client",
    1007: "message",
    1008: "message",
    1009: "message",
    1011: "silent",
    1013: "message",
    4000: "stalled",
}


class HttpRecorder(Protocol):
    """Counts answered requests (config/metrics.py)."""

    def record(self, *, route: str | None, method: str | None, status: int, took_s: float) -> None:
        """A request was answered."""


class ResponsesConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """One connection. There is no channel layer: what is told goes from its run to its client."""

    def __init__(self) -> None:
        super().__init__()
        self._socket: Socket | None = None
        self._sending = asyncio.Lock()
        self._push: Push | None = None
        self._opened_at = time.perf_counter()

    @override
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._push = scope.get("extensions", {}).get(PUSH, {}).get("push")
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self._socket is not None:  # a crash, or a process that ends
                await self._leave("crash")

    @override
    async def dispatch(self, message: Mapping[str, Any]) -> None:
        """Channels' own closes connections to the database first, in a thread. Nothing here uses SQL."""
        match message["type"]:
            case "websocket.connect":
                await self.connect()
            case "websocket.receive":
                await self.receive(text_data=message.get("text"), bytes_data=message.get("bytes"))
            case "websocket.disconnect":
                await self.disconnect(message.get("code", 1005))
                raise StopConsumer

    # --- from the client ---

    @override
    async def connect(self) -> None:
        structlog.contextvars.clear_contextvars()
        headers = Headers(self.scope["headers"])
        request_id = choose_request_id(headers.find("x-request-id"))
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            self._socket = await self._open(headers, request_id)
        except ServiceError as error:
            await self._refuse(error, request_id)
        except Exception:
            log.exception("unexpected_error", path=self.scope["path"])
            await self._refuse(our_mistake(request_id), request_id)
        else:
            self._record(SWITCHING_PROTOCOLS)
            with suppress(OSError):  # the client has left: a message says so
                await self.accept(headers=[(b"x-request-id", request_id.encode())])

    async def _open(self, headers: Headers, request_id: str) -> Socket:
        """Raises as `check_upgrade` and `Sockets.join`."""
        state, sockets = get_state(self.scope), self._sockets
        caller = await check_upgrade(
            self.scope["path"],
            headers,
            is_on=sockets.limits.is_on,
            api_keys=state.api_keys,
            origins=state.origins,
        )
        structlog.contextvars.bind_contextvars(owner=caller.owner)
        opened = Opened(caller.owner, request_id, headers.as_dict(), always_streams(headers))
        tracing = cast(TurnTracing | None, self.scope["state"].get("http_tracing"))
        socket = Socket(opened, self, state=state, sockets=sockets, tracing=tracing)
        try:
            sockets.join(socket)
        except ServiceError:
            await socket.leave()
            raise
        return socket

    @property
    def _sockets(self) -> Sockets:
        return cast(Sockets, self.scope["state"]["sockets"])

    @override
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self._socket is not None:
            await self._socket.take(text_data)

    @override
    async def disconnect(self, code: int) -> None:
        if self._socket is not None:
            await self._leave(self._socket.end_reason or REASONS.get(code, "lost"), code)

    async def _leave(self, reason: SocketEnd, code: int | None = None) -> None:
        socket, self._socket = self._socket, None
        assert socket is not None
        self._sockets.leave(socket, reason)
        took_s = round(time.perf_counter() - self._opened_at, 3)
        log.info("websocket_closed", reason=reason, close_code=code, turns=socket.turns, took_s=took_s)
        await socket.leave()

    # --- to the client ---

    async def send_frame(self, data: bytes, stream_id: str | None) -> None:
        """See `Wire.send_frame`. Long ones go out in pieces: two must not mix, and one is copied at a time."""
        try:
            async with self._sending:
                await self.send(text_data=name_lane(data, stream_id).decode())
        except (OSError, RuntimeError) as error:  # closed: what a server raises then is not the same everywhere
            raise ClientGone from error

    def push_frames(self, frames: Sequence[bytes], stream_id: str | None) -> bool:
        """See `Wire.push_frames`. A long frame that goes out in pieces is not interrupted."""
        if self._push is None or self._sending.locked():
            return False
        return self._push([name_lane(data, stream_id) for data in frames])

    async def close_with(self, code: int) -> None:
        """See `Wire.close_with`."""
        try:
            async with self._sending:
                await self.close(code=code)
        except (OSError, RuntimeError):
            pass  # the client was quicker

    async def _refuse(self, error: ServiceError, request_id: str) -> None:
        """Answer the upgrade with plain HTTP, where the server below can; it closes with 403 where it cannot."""
        self._record(error.status)
        if "websocket.http.response" not in self.scope.get("extensions", {}):
            await self.close()
            return
        response = render_error(error)
        response["Content-Length"] = str(len(response.content))
        response["x-request-id"] = request_id
        headers = [(name.encode().lower(), value.encode("latin-1")) for name, value in response.items()]
        start = {"type": "websocket.http.response.start", "status": error.status, "headers": headers}
        await self.base_send(start)
        await self.base_send({"type": "websocket.http.response.body", "body": response.content, "more_body": False})

    def _record(self, status: int) -> None:
        took_s = time.perf_counter() - self._opened_at
        recorder = cast(HttpRecorder | None, self.scope["state"].get("http_metrics"))
        path = self.scope["path"]
        if recorder is not None:
            recorder.record(
                route="v1/responses" if path == "/v1/responses" else None, method="GET", status=status, took_s=took_s
            )
        access_log.info("websocket_request", path=path, status=status, took_ms=round(took_s * 1000, 1))
