"""`/v1/responses`: create (whole, streamed, in the background), retrieve, follow, cancel, delete."""

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Literal, cast

import msgspec
import structlog
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from dmr import Path, Query, ResponseSpec, validate
from dmr.plugins.msgspec import BodyMsgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from prompts import ids, sse
from prompts.api.controller import ERRORS, ApiController, check_kind, json_response
from prompts.api.errors import render_error
from prompts.api.inputs import MAX_INPUT_ITEMS, InputItem, Metadata, read_items
from prompts.domain import ModelRequest, Response
from prompts.errors import FailedEarlier, InvalidRequest, ServiceError, UnsupportedParameter
from prompts.events import Event
from prompts.follow import follow_response
from prompts.ports import Claim
from prompts.responses import Turn, cancel_response, create_response, delete_response, get_response, user_message
from prompts.run import Run

# How often a request that waits for a whole answer looks up when nothing happens; it sends nothing.
QUIET_S = 60.0
VISIBLE = re.compile(r"[!-~]{1,255}")

encode = msgspec.json.Encoder().encode

log = structlog.get_logger(__name__)


class ConversationParam(Struct, forbid_unknown_fields=True):
    """A conversation named by an object, as the SDK's types allow."""

    id: str


class CreateResponse(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /v1/responses`. What the specification has and we have not built is refused, not ignored."""

    input: str | Annotated[list[InputItem], Meta(min_length=1, max_length=MAX_INPUT_ITEMS)]
    model: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    instructions: str | None = None
    conversation: str | ConversationParam | None = None
    previous_response_id: str | None = None
    stream: bool | None = None
    metadata: Metadata | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    max_output_tokens: Annotated[int, Meta(ge=16, le=2**31)] | None = None
    max_tool_calls: Annotated[int, Meta(ge=1)] | None = None
    background: bool | None = None
    context_management: Any = None
    include: list[str] | None = None
    parallel_tool_calls: bool | None = None
    prompt: Any = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    reasoning: Any = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    stream_options: Any = None
    text: Any = None
    tool_choice: Any = None
    tools: list[Any] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    truncation: str | None = None
    user: str | None = None


# What is not built, and the values that ask for nothing beyond what is.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "context_management": (None, []),
    "include": (None, []),
    "max_tool_calls": (None,),
    "parallel_tool_calls": (None, True),
    "prompt": (None,),
    "prompt_cache_key": (None,),
    "prompt_cache_retention": (None,),
    "reasoning": (None, {}),
    "safety_identifier": (None,),
    "service_tier": (None, "auto", "default"),
    "store": (None, True),
    "stream_options": (None, {}),
    "text": (None, {}, {"format": {"type": "text"}}),
    "tool_choice": (None, "auto"),
    "tools": (None, []),
    "top_logprobs": (None, 0),
    "truncation": (None, "disabled"),
    "user": (None,),
}


class ResponsePath(Struct):
    """`/v1/responses/{response_id}`."""

    response_id: str


class RetrieveQuery(Struct, forbid_unknown_fields=True):
    """The query of `GET /v1/responses/{id}`."""

    stream: bool = False
    starting_after: Annotated[int, Meta(ge=0)] | None = None
    include_obfuscation: bool = False


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

    @validate(ResponseSpec(Response, status_code=HTTPStatus.OK), *ERRORS)
    async def post(self, parsed_body: BodyMsgspec[CreateResponse]) -> HttpResponse:
        """Ask the model. With `stream: true` the answer is `text/event-stream`: events as they come, then `[DONE]`."""
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
            return cast(HttpResponse, await stream(events))
        if body.background and turn.run is not None and not turn.is_replay:
            return json_response(encode(replace(turn.run.response, status="queued")))
        if body.background:
            return json_response((await self.state.responses.get(turn.response_id, owner=self.owner)).body)
        with self.state.followers.join(is_here=turn.run is not None):
            return await self._whole(turn)

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
        conversation_id = _conversation_id(body)
        _check_request(body, conversation_id)
        new_input = [user_message(body.input)] if isinstance(body.input, str) else read_items(body.input, param="input")
        model_request = ModelRequest(
            model=body.model or self.state.default_model,
            temperature=body.temperature,
            top_p=body.top_p,
            presence_penalty=body.presence_penalty,
            frequency_penalty=body.frequency_penalty,
            max_output_tokens=body.max_output_tokens,
        )
        return {
            "owner": self.owner,
            "new_input": new_input,
            "conversation_id": conversation_id,
            "previous_response_id": body.previous_response_id,
            "echo": _echo(body, model_request),
            "model_request": model_request,
            "claim": read_claim(self.request, replace(body, stream=None)),
        }

    def _ports(self) -> dict[str, Any]:
        state = self.state
        return {
            "history_tokens": state.history_tokens,
            "store": state.responses,
            "conversations": state.conversations,
            "model": state.model,
            "runner": state.runner,
        }


class ResponseController(FollowingController):
    """One response."""

    tags = ["Responses"]

    @validate(ResponseSpec(Response, status_code=HTTPStatus.OK), *ERRORS)
    async def get(self, parsed_path: Path[ResponsePath], parsed_query: Query[RetrieveQuery]) -> HttpResponse:
        """The response as it stands, or with `stream=true` its events above `starting_after`, live or ended."""
        if parsed_query.include_obfuscation:
            raise _unsupported("include_obfuscation")
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

    @validate(ResponseSpec(DeletedResponse, status_code=HTTPStatus.OK), *ERRORS)
    async def delete(self, parsed_path: Path[ResponsePath]) -> HttpResponse:
        """Erase the response, its input and its events; what it said stays in the history it joined."""
        response_id = _response_id(parsed_path)
        await delete_response(response_id, owner=self.owner, store=self.state.responses)
        return json_response(encode(DeletedResponse(response_id)))


class CancelController(ApiController):
    """Cancel a response."""

    tags = ["Responses"]

    @validate(ResponseSpec(Response, status_code=HTTPStatus.OK), *ERRORS)
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


def read_claim(request: HttpRequest, body: Struct) -> Claim:
    """What tells a retry from a new request. Raises InvalidRequest for a key that is none."""
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not VISIBLE.fullmatch(key):
        message = "An Idempotency-Key has 1 to 255 visible ASCII characters. Choose another one."
        raise InvalidRequest(message, param="Idempotency-Key")
    retries = request.META.get("HTTP_X_STAINLESS_RETRY_COUNT", "0")
    body_hash = hashlib.sha256(encode(body)).hexdigest()
    return Claim(body_hash=body_hash, idempotency_key=key, is_retry=retries.isdecimal() and int(retries) > 0)


def _response_id(path: ResponsePath) -> str:
    return check_kind(path.response_id, ids.RESPONSE, param="response_id")


def _conversation_id(body: CreateResponse) -> str | None:
    return body.conversation.id if isinstance(body.conversation, ConversationParam) else body.conversation


def _check_request(body: CreateResponse, conversation_id: str | None) -> None:
    """What the struct alone cannot say. Raises InvalidRequest."""
    if conversation_id is not None and body.previous_response_id is not None:
        message = "'conversation' and 'previous_response_id' are mutually exclusive. Send only one of the two."
        raise InvalidRequest(message, param="previous_response_id")
    if conversation_id is not None:
        check_kind(conversation_id, ids.CONVERSATION, param="conversation")
    if body.previous_response_id is not None:
        check_kind(body.previous_response_id, ids.RESPONSE, param="previous_response_id")
    for name, neutral in NEUTRAL.items():
        if getattr(body, name) not in neutral:
            raise _unsupported(name)


def _unsupported(name: str) -> UnsupportedParameter:
    return UnsupportedParameter(f"This server does not support '{name}' yet. Leave it out.", param=name)


def _echo(body: CreateResponse, model_request: ModelRequest) -> Response:
    """What the response object repeats of the request; its id and time are given later."""
    return Response(
        id="",
        created_at=0,
        status="in_progress",
        model=model_request.model,
        instructions=body.instructions,
        top_p=1.0 if body.top_p is None else body.top_p,
        temperature=1.0 if body.temperature is None else body.temperature,
        presence_penalty=body.presence_penalty or 0.0,
        frequency_penalty=body.frequency_penalty or 0.0,
        max_output_tokens=body.max_output_tokens,
        metadata=body.metadata or {},
        background=bool(body.background),
    )
