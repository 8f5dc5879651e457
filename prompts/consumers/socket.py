"""One WebSocket: its turns, what it remembers of them, and how it ends.

A turn here is a turn as over HTTP (`prompts/usecases/turns.py`); only its edge is another one. Its task belongs to the
connection: when the client leaves, it is cancelled, and what becomes of the response is decided where it is followed.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol, TypeAlias

import structlog
from msgspec.structs import replace

from prompts.answer.events import Event
from prompts.api.errors import our_mistake
from prompts.api.own_seals import OwnSeals
from prompts.api.state import State
from prompts.api.wire.create_response import hash_body, read_ask
from prompts.api.wire.item_reader import place_call, read_input, split_trigger
from prompts.api.wire.items import Sender
from prompts.api.wire.unknown import Unknown
from prompts.consumers.frames import (
    KEEPALIVE,
    Frame,
    SocketCreate,
    get_http_body,
    read_create,
    read_frame,
    render_refusal,
)
from prompts.consumers.lanes import Lanes
from prompts.consumers.sockets import POLICY_VIOLATION, SocketEnding, Sockets
from prompts.consumers.upgrade import admit_caller
from prompts.errors import InvalidApiKey, ServiceError, UnknownCall
from prompts.ports.api_keys import Caller
from prompts.ports.observer import ParameterIgnored, SocketEnd, SocketTurnServed
from prompts.ports.responses import Claim
from prompts.run.outlet import Outlet
from prompts.usecases.ask import Ask
from prompts.usecases.callers import check_rate
from prompts.usecases.remembered import Remembered
from prompts.usecases.scopes import check_ask
from prompts.usecases.turns import Turn, create_turn, follow_turn, remember_turn

log = structlog.get_logger(__name__)

FAILED = "response.failed"
TERMINAL = ("response.completed", "response.incomplete", FAILED)

Outcome: TypeAlias = Literal["answered", "refused", "left"]


class ClientGone(Exception):
    """Nothing can be sent any more."""


class Wire(Protocol):
    """The connection below."""

    async def send_frame(self, data: bytes, stream_id: str | None) -> None:
        """One frame of text, for a lane, when the client takes it. Raises ClientGone."""

    def push_frames(self, frames: Sequence[bytes], stream_id: str | None) -> bool:
        """The same of some frames now, all or none; no when the client must be waited for. Raises nothing."""

    async def close_with(self, code: int) -> None:
        """Close, when what was sent is on its way. Raises nothing."""


class TurnTracing(Protocol):
    """Makes a span of each turn."""

    def trace_turn(self, headers: Mapping[str, str], request_id: str) -> AbstractContextManager[object]:
        """Trace a turn for as long as the context lasts; it belongs to the trace that the upgrade's headers name."""


@dataclass(frozen=True, slots=True)
class Opened:
    """Who opened a connection, and how."""

    owner: str
    request_id: str
    headers: Mapping[str, str]
    always_streams: bool


@dataclass(frozen=True, slots=True)
class SocketTurn:
    """A turn of one connection; `number` counts them."""

    frame: Frame
    number: int

    @property
    def stream_id(self) -> str | None:
        """See `Waiting.stream_id`."""
        return self.frame.stream_id


