"""The server's end of a WebSocket: uvicorn's, with a bound for everything that a client may make large.

a message             1009 above MAX_MESSAGE_BYTES; it is held once, in however many pieces it comes
all that are coming   each takes its room among the bodies of the process (config/request_body.py), or 1013
one that hardly comes 1008, at the pace that is asked of bodies
an answer             a long one goes out in pieces, each when the one before was taken: 64 KB are held; what is short,
                      and need not wait for the client, goes out by a call
nothing is taken      the connection is closed when nothing of what was sent was taken for `stall_s`
pings                 not answered while nothing is taken; ours, every `ping_s`, must be answered within `pong_s`
a closing handshake   aborted, not waited for, where nothing is taken
compression           none: it costs 30 KB a connection, and a small message may become a large one
"""

import asyncio
import http
import logging
from collections.abc import Sequence
from struct import Struct
from typing import Any, ClassVar, cast

from asgiref.typing import ASGIReceiveEvent, ASGISendEvent
from typing_extensions import override
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.exceptions import InvalidState
from websockets.frames import Frame
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from config.http_protocol import LINGER_S, STALL_S
from config.request_body import GRACE_S, MIN_BYTES_A_SECOND, BodyRoom
from config.response_headers import API_HEADERS
from config.stalls import StallWatch, close_at_once
from prompts.api.errors import render_error
from prompts.api.request_ids import choose_request_id
from prompts.consumers.frames import PUSH
from prompts.errors import InternalError, InvalidRequest, Overloaded, ServiceError

# As much as a body (docs/api.md, "Limits").
MAX_MESSAGE_BYTES = 10 * 1024 * 1024
# Below the idle limit of common proxies, which also count pings: nginx 60 s, AWS ALB 60 s, Heroku 55 s.
PING_S = 20.0
# A ping waits behind what was sent before it, in buffers of the network: a slow reader's answer is late.
PONG_S = 60.0
# What a connection takes before its writer waits (uvicorn's and asyncio's mark).
MAX_PIECE_BYTES = 64 * 1024
# Of a closing handshake: a client answers at once, or has gone.
CLOSING_S = 5.0
# RFC 6455, 7.4.1, and IANA's registry for the last one.
INVALID_DATA, POLICY_VIOLATION, SILENT, TRY_AGAIN_LATER = 1007, 1008, 1011, 1013
# What the application is told of a connection that was aborted; it is never sent.
STALLED = 4000

# Of a frame: the opcode of text, and that nothing follows; the length, or that two bytes of it follow. No mask.
WHOLE_TEXT, TWO_BYTES = 0x81, 126
_HEAD = Struct("!BBH")

# uvicorn's line about each connection has its whole query. Ours have not.
logger = logging.getLogger("config.websocket_protocol")
logger.setLevel(logging.WARNING)


