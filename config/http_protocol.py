"""The server's end of an HTTP/1.1 connection: uvicorn's, with a bound for everything that a stranger may make large.

    silence before a request     closed after `head_s`; between requests after gunicorn's `keepalive`
    request line and headers     431 above MAX_HEAD_BYTES; closed when they take longer than `head_s`
    a body that nobody reads     thrown away for `linger_s` after the answer, then closed
    trailer fields               dropped: they come after the headers were looked at, and must not pass for some
    requests sent ahead          the connection is closed above MAX_PIPELINED
    an answer that is not read   closed when nothing of it was taken for `stall_s`, while the connection closes too

The body itself is bounded by whoever reads it (config/request_body.py): uvicorn holds 64 KB of one that nobody reads.
"""

import asyncio
from http import HTTPStatus
from typing import Any, ClassVar, NoReturn
from urllib.parse import unquote

import httptools
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from config.http_exchange import HttpExchange
from config.response_headers import API_HEADERS
from config.stalls import StallWatch, close_at_once
from prompts.api.errors import render_error
from prompts.errors import HeadTooLarge, InvalidRequest, ServiceError
from prompts.flag import Flag

# h11's limit. nginx takes 32 KB, and cookies and long queries are far below.
MAX_HEAD_BYTES = 64 * 1024
# Each waiting request is a task's worth of memory. Browsers and SDKs send none ahead.
MAX_PIPELINED = 16
# nginx' `client_header_timeout` is 60 s, Apache's 20 s.
HEAD_S = 20.0
# nginx' `lingering_timeout`: closing while a client still sends would take its answer away from it (RFC 9112, 9.6).
LINGER_S = 5.0
# nginx' `send_timeout`.
STALL_S = 60.0


class RefusedRequest(Exception):
    """Raised in a callback of the parser, which stops there."""


