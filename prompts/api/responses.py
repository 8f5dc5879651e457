"""`/v1/responses`: create (whole or streamed) and retrieve."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any, cast

import msgspec
from django.http import HttpResponse, StreamingHttpResponse
from dmr import Path, Query, ResponseSpec, validate
from dmr.plugins.msgspec import BodyMsgspec
from msgspec import Meta, Struct

from prompts import ids, sse
from prompts.api.controller import ERRORS, ApiController, check_kind, json_response
from prompts.api.inputs import MAX_INPUT_ITEMS, InputMessage, Metadata, read_messages
from prompts.domain import ModelRequest, Response
from prompts.errors import InvalidRequest, ReplicaLost, UnsupportedParameter
from prompts.responses import create_response, get_response, user_message
from prompts.run import Run

encode = msgspec.json.Encoder().encode


class ConversationParam(Struct, forbid_unknown_fields=True):
    """A conversation named by an object, as the SDK's types allow."""

    id: str


class CreateResponse(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /v1/responses`. What the specification has and we have not built is refused, not ignored."""

    input: str | Annotated[list[InputMessage], Meta(min_length=1, max_length=MAX_INPUT_ITEMS)]
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
    "background": (None, False),
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
    """The query of `GET /v1/responses/{id}`: streaming an earlier response is not built yet."""

    stream: bool = False
    starting_after: int | None = None
    include_obfuscation: bool = False


class ResponsesController(ApiController):
    """Create a response."""

    tags = ["Responses"]

    @validate(ResponseSpec(Response, status_code=HTTPStatus.OK), *ERRORS)
    async def post(self, parsed_body: BodyMsgspec[CreateResponse]) -> HttpResponse:
        """Ask the model. With `stream: true` the answer is `text/event-stream`: events as they come, then `[DONE]`."""
        run = await create_response(**self._read(parsed_body), **self._ports())
        if parsed_body.stream:
            return cast(HttpResponse, stream_run(run))
        await run.wait()
        return _whole(run)

    def _read(self, body: CreateResponse) -> dict[str, Any]:
        conversation_id = _conversation_id(body)
        _check_request(body, conversation_id)
        new_input = (
            [user_message(body.input)] if isinstance(body.input, str) else read_messages(body.input, param="input")
        )
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
        }

    def _ports(self) -> dict[str, Any]:
        state = self.state
        return {
            "history_tokens": state.history_tokens,
            "store": state.responses,
            "model": state.model,
            "runner": state.runner,
        }


class ResponseController(ApiController):
    """One response."""

    tags = ["Responses"]
    unbuilt = frozenset({"DELETE"})

    @validate(ResponseSpec(Response, status_code=HTTPStatus.OK), *ERRORS)
    async def get(self, parsed_path: Path[ResponsePath], parsed_query: Query[RetrieveQuery]) -> HttpResponse:
        """The response as it stands; once it has ended, the object its terminal event carried, byte for byte."""
        for name, neutral in (("stream", False), ("starting_after", None), ("include_obfuscation", False)):
            if getattr(parsed_query, name) != neutral:
                raise _unsupported(name)
        response_id = check_kind(parsed_path.response_id, ids.RESPONSE, param="response_id")
        stored = await get_response(response_id, owner=self.owner, store=self.state.responses)
        return json_response(stored.body)


def stream_run(run: Run) -> StreamingHttpResponse:
    """The run's events as server-sent events."""
    return StreamingHttpResponse(_frames(run), content_type=sse.CONTENT_TYPE, headers=sse.HEADERS)


async def _frames(run: Run) -> AsyncIterator[bytes]:
    async for events in run.follow(quiet_s=sse.KEEP_ALIVE_S):
        yield sse.frames(events) if events else sse.KEEP_ALIVE
    if run.outcome is None:
        # Without a terminal event the connection must break off: a clean end would look like the end of the answer.
        raise _lost()
    yield sse.DONE


def _whole(run: Run) -> HttpResponse:
    if run.error is not None:
        raise run.error
    if run.outcome is None:
        raise _lost()
    return json_response(run.outcome.result)


def _lost() -> ReplicaLost:
    return ReplicaLost("This replica lost the answer it was writing. Send the input again.")


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
    )
