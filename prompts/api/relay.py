"""`/v1/chat/completions` and `/v1/embeddings`: handed on to the model's server as they are."""

from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Annotated, cast

import structlog
from django.http import HttpResponse, StreamingHttpResponse
from dmr import ResponseSpec, validate
from dmr.plugins.msgspec import BodyMsgspec
from msgspec import Meta, Raw, Struct, field

from prompts.api import sse
from prompts.api.controller import ApiController
from prompts.api.errors import render_pause
from prompts.api.openapi.document import BODY_ERRORS, MODEL_ERRORS, AlsoAs
from prompts.api.openapi.event_stream import CHUNK_STREAM
from prompts.api.openapi.examples import CREATE_CHAT_COMPLETION, CREATE_EMBEDDINGS
from prompts.api.wire.addresses import check_messages, check_parts
from prompts.api.wire.parser import OpaqueJsonParser, read_objects
from prompts.errors import ServiceError
from prompts.ports.relay import RelayedAnswer, RelayPath
from prompts.usecases.relay import RelayRequest, open_relayed

log = structlog.get_logger(__name__)

ModelName = Annotated[str, Meta(min_length=1, max_length=256)]
TRUE = Raw(b"true")
# For the OpenAPI document: the model's server is who checks them. Read here is only what may hold an address.
_LIST_OF_MESSAGES = Meta(extra_json_schema={"type": "array", "items": {"type": "object"}})
_ANYTHING = Meta(extra_json_schema={})
_BOOLEAN = Meta(extra_json_schema={"anyOf": [{"type": "boolean"}, {"type": "null"}]})
_TEXTS = Meta(extra_json_schema={"anyOf": [{"type": "string"}, {"type": "array"}]})


class CreateChatCompletion(Struct, kw_only=True):
    """The body of OpenAI's `POST /v1/chat/completions`. Only `model` is looked at here, and addresses in messages."""

    messages: Annotated[Raw, _LIST_OF_MESSAGES] = field(default_factory=Raw)
    model: ModelName | None = None
    stream: Annotated[Raw, _BOOLEAN] = field(default_factory=Raw)


class CreateEmbeddings(Struct, kw_only=True):
    """The body of OpenAI's `POST /v1/embeddings`. Only `model` is looked at here, and addresses of images.

    `messages` is how vLLM takes images to embed.
    """

    input: Annotated[Raw, _TEXTS] = field(default_factory=Raw)
    messages: Annotated[Raw, _ANYTHING] = field(default_factory=Raw)
    model: ModelName | None = None


class ChatCompletion(Struct):
    """What the model's server answers, as it is."""


class Embeddings(Struct):
    """What the model's server answers, as it is."""


class RelayController(ApiController):
    """A request that the model's server answers."""

    tags = ["Relay"]
    parsers = [OpaqueJsonParser()]

    def check_addresses(self, messages: Raw) -> None:
        """Raises InvalidRequest for an address that the model's server shall not open."""
        check_messages(read_objects(messages), self.state.reading.media_hosts)

    async def hand_on(self, path: RelayPath, *, model: str | None, is_stream: bool) -> HttpResponse:
        """The server's own answer."""
        request = RelayRequest(self.owner, path, self.request.body, model, is_stream, self.caller.token_limits)
        opened, parts = await open_relayed(
            request, self.state.relay, quiet_s=self.state.turns.followers.pace.keep_alive_s
        )
        self.tell_tokens(opened.tokens_left)
        answer = opened.answer
        if answer.whole is None:
            return cast(HttpResponse, _stream(answer, parts))
        response = HttpResponse(answer.whole, status=answer.status, content_type=answer.content_type)
        if answer.retry_after_s is not None:
            response["Retry-After"] = render_pause(answer.retry_after_s)
        return response


class ChatCompletionsController(RelayController):
    """Chat Completions, for clients that speak nothing else."""

    @validate(
        AlsoAs(ChatCompletion, status_code=HTTPStatus.OK, others=CHUNK_STREAM),
        *BODY_ERRORS,
        *MODEL_ERRORS,
        operation_id="createChatCompletion",
    )
    async def post(
        self, parsed_body: Annotated[BodyMsgspec[CreateChatCompletion], CREATE_CHAT_COMPLETION]
    ) -> HttpResponse:
        """Ask the model's server in its own words: handed on as it is, streamed on demand, and nothing is kept."""
        self.check_addresses(parsed_body.messages)
        return await self.hand_on("/chat/completions", model=parsed_body.model, is_stream=parsed_body.stream == TRUE)


class EmbeddingsController(RelayController):
    """Vectors of texts."""

    @validate(
        ResponseSpec(Embeddings, status_code=HTTPStatus.OK),
        *BODY_ERRORS,
        *MODEL_ERRORS,
        operation_id="createEmbeddings",
    )
    async def post(self, parsed_body: Annotated[BodyMsgspec[CreateEmbeddings], CREATE_EMBEDDINGS]) -> HttpResponse:
        """Vectors of texts: handed on to the model's server as it is, and nothing is kept."""
        self.check_addresses(parsed_body.messages)
        given = read_objects(parsed_body.input)
        if isinstance(given, (list, dict)):
            check_parts(given, self.state.reading.media_hosts, "input")
        return await self.hand_on("/embeddings", model=parsed_body.model, is_stream=False)


def _stream(answer: RelayedAnswer, parts: AsyncGenerator[bytes, None]) -> StreamingHttpResponse:
    is_events = answer.content_type.startswith("text/event-stream")
    headers = sse.HEADERS if is_events else {}
    return StreamingHttpResponse(
        _pass_on(parts), status=answer.status, content_type=answer.content_type, headers=headers
    )


async def _pass_on(parts: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """An error in the middle breaks the connection off: a clean end would look like the end of the answer."""
    try:
        async for data in parts:
            yield data or sse.COMMENT
    except ServiceError as error:
        log.warning("stream_broken_off", code=error.code)
        raise ConnectionAbortedError from error
