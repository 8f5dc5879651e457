"""`/v1/responses`: create (whole, streamed, in the background), retrieve, follow, cancel, delete."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from http import HTTPStatus
from typing import Annotated, ClassVar, Literal, cast

import msgspec
import structlog
from django.http import HttpResponse, StreamingHttpResponse
from dmr import Path, Query, ResponseSpec, validate
from dmr.plugins.msgspec import BodyMsgspec
from msgspec import UNSET, Meta, Struct, field
from msgspec.structs import replace

from prompts.answer.events import TERMINAL, Event
from prompts.api import sse
from prompts.api.controller import ApiController, json_response
from prompts.api.errors import render_error
from prompts.api.obfuscation import obfuscate
from prompts.api.openapi.document import BODY_ERRORS, ERRORS, IDEMPOTENCY_KEY, MODEL_ERRORS, AlsoAs, refusals
from prompts.api.openapi.event_stream import EVENT_STREAM
from prompts.api.openapi.examples import CREATE_RESPONSE
from prompts.api.run_lines import bind_request, leave_to_run
from prompts.api.sse import Pad
from prompts.api.wire.create_response import CreateResponse, read_ask, read_claim
from prompts.api.wire.ids import ResponseId
from prompts.api.wire.include import SEARCH_RESULTS, Include, check_include
from prompts.api.wire.item_reader import place_call, read_input, split_trigger
from prompts.domain import ids
from prompts.domain.responses import Response
from prompts.errors import InvalidRequest, ServiceError, UnknownCall
from prompts.run.following import follow_response
from prompts.run.outlet import Outlet
from prompts.usecases.ask import Ask
from prompts.usecases.passages import get_response_with_results
from prompts.usecases.public_ids import check_kind
from prompts.usecases.responses import cancel_response, check_response, delete_response, get_response
from prompts.usecases.scopes import check_ask
from prompts.usecases.turns import Turn, create_turn, follow_turn, get_queued, wait_for_answer

encode = msgspec.json.Encoder().encode

log = structlog.get_logger(__name__)


CREATE_ERRORS = [
    *BODY_ERRORS,
    *MODEL_ERRORS,
    *refusals(HTTPStatus.CONFLICT, HTTPStatus.GONE, HTTPStatus.UNPROCESSABLE_ENTITY),
]


class ResponsePath(Struct):
    """`/v1/responses/{response_id}`."""

    response_id: ResponseId


class RetrieveQuery(Struct, forbid_unknown_fields=True):
    """The query of `GET /v1/responses/{id}`."""

    __dmr_force_list__: ClassVar[frozenset[str]] = frozenset({"include[]"})

    include: Include = field(default_factory=list, name="include[]")
    stream: Annotated[bool, Meta(description="Answer with the events, live or ended, then `[DONE]`.")] = False
    starting_after: (
        Annotated[int, Meta(ge=0, description="Only the events above this `sequence_number`; needs `stream=true`.")]
        | None
    ) = None
    include_obfuscation: Annotated[
        bool, Meta(description="Pad the deltas with `obfuscation`; needs `stream=true`.")
    ] = False


class DeletedResponse(Struct):
    """What is left of a deleted response."""

    id: str
    object: Literal["response"] = "response"
    deleted: bool = True


class ResponsesController(ApiController):
    """Create a response."""

    tags = ["Responses"]
    reach = "turn"
    header_parameters = (IDEMPOTENCY_KEY,)

    @validate(
        AlsoAs(Response, status_code=HTTPStatus.OK, others=EVENT_STREAM), *CREATE_ERRORS, operation_id="createResponse"
    )
    async def post(self, parsed_body: Annotated[BodyMsgspec[CreateResponse], CREATE_RESPONSE]) -> HttpResponse:
        """Ask the model. With `stream: true` the answer is `text/event-stream`: events as they come, then `[DONE]`."""
        ask = self._read(parsed_body)
        check_ask(self.caller, ask)
        bind_request(self.request)
        try:
            turn = await create_turn(ask, self.state.turns, limits=self.caller.token_limits)
        except UnknownCall as error:
            raise place_call(error, parsed_body.input, param="input") from None
        self.tell_tokens(turn.tokens_left)
        if not turn.is_replay:
            leave_to_run(self.request)
            return await self._deliver(parsed_body, turn)
        try:
            response = await self._deliver(parsed_body, turn)
        except ServiceError as error:
            response = render_error(error)
        response["idempotency-replayed"] = "true"
        return response

    def _read(self, body: CreateResponse) -> Ask:
        given, is_compaction = split_trigger(body.input)
        return read_ask(
            body,
            owner=self.owner,
            new_input=read_input(given, sender=self.sender),
            claim=read_claim(
                self.request, replace(body, stream=None, stream_options=None, if_busy=UNSET), self.unknown.options
            ),
            unknown=self.unknown,
            is_compaction=is_compaction,
        )

    async def _deliver(self, body: CreateResponse, turn: Turn) -> HttpResponse:
        ports = self.state.turns
        if body.stream:
            is_padded = body.stream_options is not None and body.stream_options.include_obfuscation is True
            outlet = Outlet()
            events = follow_turn(turn, ports, quiet_s=ports.followers.pace.keep_alive_s, outlet=outlet)
            padded_for = turn.response_id if is_padded else None
            return cast(HttpResponse, await stream(events, outlet=outlet, padded_for=padded_for))
        if body.background:
            return json_response(await get_queued(turn, ports))
        return json_response(await wait_for_answer(turn, ports))


class ResponseController(ApiController):
    """One response."""

    tags = ["Responses"]
    reach = "response"

    @validate(
        AlsoAs(Response, status_code=HTTPStatus.OK, others=EVENT_STREAM),
        *ERRORS,
        *refusals(HTTPStatus.GONE),
        operation_id="getResponse",
    )
    async def get(self, parsed_path: Path[ResponsePath], parsed_query: Query[RetrieveQuery]) -> HttpResponse:
        """The response as it stands, or with `stream=true` its events above `starting_after`, live or ended."""
        check_include(parsed_query.include, self.unknown)
        if parsed_query.starting_after is not None and not parsed_query.stream:
            message = "'starting_after' is a place in a stream. Send it with 'stream=true'."
            raise InvalidRequest(message, param="starting_after")
        response_id, ports = _response_id(parsed_path), self.state.turns
        if not parsed_query.stream:
            return json_response(await self._get_body(response_id, with_results=SEARCH_RESULTS in parsed_query.include))
        await check_response(response_id, owner=self.owner, store=ports.store)
        after = -1 if parsed_query.starting_after is None else parsed_query.starting_after
        outlet = Outlet()
        events = follow_response(
            response_id,
            owner=self.owner,
            after=after,
            quiet_s=ports.followers.pace.keep_alive_s,
            run=ports.runner.find(response_id),
            store=ports.store,
            event_log=ports.event_log,
            followers=ports.followers,
            outlet=outlet,
        )
        padded_for = response_id if parsed_query.include_obfuscation else None
        return cast(HttpResponse, await stream(events, outlet=outlet, padded_for=padded_for))

    async def _get_body(self, response_id: str, *, with_results: bool) -> bytes:
        ports = self.state.turns
        if with_results:
            return await get_response_with_results(
                response_id, owner=self.owner, store=ports.store, event_log=ports.event_log
            )
        return (await get_response(response_id, owner=self.owner, store=ports.store)).body

    @validate(ResponseSpec(DeletedResponse, status_code=HTTPStatus.OK), *ERRORS, operation_id="deleteResponse")
    async def delete(self, parsed_path: Path[ResponsePath]) -> HttpResponse:
        """Erase the response, its input and its events; what it said stays in the history it joined."""
        response_id = _response_id(parsed_path)
        await delete_response(response_id, owner=self.owner, store=self.state.turns.store)
        return json_response(encode(DeletedResponse(response_id)))


class CancelController(ApiController):
    """Cancel a response."""

    tags = ["Responses"]
    reach = "response"

    @validate(
        ResponseSpec(Response, status_code=HTTPStatus.OK),
        *ERRORS,
        *refusals(HTTPStatus.CONFLICT),
        operation_id="cancelResponse",
    )
    async def post(self, parsed_path: Path[ResponsePath]) -> HttpResponse:
        """End an active response, keeping what was written; answered when the model's connection is closed."""
        ports = self.state.turns
        stored, is_confirmed = await cancel_response(
            _response_id(parsed_path),
            owner=self.owner,
            store=ports.store,
            event_log=ports.event_log,
            runner=ports.runner,
        )
        unconfirmed = stored.body[:-1] + b',"eps:cancel_confirmed":false}'
        return json_response(stored.body if is_confirmed else unconfirmed)