class HttpProtocol(HttpToolsProtocol):
    """One connection. uvicorn's fields fit a small dictionary; with ours among them it would be 1.5 kB larger."""

    __slots__ = (
        *("_bytes_beside_bodies", "_deadline", "_has_upgraded", "_head_bytes", "_is_in_head", "_refusal", "_stall"),
    )

    head_s: ClassVar[float] = HEAD_S
    linger_s: ClassVar[float] = LINGER_S
    stall_s: ClassVar[float] = STALL_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_in_head = False
        self._head_bytes = 0
        self._bytes_beside_bodies = 0
        """How much has come since the last byte of a body: of a head, a trailer, the frames of chunks."""
        self._deadline: asyncio.TimerHandle | None = None
        self._stall = StallWatch(self.loop, self.stall_s)
        self._refusal: ServiceError | None = None
        """Why nothing more is read here."""
        self._has_upgraded = False
        """Whether the connection is a WebSocket's by now (config/websocket_protocol.py)."""

    # --- the connection ---

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._close_in(self.head_s)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._keep_open()
        self._stall.forget()
        super().connection_lost(exc)
        if not self._is_idle:
            self._leave()

    @override
    def eof_received(self) -> None:
        """The client sends no more: the transport closes."""
        self._watch_closing()

    @override
    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        self._bytes_beside_bodies += len(data)
        super().data_received(data)
        if self._is_done_reading or self._has_upgraded:
            return
        if self._bytes_beside_bodies > MAX_HEAD_BYTES and not self._is_throwing_away:
            self._refusal = _head_too_large()
            self.send_400_response("")
        elif self._is_idle and self._deadline is None:
            self._close_in(self.head_s)  # the first bytes of a request; uvicorn waits for the others without end

    @override
    def handle_websocket_upgrade(self) -> None:
        if not self._is_idle:
            self.send_400_response("")  # the answer to an earlier request would be written between the frames
            return
        self._has_upgraded = True
        self._keep_open()
        super().handle_websocket_upgrade()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall.begin(self.transport, self.transport.abort)

    @override
    def resume_writing(self) -> None:
        self._stall.forget()
        super().resume_writing()
        if self.transport.is_closing():
            self._watch_closing()

    # --- what the parser finds ---

    @override
    def on_message_begin(self) -> None:
        self._is_in_head, self._head_bytes = True, 0
        super().on_message_begin()

    @override
    def on_url(self, url: bytes) -> None:
        self._count_head(len(url))
        super().on_url(url)

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_in_head:
            self._count_head(len(name) + len(value) + 4)
            super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        self._is_in_head, self._bytes_beside_bodies = False, 0
        if len(self.pipeline) >= MAX_PIPELINED:
            self._stop_parsing(InvalidRequest("Too many requests wait on this connection. Send them one by one."))
        self._keep_open()
        self._complete_scope()
        if self.parser.should_upgrade() and self._should_upgrade():
            return
        self._begin_exchange()

    @override
    def on_body(self, body: bytes) -> None:
        self._bytes_beside_bodies = 0
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._bytes_beside_bodies = 0
        latest = self._latest
        if latest is not None and latest.response_complete:  # the rest of a body that was thrown away
            latest.more_body = False
            self._close_in(self.timeout_keep_alive)

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_closing()
            return
        if not self._is_idle:
            return
        if self.cycle.more_body:
            self._close_in(self.linger_s)
        elif self._is_in_head:
            self._close_in(self.head_s)

    @override
    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_closing()

    def _complete_scope(self) -> None:
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["http_version"] = self.parser.get_http_version()
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        self.scope["path"] = self.root_path + (unquote(path) if "%" in path else path)
        self.scope["raw_path"] = self.root_path.encode("ascii") + url.path
        self.scope["query_string"] = url.query or b""

    def _begin_exchange(self) -> None:
        """As uvicorn does it in its `on_headers_complete`, but for the class, and for a limit that is not used."""
        is_waiting = not self._is_idle
        self.cycle = HttpExchange(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=Flag(),  # type: ignore[arg-type]  # set, clear and wait: no more is asked of it
            expect_100_continue=self.expect_100_continue,
            keep_alive=self.scope["http_version"] != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if is_waiting:  # for the answer to an earlier request
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
        else:
            self._start_asgi_task(self.cycle, self.app)

    def _leave(self) -> None:
        assert isinstance(self.cycle, HttpExchange)
        self.cycle.leave()

    # --- refusing ---

    @override
    def send_400_response(self, msg: str) -> None:
        """Tell why in the envelope of every other refusal. An answer that has begun is broken off instead."""
        self._refusal = self._refusal or InvalidRequest("This is no HTTP that this server can read. Send HTTP/1.1.")
        if self._is_answering:
            self.transport.abort()
            return
        self.transport.write(_render(self._refusal))
        if not self._is_idle:
            self._leave()
        self._close_in(self.linger_s)

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._stop_parsing(_head_too_large())

    def _stop_parsing(self, refusal: ServiceError) -> NoReturn:
        self._refusal = refusal
        raise RefusedRequest

    @override
    def _should_upgrade(self) -> bool:
        """A WebSocket begins with a GET. Whatever else names one is a request like any other."""
        return self.parser.get_method() == b"GET" and super()._should_upgrade()

    @override
    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: the application answers an upgrade, and anybody may send one."""

    # --- time ---

    @property
    def _is_done_reading(self) -> bool:
        return self._refusal is not None or self.transport.is_closing()

    @property
    def _latest(self) -> RequestResponseCycle | None:
        """The latest request whose headers have come."""
        return self.cycle

    @property
    def _is_idle(self) -> bool:
        return self._latest is None or self._latest.response_complete

    @property
    def _is_answering(self) -> bool:
        return bool(self.pipeline) or (not self._is_idle and self.cycle.response_started)

    @property
    def _is_throwing_away(self) -> bool:
        """Whether what comes is a body that nobody reads."""
        return self._latest is not None and self._latest.response_complete and self._latest.more_body

    def _close_in(self, delay_s: float) -> None:
        self._keep_open()
        self._unset_keepalive_if_required()
        self._deadline = self.loop.call_later(delay_s, self._close)

    def _keep_open(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        self._deadline = None
        close_at_once(self.transport)

    def _watch_closing(self) -> None:
        """A transport closes when all was taken, and waits for that without end."""
        if self.transport.get_write_buffer_size():
            self._stall.begin(self.transport, self.transport.abort)


def _head_too_large() -> ServiceError:
    return HeadTooLarge(f"The request has more than {MAX_HEAD_BYTES:,} bytes of headers. Send fewer.")


def _render(error: ServiceError) -> bytes:
    content = render_error(error).content
    head = [
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
        "content-type: application/json",
        f"content-length: {len(content)}",
        "connection: close",
        *(f"{name.decode()}: {value.decode()}" for name, value in API_HEADERS),
    ]
    return "\r\n".join([*head, "", ""]).encode() + content
