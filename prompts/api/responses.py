"""`/v1/responses`: create (whole, streamed, in the background), retrieve, follow, cancel, delete."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, Literal, cast

import msgspec
import structlog
from django.http import HttpResponse, StreamingHttpResponse
from dmr import Path, Query, ResponseSpec, validate
from dmr.plugins.msgspec import BodyMsgspec
from msgspec import Meta, Struct, field
from msgspec.structs import replace

from prompts.answer.events import Event
from prompts.api import sse
from prompts.api.controller import ApiController, json_response
from prompts.api.errors import render_error
from prompts.api.openapi.document import BODY_ERRORS, ERRORS, IDEMPOTENCY_KEY, MODEL_ERRORS, AlsoAs, refusals
from prompts.api.openapi.event_stream import EVENT_STREAM
from prompts.api.openapi.examples import CREATE_RESPONSE
from prompts.api.wire.create_response import (
    CreateResponse,
    check_request,
    compose_echo,
    read_claim,
    read_conversation_id,
    read_model_request,
    unsupported,
)
from prompts.api.wire.ids import ResponseId, check_kind
from prompts.api.wire.include import Include, check_include
from prompts.api.wire.items import InputItem, placing_calls, read_items, user_message
from prompts.api.wire.marks import REFUSED_IF_TRUE
from prompts.domain import ids
from prompts.domain.items import Item
from prompts.domain.responses import Response
from prompts.errors import FailedEarlier, InvalidRequest, ServiceError
from prompts.run.following import follow_response
from prompts.run.run import Run
from prompts.usecases.responses import StoredItem, Turn, cancel_response, create_response, delete_response, get_response

# How often a request that waits for a whole answer looks up when nothing happens; it sends nothing.
QUIET_S = 60.0

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
    include_obfuscation: Annotated[bool, REFUSED_IF_TRUE] = False


class DeletedResponse(Struct):
    """What is left of a deleted response."""

    id: str
    object: Literal["response"] = "response"
    deleted: bool = True


class FollowingController(ApiController):
    """A view that follows responses."""

    is_abstract = True

    def follow(
        self, response_id: str, *, after: int, run: Run | None, quiet_s: float
    ) -> AsyncIterator[Sequence[Event]]:
        """See `follow_response`."""
        return follow_response(
            response_id,
            owner=self.owner,
            after=after,
            quiet_s=quiet_s,
            run=run,
            store=self.state.responses,
            event_log=self.state.event_log,
            followers=self.state.followers,
        )


class ResponsesController(FollowingController):
    """Create a response."""

    tags = ["Responses"]
    header_parameters = (IDEMPOTENCY_KEY,)

    @validate(
        AlsoAs(Response, status_code=HTTPStatus.OK, others=EVENT_STREAM), *CREATE_ERRORS, operation_id="createResponse"
    )
    async def post(self, parsed_body: Annotated[BodyMsgspec[CreateResponse], CREATE_RESPONSE]) -> HttpResponse:
        """Ask the model. With `stream: true` the answer is `text/event-stream`: events as they come, then `[DONE]`."""
        with placing_calls(parsed_body.input, param="input"):
            turn = await create_response(**self._read(parsed_body), **self._ports())
        if not turn.is_replay:
            return await self._answer(parsed_body, turn)
        try:
            response = await self._answer(parsed_body, turn)
        except ServiceError as error:
            response = render_error(error)
        response["idempotency-replayed"] = "true"
        return response

    async def _answer(self, body: CreateResponse, turn: Turn) -> HttpResponse:
        if body.stream:
            events = self.follow(turn.response_id, after=-1, run=turn.run, quiet_s=sse.KEEP_ALIVE_S)
            return cast(
                HttpResponse, await stream(events if body.store is not False else self._discarding(turn, events))
            )
        if body.background and turn.run is not None and not turn.is_replay:
            return json_response(encode(replace(turn.run.response, status="queued")))
        if body.background:
            return json_response((await self.state.responses.get(turn.response_id, owner=self.owner)).body)
        with self.state.followers.join(is_here=turn.run is not None):
            try:
                return await self._whole(turn)
            finally:
                if body.store is False:
                    self.state.runner.discard(turn.response_id)

    async def _discarding(
        self, turn: Turn, events: AsyncIterator[Sequence[Event]]
    ) -> AsyncGenerator[Sequence[Event], None]:
        """The same events; then, or when the client leaves, nothing of the response stays."""
        try:
            async for group in events:
                yield group
        finally:
            self.state.runner.discard(turn.response_id)

    async def _whole(self, turn: Turn) -> HttpResponse:
        """The ended response; its failure is told as an error, with the status that fits it."""
        run, state = turn.run, self.state
        if run is not None:
            await run.wait()
            if run.error is not None:
                raise run.error
            if run.outcome is not None:
                return json_response(run.outcome.result)
        async for _ in self.follow(turn.response_id, after=-1, run=run, quiet_s=QUIET_S):
            pass  # written elsewhere by now: nothing to do but to wait for its end
        stored = await state.responses.get(turn.response_id, owner=self.owner)
        if stored.failure is not None:
            raise FailedEarlier(stored.failure)
        return json_response(stored.body)

    def _read(self, body: CreateResponse) -> dict[str, Any]:
        conversation_id = read_conversation_id(body.conversation)
        check_request(body, conversation_id)
        model_request = read_model_request(body, default_model=self.state.default_model)
        return {
            "owner": self.owner,
            "new_input": self._read_input(body.input),
            "conversation_id": conversation_id,
            "previous_response_id": body.previous_response_id,
            "echo": compose_echo(body, model_request),
            "model_request": model_request,
            "claim": read_claim(self.request, replace(body, stream=None)),
        }

    def _read_input(self, given: str | list[InputItem]) -> Sequence[Item | StoredItem]:
        if isinstance(given, str):
            return [user_message(given)]
        return read_items(given, param="input", unseal=self.unseal)

    def _ports(self) -> dict[str, Any]:
        state = self.state
        return {
            "history_tokens": state.history_tokens,
            "store": state.responses,
            "conversations": state.conversations,
            "model": state.model,
            "calibration": state.calibration,
            "runner": state.runner,
        }


class ResponseController(FollowingController):
    """One response."""

    tags = ["Responses"]

    @validate(
        AlsoAs(Response, status_code=HTTPStatus.OK, others=EVENT_STREAM),
        *ERRORS,
        *refusals(HTTPStatus.GONE),
        operation_id="getResponse",
    )
    async def get(self, parsed_path: Path[ResponsePath], parsed_query: Query[RetrieveQuery]) -> HttpResponse:
        """The response as it stands, or with `stream=true` its events above `starting_after`, live or ended."""
        check_include(parsed_query.include)
        if parsed_query.include_obfuscation:
            raise unsupported("include_obfuscation")
        if parsed_query.starting_after is not None and not parsed_query.stream:
            message = "'starting_after' is a place in a stream. Send it with 'stream=true'."
            raise InvalidRequest(message, param="starting_after")
        response_id, state = _response_id(parsed_path), self.state
        stored = await get_response(response_id, owner=self.owner, store=state.responses)
        if not parsed_query.stream:
            return json_response(stored.body)
        after = -1 if parsed_query.starting_after is None else parsed_query.starting_after
        run = state.runner.find(response_id)
        events = self.follow(response_id, after=after, run=run, quiet_s=sse.KEEP_ALIVE_S)
        return cast(HttpResponse, await stream(events))

    @validate(ResponseSpec(DeletedResponse, status_code=HTTPStatus.OK), *ERRORS, operation_id="deleteResponse")
    async def delete(self, parsed_path: Path[ResponsePath]) -> HttpResponse:
        """Erase the response, its input and its events; what it said stays in the history it joined."""
        response_id = _response_id(parsed_path)
        await delete_response(response_id, owner=self.owner, store=self.state.responses)
        return json_response(encode(DeletedResponse(response_id)))


class CancelController(ApiController):
    """Cancel a response."""

    tags = ["Responses"]

    @validate(
        ResponseSpec(Response, status_code=HTTPStatus.OK),
        *ERRORS,
        *refusals(HTTPStatus.CONFLICT),
        operation_id="cancelResponse",
    )
    async def post(self, parsed_path: Path[ResponsePath]) -> HttpResponse:
        """End an active response, keeping what was written; answered when the model's connection is closed."""
        state = self.state
        stored, is_confirmed = await cancel_response(
            _response_id(parsed_path),
            owner=self.owner,
            store=state.responses,
            event_log=state.event_log,
            runner=state.runner,
        )
        unconfirmed = stored.body[:-1] + b',"eps:cancel_confirmed":false}'
        return json_response(stored.body if is_confirmed else unconfirmed)


async def stream(events: AsyncIterator[Sequence[Event]]) -> StreamingHttpResponse:
    """Events as server-sent events. What is refused is refused before the stream begins."""
    first = await anext(events, None)
    return StreamingHttpResponse(_frames(first, events), content_type=sse.CONTENT_TYPE, headers=sse.HEADERS)


async def _frames(first: Sequence[Event] | None, rest: AsyncIterator[Sequence[Event]]) -> AsyncIterator[bytes]:
    """An error in the middle breaks the connection off: a clean end would look like the end of the answer."""
    if first:
        yield sse.frames(first)
    try:
        async for events in rest:
            yield sse.frames(events) if events else sse.KEEP_ALIVE
    except ServiceError as error:
        log.warning("stream_broken_off", code=error.code)
        raise ConnectionAbortedError from error
    yield sse.DONE


def _response_id(path: ResponsePath) -> str:
    return check_kind(path.response_id, ids.RESPONSE, param="response_id")