class Handshake(ServerProtocol):
    """The parser of one connection, whose refusals are in the envelope of every other refusal."""

    @override
    def reject(self, status: http.HTTPStatus | int, text: str) -> Response:
        """A refusal of an upgrade; its text is the library's."""
        response = super().reject(status, text)
        content = render_error(_find_error(response.status_code)).content
        about = {"Content-Type": "application/json", "Content-Length": str(len(content))}
        own = {name.decode(): value.decode() for name, value in API_HEADERS}
        for name, value in (about | own | {"x-request-id": choose_request_id(None)}).items():
            response.headers.pop(name, None)
            response.headers[name] = value
        return Response(response.status_code, response.reason_phrase, response.headers, content)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection."""

    grace_s: ClassVar[float] = GRACE_S
    linger_s: ClassVar[float] = LINGER_S
    stall_s: ClassVar[float] = STALL_S
    closing_s: ClassVar[float] = CLOSING_S
    ping_s: ClassVar[float] = PING_S
    pong_s: ClassVar[float] = PONG_S

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = logger
        self.conn = Handshake(max_size=MAX_MESSAGE_BYTES, logger=logger)
        self.ping_interval, self.ping_timeout = self.ping_s, self.pong_s
        self.close_timeout = self.closing_s
        self._room: BodyRoom | None = app_state.get("bodies")
        self._taken_bytes = 0
        self._queued_bytes = 0
        """Of these, the room of whole messages that the application has not asked for yet."""
        self._slow: asyncio.TimerHandle | None = None
        self._began = 0.0
        self._received_bytes = 0
        """Of the message that is coming."""
        self._stall = StallWatch(self.loop, self.stall_s)
        self._has_failed = False

    # --- the connection ---

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stall.forget()
        self._give_all_back()
        super().connection_lost(exc)

    @override
    def eof_received(self) -> None:
        """The client sends no more: the transport closes."""
        self._end_soon()

    @override
    def data_received(self, data: bytes) -> None:
        if self._has_failed:
            return  # it is thrown away until the client has read why
        super().data_received(data)
        if not self._has_failed:
            self._watch_message(len(data))

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall.begin(self.transport, self._end_stall)

    @override
    def resume_writing(self) -> None:
        self._stall.forget()
        super().resume_writing()

    # --- what comes ---

    @override
    def handle_text(self, event: Frame) -> None:
        self._begin_message(event, "text")

    @override
    def handle_bytes(self, event: Frame) -> None:
        self._begin_message(event, "bytes")

    @override
    def handle_cont(self, event: Frame) -> None:
        """Pieces are put together as they come: a list of empty ones has no end."""
        cast(bytearray, self.frames[0]).extend(event.data)
        if event.fin:
            self.send_receive_event_to_app()

    @override
    def handle_ping(self) -> None:
        """A client that takes no answers is given no more of them."""
        output = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self.transport.write(output)

    @override
    def handle_close(self, event: Frame) -> None:
        """Likewise; the application is told, and counts this connection no longer."""
        super().handle_close(event)
        self._end_soon()

    @override
    async def receive(self) -> ASGIReceiveEvent:  # type: ignore[override]  # uvicorn has types of its own
        """The next message, which is the application's to account for."""
        message = await super().receive()
        if self._queued_bytes and self.queue.empty():
            self._queued_bytes = 0
            self._take(self._coming_bytes)
        return cast(ASGIReceiveEvent, message)

    @override
    def handle_parser_exception(self) -> None:
        """What comes further is thrown away for a moment: closing at once would take the reason from the client."""
        close = self.conn.close_sent
        code, reason = (close.code, close.reason) if close is not None else (1006, "")
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self._fail()

    @override
    def send_receive_event_to_app(self) -> None:
        """A whole message. Text that is no UTF-8 ends the connection (RFC 6455, 8.1)."""
        if self.curr_msg_data_type == "text" and not _is_utf8(self.frames[0]):
            self._close_with(INVALID_DATA, "A text is UTF-8.")
        else:
            super().send_receive_event_to_app()
            if not self.close_sent:
                self._queued_bytes = self._taken_bytes

    def _begin_message(self, event: Frame, kind: str) -> None:
        self.curr_msg_data_type = cast(Any, kind)
        self.frames = [cast(bytes, bytearray(event.data))]
        if event.fin:
            self.send_receive_event_to_app()

    def _watch_message(self, size: int) -> None:
        """Account for a message that is not whole yet, and ask for a pace."""
        coming_bytes = self._coming_bytes
        try:
            self._take(coming_bytes + self._queued_bytes)
        except Overloaded as error:
            self._close_with(TRY_AGAIN_LATER, error.message)
            return
        if not coming_bytes:
            self._forget_slow()
        elif self._slow is None:
            self._began, self._received_bytes = self.loop.time(), size
            self._slow = self.loop.call_later(self.grace_s, self._check_pace)
        else:
            self._received_bytes += size

    @property
    def _coming_bytes(self) -> int:
        """What is there of a message that is not whole."""
        return len(self.conn.reader.buffer) + sum(map(len, self.frames))

    def _check_pace(self) -> None:
        due = self._began + self.grace_s + self._received_bytes / MIN_BYTES_A_SECOND
        if self.loop.time() >= due or self.transport.is_closing():
            self._close_with(POLICY_VIOLATION, "The message came too slowly. Send it again.")
        else:
            self._slow = self.loop.call_at(due, self._check_pace)

    def _take(self, size: int) -> None:
        """Hold so many bytes of messages. Raises Overloaded."""
        if self._room is not None and size != self._taken_bytes:
            if size > self._taken_bytes:
                self._room.take(size - self._taken_bytes)
            else:
                self._room.give_back(self._taken_bytes - size)
            self._taken_bytes = size

    def _give_all_back(self) -> None:
        self._queued_bytes = 0
        self._take(0)
        self._forget_slow()

    def _close_with(self, code: int, reason: str) -> None:
        """The client is told why, and heard no more."""
        if self.close_sent or self._has_failed or self.transport.is_closing():
            return
        if self.handshake_complete:
            self.conn.fail(code, reason)
            self.handle_parser_exception()
        else:
            self.transport.abort()

    def _fail(self) -> None:
        self.stop_keepalive()
        self.close_sent = self._has_failed = True
        self.conn.reader.buffer.clear()
        self.frames = []
        self._give_all_back()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(self.linger_s, self._close)

    # --- what goes out ---

    @override
    async def run_asgi(self) -> None:
        extensions = cast(dict[str, Any], self.scope["extensions"])
        extensions[PUSH] = {"push": self.push}
        try:
            await super().run_asgi()
        finally:
            del extensions[PUSH]  # it would hold the connection until the garbage is collected

    @override
    async def send(self, message: ASGISendEvent) -> None:  # type: ignore[override]  # uvicorn has types of its own
        """One message of the application; a long text goes out in pieces, as far as the client takes them."""
        text = message.get("text") if message["type"] == "websocket.send" else None
        if isinstance(text, str) and len(text) > MAX_PIECE_BYTES and self.handshake_complete:
            await self._send_long(text.encode())
            return
        await super().send(cast(Any, message))
        if message["type"] == "websocket.close" and self.close_timer is not None:
            self.close_timer.cancel()  # uvicorn's waits without end for a client that takes nothing
            self.close_timer = self.loop.call_later(self.close_timeout, self._close)

    def push(self, texts: Sequence[bytes]) -> bool:
        """See `prompts.consumers.frames.Push`."""
        if not self.writable.is_set() or self.disconnected or self.close_sent or self.conn.state is not OPEN:
            return False
        if sum(map(len, texts)) >= MAX_PIECE_BYTES:
            return False
        self.transport.write(b"".join(map(_frame, texts)))
        return True

    async def _send_long(self, data: bytes) -> None:
        for start in range(0, len(data), MAX_PIECE_BYTES):
            await self.writable.wait()
            if self.disconnected or self.close_sent:
                # What uvicorn raises is no part of ASGI; an OSError is.
                raise ConnectionResetError("the client has left")
            piece, is_last = data[start : start + MAX_PIECE_BYTES], start + MAX_PIECE_BYTES >= len(data)
            send = self.conn.send_continuation if start else self.conn.send_text
            try:
                send(piece, fin=is_last)
            except InvalidState:
                raise ConnectionResetError("the client is closing") from None
            self.transport.write(b"".join(self.conn.data_to_send()))

    # --- time ---

    @override
    def keepalive_timeout(self) -> None:
        """A ping that could not be sent yet is not unanswered; nothing else is waited for."""
        if self.pending_ping_payload is not None and not self.writable.is_set():
            self.pong_timer = self.loop.call_later(self.pong_s, self.keepalive_timeout)
            return  # a reader who takes nothing is dropped by its own limit
        self.queue.put_nowait({"type": "websocket.disconnect", "code": SILENT, "reason": None})
        super().keepalive_timeout()
        self._close()

    @override
    def shutdown(self) -> None:
        super().shutdown()
        self._close()

    def _close(self) -> None:
        close_at_once(self.transport)

    def _end_soon(self) -> None:
        """A transport closes when all was taken, and waits for that without end. Here it has a moment."""
        if self.transport.get_write_buffer_size():
            if self.close_timer is not None:
                self.close_timer.cancel()
            self.close_timer = self.loop.call_later(self.close_timeout, self._close)

    def _end_stall(self) -> None:
        self.queue.put_nowait({"type": "websocket.disconnect", "code": STALLED, "reason": None})
        self.transport.abort()

    def _forget_slow(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None


def _find_error(status: int) -> ServiceError:
    if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        return InternalError("The server made a mistake while it opened the WebSocket. Try again.")
    return InvalidRequest(
        "This is no WebSocket handshake that this server can read. Send that of RFC 6455, version 13."
    )


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _frame(text: bytes) -> bytes:
    """A message below 64 KB (RFC 6455, 5.2). The library makes an object of each, and looks at its bits one by one."""
    size = len(text)
    head = bytes((WHOLE_TEXT, size)) if size < TWO_BYTES else _HEAD.pack(WHOLE_TEXT, TWO_BYTES, size)
    return head + text
