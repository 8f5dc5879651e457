"""One request to a model's server and its answer, on a connection of aiohttp's.

aiohttp opens connections, keeps them, and finds its way through proxies. What it makes of a request on one (a dozen
objects, a task for the body) and of each piece of an answer (a queue, and a question to the parser whether it has more)
took half of what a turn cost here, and a quarter of a token. So the bytes of an answer go straight to the parser that
uvicorn reads our own requests with, and the pieces straight to the reader.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeAlias

import aiohttp
from aiohttp.connector import Connection
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from typing_extensions import override

from prompts.adapters.openai.rounds import find_rounds
from prompts.alarms import NEVER, Alarm

# What is read at once: a few milliseconds' work.
SLICE_BYTES = 64 * 1024
# What is held of a body that is read more slowly than it comes; a read of the socket may bring four times as much more.
MAX_HELD_BYTES = 2 * SLICE_BYTES
# A head is far smaller; so is all that a server may send between two pieces of a body.
MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 128
# Of a stream that will be long: a short one is not worth the change.
FEW_PIECES = 8
_INFORMATIONAL = range(100, 200)

Take: TypeAlias = Callable[[bytes], float | None]
"""Takes a piece of the body, and says until when the next one must come; None when it wants no more for now."""


class Overdue(Exception):
    """Nothing came in time."""


class Exchange(asyncio.Protocol):
    """One request and its answer, read as it arrives.

    Reads share one alarm: its ring is an error of the exchange, so no read needs a timer or a cancellation.
    """

    __slots__ = (
        *(
            "_alarm",
            "_connection",
            "_error",
            "_handler",
            "_has_head",
            "_has_length",
            "_held",
            "_is_paused",
            "_is_whole",
        ),
        *("_keeps_alive", "_loop", "_parser", "_pieces", "_rounds", "_take", "_transport", "_unheld_bytes", "_waiter"),
        "_pieces_to_rounds",
        *("headers", "on_body", "status"),
    )

    def __init__(self, connection: Connection) -> None:
        """`close` has to be called."""
        transport, handler = connection.transport, connection.protocol
        assert transport is not None
        assert handler is not None
        self.status = 0
        self.headers: dict[str, str] = {}
        """By their names in lower case; of several with one name the last."""
        self._connection: Connection | None = connection
        self._transport = transport
        self._handler = handler
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[bool] | None = None
        self._take: Take | None = None
        """Who takes what arrives, while somebody waits for no more than that."""
        self._pieces: list[bytes] = []
        """Of the body, what the parser has found in what has just come."""
        self.on_body = self._pieces.append
        """Called by the parser: no function of Python for each token."""
        self._held = bytearray()
        self._unheld_bytes = 0
        """How much has come since the last piece of the body."""
        self._is_paused = False
        self._has_head = False
        self._has_length = False
        self._keeps_alive = False
        self._is_whole = False
        self._error: Exception | None = None
        self._alarm = Alarm(self._ring).start(self._loop)
        self._parser = HttpResponseParser(self)
        # As aiohttp's own parser, and browsers: servers are what they are.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._rounds = find_rounds(self._loop)
        self._pieces_to_rounds = FEW_PIECES
        transport.set_protocol(self)

    async def send(self, request: bytes) -> None:
        """Send all of it; returns when the head of the answer is there. Raises aiohttp's errors."""
        self._transport.write(request)
        while not self._has_head:
            await self._wait()

    async def read(self, due: float = NEVER) -> bytes:
        """All of the body that has arrived, as far as it can be worked on at once; nothing at the end.

        Raises Overdue when nothing came until `due`, in the event loop's time, and aiohttp's errors.
        """
        if not self._held and not self._is_whole:
            self._alarm.due = due
            try:
                while not self._held and not self._is_whole:
                    await self._wait()
            finally:
                self._alarm.due = NEVER
        return self._cut_slice()

    async def hand_on(self, take: Take, due: float = NEVER) -> bool:
        """Hand what arrives to `take`, in the same moment and without waking anybody; returns when it wants no more.

        False when the body has ended before that. `due` is until when the first must come. Raises what `read` does, and
        what `take` does.
        """
        while True:
            while self._held:
                wanted = take(self._cut_slice())
                if wanted is None:
                    return True
                due = wanted
            if self._is_whole:
                return False
            self._take, self._alarm.due = take, due
            try:
                if await self._wait():
                    return True
                due = self._alarm.due
            finally:
                self._take, self._alarm.due = None, NEVER
                self._leave_rounds()

    def _cut_slice(self) -> bytes:
        """Of what is held as much as can be worked on at once."""
        held = self._held
        data = bytes(held if len(held) <= SLICE_BYTES else held[:SLICE_BYTES])
        del held[: len(data)]
        if self._is_paused and len(held) < SLICE_BYTES and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()
        return data

    def close(self) -> None:
        """Close the connection, unless the answer has ended and the connection was given back."""
        self._alarm.stop()
        self._leave(keeps_alive=False)

    async def _wait(self) -> bool:
        """Until something has come, or the end; whether what came was taken already, and that is enough."""
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            return await self._waiter
        finally:
            self._waiter = None

    def _find_waiter(self) -> asyncio.Future[bool] | None:
        """Whoever waits, and was not woken yet."""
        return None if self._waiter is None or self._waiter.done() else self._waiter

    def _wake(self, *, is_enough: bool = False) -> None:
        if (waiter := self._find_waiter()) is not None:
            waiter.set_result(is_enough)

    def _fail(self, error: Exception) -> None:
        """It has ended so, unless it was whole before."""
        if not self._is_whole and self._error is None:
            self._error = error
        self._wake()

    def _ring(self) -> None:
        if self._find_waiter() is not None:  # else something has come in this very moment
            self._fail(Overdue())

    def _leave(self, *, keeps_alive: bool) -> None:
        """Give the connection back, to be used again or closed."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._leave_rounds()
        del self._parser  # it would keep this in memory
        if not self._transport.is_closing():
            self._give_back(keeps_alive=keeps_alive)
        if keeps_alive:
            connection.release()
        else:
            connection.close()

    def _give_back(self, *, keeps_alive: bool) -> None:
        if self._is_paused:
            self._transport.resume_reading()
        if not keeps_alive and self._transport.get_write_buffer_size():
            self._transport.abort()  # closed at once, and not when all of the request was taken
        else:
            self._transport.set_protocol(self._handler)

    @override
    def data_received(self, data: bytes) -> None:
        """What the server sends."""
        if self._connection is None:
            return
        self._unheld_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as exc:
            self._hold()
            self._fail(_no_http(exc))
            self._leave(keeps_alive=False)
            return
        pieces = self._pieces
        is_next = len(pieces) == 1 and len(data) <= SLICE_BYTES and not (self._held or self._is_whole)
        if self._take is not None and is_next and self._find_waiter() is not None:  # nearly always
            self._unheld_bytes = 0
            self._hand(self._take, pieces.pop())
        else:
            self._hold()
            self._note_held()

    def _note_held(self) -> None:
        """Something has come that is not handed on as it is."""
        if self._is_whole:
            # What the server has not read of the request would be taken for the beginning of the next one.
            self._leave(keeps_alive=self._keeps_alive and not self._transport.get_write_buffer_size())
        elif self._unheld_bytes > MAX_HEAD_BYTES:
            self._fail(_no_http())
            self._leave(keeps_alive=False)
        elif self._take is not None and self._find_waiter() is not None and len(self._held) <= SLICE_BYTES:
            if self._held:
                self._hand(self._take, self._cut_slice())
            return
        elif len(self._held) > MAX_HELD_BYTES and not self._is_paused:
            self._is_paused = True
            self._leave_rounds()
            self._transport.pause_reading()
        self._wake()

    def _hold(self) -> None:
        """Keep what has come for whoever reads next. Behind the end nobody has asked for anything."""
        if self._pieces:
            if not self._is_whole:
                self._held += b"".join(self._pieces)
                self._unheld_bytes = 0
            self._pieces.clear()

    def _hand(self, take: Take, piece: bytes) -> None:
        """Hand on what has just come; nothing is held before it."""
        try:
            due = take(piece)
        except Exception as error:  # noqa: BLE001  # raised again by whoever waits
            self._fail(error)
            return
        if due is None:
            self._wake(is_enough=True)
            return
        self._alarm.due = due
        self._pieces_to_rounds -= 1
        if not self._pieces_to_rounds:
            self._rounds.join(self, self._transport)

    def _leave_rounds(self) -> None:
        """Have the event loop read it again, for as long as it takes to hand on some more pieces."""
        self._pieces_to_rounds = FEW_PIECES
        self._rounds.leave(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """The server has closed the connection, or it broke."""
        self._handler.connection_lost(exc)
        if exc is None and self._has_head and not self._has_length:
            self._is_whole = True
        if isinstance(exc, OSError):
            self._fail(aiohttp.ClientOSError(*exc.args))
        elif self._has_head:
            self._fail(aiohttp.ClientPayloadError("The answer broke off."))
        else:
            self._fail(aiohttp.ServerDisconnectedError())
        self._leave(keeps_alive=False)

    def on_message_begin(self) -> None:
        """Called by the parser, as what follows. Nobody has asked for a second answer."""
        if self._is_whole:
            self._keeps_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One line of the head, or behind the body."""
        if self._is_whole or self._has_head:
            return
        if len(self.headers) == MAX_HEADERS:
            raise _no_http()
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The end of the head. One that is only for the time being is forgotten."""
        if self._is_whole:
            return
        status = self._parser.get_status_code()
        if status in _INFORMATIONAL:
            self.headers.clear()
            return
        self.status = status
        self._has_head = True
        self._unheld_bytes = 0
        self._has_length = _has_length(self.headers)
        self._keeps_alive = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        """The end of the body."""
        if self._has_head:
            self._hold()
            self._is_whole = True


def _has_length(headers: Mapping[str, str]) -> bool:
    """Whether the body says where it ends; else it ends with the connection."""
    return "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()


def _no_http(exc: Exception | None = None) -> aiohttp.ClientPayloadError:
    error = aiohttp.ClientPayloadError("The answer is no HTTP.")
    error.__cause__ = exc
    return error