async def stream(
    events: AsyncGenerator[Sequence[Event], None], *, outlet: Outlet | None = None, padded_for: str | None = None
) -> StreamingHttpResponse:
    """Events as server-sent events. What is refused is refused before the stream begins.

    `outlet` is where events go that are not among `events`. `padded_for` is the response's id, when its deltas are to
    be padded.
    """
    first = await anext(events, None)
    pad: Pad | None = None if padded_for is None else partial(obfuscate, response_id=padded_for)
    return sse.EventStream(_frames(first, events, pad), is_first_part_here=bool(first), outlet=outlet, pad=pad)


async def _frames(
    first: Sequence[Event] | None,
    rest: AsyncGenerator[Sequence[Event], None],
    pad: Pad | None,
) -> AsyncIterator[bytes]:
    """An error in the middle breaks the connection off: a clean end would look like the end of the answer."""
    part = b""
    try:
        async with aclosing(rest):  # a reader who leaves is gone at once, not when the garbage is collected
            for part in _write_parts(first, pad) if first else ():
                yield part
            first = None  # megabytes, where the response has long instructions
            async for events in rest:  # to its end, beyond the last event: else it would look as if its reader had left
                for part in _write_parts(events, pad) if events else (sse.KEEP_ALIVE,):
                    yield part
    except ServiceError as error:
        log.warning("stream_broken_off", code=error.code)
        raise ConnectionAbortedError from error
    if not isinstance(part, sse.LastPart):
        yield sse.LastPart(sse.DONE)


def _write_parts(events: Sequence[Event], pad: Pad | None) -> Iterator[bytes]:
    """The bytes of a group; `[DONE]` goes out with the last event."""
    if pad is not None:
        events = pad(events)
    if events[-1].type not in TERMINAL:
        yield from sse.frames(events)
        return
    *parts, last = sse.frames(events)
    yield from parts
    yield sse.LastPart(last + sse.DONE)


def _response_id(path: ResponsePath) -> str:
    return check_kind(path.response_id, ids.RESPONSE, param="response_id")