class Socket:
    """One connection."""

    def __init__(
        self, opened: Opened, wire: Wire, *, state: State, sockets: Sockets, tracing: TurnTracing | None = None
    ) -> None:
        self.turns = 0
        """How many turns it has had."""
        self._opened = opened
        self._wire = wire
        self._state = state
        self._sockets = sockets
        self._tracing = tracing
        self._memory = sockets.memory.open(max_bytes=sockets.limits.memory.max_bytes)
        self._lanes: Lanes[SocketTurn] = Lanes(self._serve, self._finish, self._let_go)
        self._ending: SocketEnding | None = None
        self._finishing: asyncio.Task[None] | None = None
        self._age = asyncio.get_running_loop().call_later(sockets.limits.max_age_s, self._grow_old)

    @property
    def owner(self) -> str:
        """See `OpenSocket.owner`."""
        return self._opened.owner

    @property
    def end_reason(self) -> SocketEnd | None:
        """Why it was closed from here, if it was."""
        return self._ending.reason if self._ending else None

    # --- what the client sends ---

    async def take(self, text: str | None) -> None:
        """One message of the client's: text, or None for bytes. Returns when another one may come."""
        stream_id: str | None = None
        try:
            frame = read_frame(text)
            stream_id = frame.stream_id
            if self._ending is None:
                self._queue(frame)
                return
            error = self._ending.error
        except ServiceError as refusal:
            error = refusal
        with suppress(ClientGone):
            await self._refuse(error, stream_id)

    async def _refuse(self, error: ServiceError, stream_id: str | None) -> None:
        """What has not begun. Raises ClientGone."""
        self._note("refused", error.code)
        await self._wire.send_frame(render_refusal(error), stream_id)

    def _queue(self, frame: Frame) -> None:
        self._sockets.hold(self.owner, len(frame.data))
        self.turns += 1
        try:
            self._lanes.add(SocketTurn(frame, self.turns))
        except ServiceError:
            self._sockets.let_go(self.owner, len(frame.data))
            raise

    def _let_go(self, turn: SocketTurn) -> None:
        self._sockets.let_go(self.owner, len(turn.frame.data))

    # --- a turn ---

    async def _serve(self, turn: SocketTurn) -> None:
        """One turn to its end. Raises nothing but a cancellation: the connection is closed."""
        request_id = f"{self._opened.request_id}.{turn.number}"
        structlog.contextvars.bind_contextvars(request_id=request_id)
        began = time.perf_counter()
        outcome: Outcome = "left"
        code: str | None = None
        try:
            with self._trace(request_id):
                code = await self._answer_or_refuse(turn, request_id)
            outcome = "refused" if code else "answered"
        except ClientGone:
            pass
        finally:
            self._note(outcome, code, round((time.perf_counter() - began) * 1000, 1))

    async def _answer_or_refuse(self, turn: SocketTurn, request_id: str) -> str | None:
        """The code of the error that the turn was refused with. Raises ClientGone."""
        error = await self._find_refusal(turn, request_id)
        if error is None:
            return None
        # OpenAI's rule: a client that was refused sends its whole history again.
        self._memory.forget(turn.frame.previous_id or "")
        await self._wire.send_frame(render_refusal(error), turn.stream_id)
        if isinstance(error, InvalidApiKey):
            self.end(SocketEnding("key", POLICY_VIOLATION, error, is_told=False), at_once=True)
        return error.code

    async def _find_refusal(self, turn: SocketTurn, request_id: str) -> ServiceError | None:
        """Answer the turn; gives the error that it failed with before its end. Raises ClientGone."""
        try:
            await self._answer(turn)
        except ServiceError as error:
            return error
        except ClientGone:
            raise
        except Exception:
            log.exception("unexpected_error")
            return our_mistake(request_id)
        return None

    async def _answer(self, turn: SocketTurn) -> None:
        """Raises as `create_turn`, `follow_turn` and `admit_caller`, RateLimited, InsufficientScope; ClientGone."""
        caller = await self._admit_request()
        unknown = Unknown(self._state.reading)
        body = read_create(turn.frame, unknown, may_stream=self._opened.always_streams)
        before = self._memory.find(body.previous_response_id) if body.previous_response_id else None
        ask = self._read(body, unknown)
        check_ask(caller, ask)
        try:
            created = await create_turn(ask, self._state.turns, before=before, limits=caller.token_limits)
        except UnknownCall as error:
            raise place_call(error, body.input or None, param="input") from None
        self._tell_ignored(unknown)
        structlog.contextvars.bind_contextvars(response_id=created.response_id)
        outlet = Outlet()
        outlet.take = partial(self._push, turn.stream_id)
        turns = self._state.turns
        events = follow_turn(created, turns, quiet_s=turns.followers.pace.keep_alive_s, outlet=outlet)
        async with aclosing(events) as groups:
            await self._send_groups(groups, created, before, turn.stream_id)

    async def _admit_request(self) -> Caller:
        """The key is looked at in every turn, and each counts as a request. Raises as `admit_caller`, RateLimited."""
        state = self._state
        caller = await admit_caller(self._opened.headers, api_keys=state.api_keys, origins=state.origins)
        if caller.owner != self.owner:
            raise InvalidApiKey("This key is another project's by now. Connect anew.")
        self._sockets.count_turn()
        check_rate(caller)
        state.turns.runner.shares.hear(caller.owner, caller.elsewhere)
        return caller

    def _read(self, body: SocketCreate, unknown: Unknown) -> Ask:
        given, is_compaction = split_trigger(body.input or [])
        sender = Sender(OwnSeals(self._state.sealer, self.owner).check, unknown)
        is_warm_up = body.generate is False
        own_options = {"generate": False} if is_warm_up else {}
        ask = read_ask(
            body,
            owner=self.owner,
            new_input=read_input(given, sender=sender),
            claim=Claim(hash_body(get_http_body(body), {**unknown.options, **own_options})),
            unknown=unknown,
            is_compaction=is_compaction,
        )
        return replace(ask, is_warm_up=is_warm_up, is_remembered=body.store is False)

    async def _send_groups(
        self,
        groups: AsyncGenerator[Sequence[Event], None],
        created: Turn,
        before: Remembered | None,
        stream_id: str | None,
    ) -> None:
        is_first = True
        async for events in groups:
            if events and events[-1].type in TERMINAL:
                self._remember(created, before, has_failed=events[-1].type == FAILED)  # before its client can know
            for event in events:
                await self._wire.send_frame(event.data, stream_id)
            if not events and not is_first:
                await self._wire.send_frame(KEEPALIVE, stream_id)
            is_first = False

    def _push(self, stream_id: str | None, events: Sequence[Event]) -> bool:
        """See `Outlet.take`. The end is not among them."""
        return self._wire.push_frames([event.data for event in events], stream_id)

    def _remember(self, created: Turn, before: Remembered | None, *, has_failed: bool) -> None:
        if before is not None and has_failed:
            self._memory.forget(before.response_id)
        remembered = remember_turn(created, before=before, limits=self._sockets.limits.memory)
        if remembered is not None:
            self._memory.keep(remembered)

    def _tell_ignored(self, unknown: Unknown) -> None:
        if unknown.counts:
            structlog.contextvars.bind_contextvars(ignored=unknown.list_names())
        for kind, count in unknown.counts.items():
            self._sockets.observer.notice(ParameterIgnored(kind, count))

    def _trace(self, request_id: str) -> AbstractContextManager[object]:
        return nullcontext() if self._tracing is None else self._tracing.trace_turn(self._opened.headers, request_id)

    def _note(self, outcome: Outcome, code: str | None, took_ms: float | None = None) -> None:
        self._sockets.observer.notice(SocketTurnServed(outcome))
        log.info("websocket_turn", outcome=outcome, code=code, took_ms=took_ms)

    # --- its end ---

    def end(self, ending: SocketEnding, *, at_once: bool = False) -> None:
        """Close when the running turns have ended, or `at_once`; those that wait are told now."""
        if self._ending is not None:
            return
        self._ending = ending
        self._finishing = asyncio.ensure_future(self._refuse_waiting(ending, at_once=at_once))

    async def _refuse_waiting(self, ending: SocketEnding, *, at_once: bool) -> None:
        waiting = [turn.stream_id for turn in self._lanes.take_waiting()]  # what they sent is not held any longer
        with suppress(ClientGone):
            for stream_id in waiting:
                await self._refuse(ending.error, stream_id)
        if at_once or self._lanes.is_idle:
            await self._close(ending)

    def _finish(self) -> None:
        """Nothing runs any more."""
        if self._ending is not None and (self._finishing is None or self._finishing.done()):
            self._finishing = asyncio.ensure_future(self._close(self._ending))

    async def _close(self, ending: SocketEnding) -> None:
        with suppress(ClientGone):
            if ending.is_told:
                await self._wire.send_frame(render_refusal(ending.error), None)
        await self._wire.close_with(ending.code)

    def _grow_old(self) -> None:
        self.end(self._sockets.too_old)

    async def leave(self) -> None:
        """The connection is closed: nothing of it stays. What is stored goes on."""
        self._age.cancel()
        if self._finishing is not None:
            self._finishing.cancel()
        await self._lanes.stop()
        self._memory.close()
