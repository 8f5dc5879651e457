"""The body of `POST /v1/responses`: what it may say, and what is read from it."""

import hashlib
import re
from typing import Annotated, Any, Literal

import msgspec
from django.http import HttpRequest
from msgspec import Meta, Struct

from prompts.api.wire.ids import ConversationId, ResponseId, check_kind
from prompts.api.wire.include import ENCRYPTED_REASONING, LOGPROBS, Include, check_include
from prompts.api.wire.items import MAX_INPUT_ITEMS, InputItem, Metadata
from prompts.api.wire.marks import REFUSED, REFUSED_IF_TRUE
from prompts.api.wire.tools import (
    ReasoningParam,
    TextParam,
    ToolChoiceParam,
    Tools,
    read_reasoning,
    read_text,
    read_tool_choice,
    read_tools,
)
from prompts.domain import ids
from prompts.domain.model_request import ModelRequest, ServiceTier, Truncation
from prompts.domain.responses import Response
from prompts.domain.text import ReasoningConfig
from prompts.errors import InvalidRequest, UnsupportedParameter
from prompts.ports.responses import Claim

VISIBLE = re.compile(r"[!-~]{1,255}")
# Without a threshold a history is compacted only when it nears what the model is shown of it.
NO_THRESHOLD = 2**53

encode = msgspec.json.Encoder().encode


class ConversationParam(Struct, forbid_unknown_fields=True):
    """A conversation named by an object, as the SDK's types allow."""

    id: ConversationId


class ContextManagement(Struct, forbid_unknown_fields=True, kw_only=True):
    """When the history is to be compacted by itself."""

    type: Literal["compaction"]
    compact_threshold: Annotated[int, Meta(ge=1)] | None = None


class StreamOptions(Struct, forbid_unknown_fields=True):
    """How the events are sent."""

    include_obfuscation: Annotated[bool, REFUSED_IF_TRUE] | None = None


class CreateResponse(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /v1/responses`. What this server cannot honour is refused, not ignored."""

    input: str | Annotated[list[InputItem], Meta(min_length=1, max_length=MAX_INPUT_ITEMS)]
    model: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    instructions: str | None = None
    conversation: ConversationId | ConversationParam | None = None
    previous_response_id: ResponseId | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    background: bool | None = None
    store: bool | None = None
    metadata: Metadata | None = None
    include: Include | None = None
    tools: Tools | None = None
    tool_choice: ToolChoiceParam | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, Meta(ge=1)] | None = None
    text: TextParam | None = None
    reasoning: ReasoningParam | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    max_output_tokens: Annotated[int, Meta(ge=16, le=2**31)] | None = None
    truncation: Truncation | None = None
    service_tier: ServiceTier | None = None
    safety_identifier: Annotated[str, Meta(max_length=64)] | None = None
    prompt_cache_key: Annotated[str, Meta(max_length=64)] | None = None
    user: Annotated[str, Meta(max_length=256)] | None = None
    context_management: Annotated[list[ContextManagement], Meta(max_length=1)] | None = None
    prompt: Annotated[Any, REFUSED] = None
    prompt_cache_retention: Annotated[str | None, REFUSED] = None


# What this server cannot honour yet.
UNSUPPORTED = ("prompt", "prompt_cache_retention")


def read_claim(request: HttpRequest, body: Struct) -> Claim:
    """What tells a retry from a new request. Raises InvalidRequest for a key that is none."""
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not VISIBLE.fullmatch(key):
        message = "An Idempotency-Key has 1 to 255 visible ASCII characters. Choose another one."
        raise InvalidRequest(message, param="Idempotency-Key")
    retries = request.META.get("HTTP_X_STAINLESS_RETRY_COUNT", "0")
    body_hash = hashlib.sha256(encode(body)).hexdigest()
    return Claim(body_hash=body_hash, idempotency_key=key, is_retry=retries.isdecimal() and int(retries) > 0)


def read_conversation_id(given: str | ConversationParam | None) -> str | None:
    """The id, however it was written."""
    return given.id if isinstance(given, ConversationParam) else given


def check_anchor(conversation_id: str | None, previous_response_id: str | None) -> None:
    """One of the two at most, each of its kind. Raises InvalidRequest."""
    if conversation_id is not None and previous_response_id is not None:
        message = "'conversation' and 'previous_response_id' are mutually exclusive. Send only one of the two."
        raise InvalidRequest(message, param="previous_response_id")
    if conversation_id is not None:
        check_kind(conversation_id, ids.CONVERSATION, param="conversation")
    if previous_response_id is not None:
        check_kind(previous_response_id, ids.RESPONSE, param="previous_response_id")


def check_request(body: CreateResponse, conversation_id: str | None) -> None:
    """What the struct alone cannot say. Raises InvalidRequest."""
    check_anchor(conversation_id, body.previous_response_id)
    if body.store is False:
        _check_unstored(body, conversation_id)
    for name in UNSUPPORTED:
        if getattr(body, name) is not None:
            raise unsupported(name)
    if body.stream_options is not None and body.stream_options.include_obfuscation:
        raise unsupported("stream_options.include_obfuscation")
    check_include(body.include)


def _check_unstored(body: CreateResponse, conversation_id: str | None) -> None:
    if body.background:
        message = "'background' needs 'store': the answer of a response that is not stored goes to its own client only."
        raise InvalidRequest(message, param="background")
    if conversation_id is not None:
        message = "'conversation' needs 'store': what is not stored cannot join a conversation."
        raise InvalidRequest(message, param="store")


def unsupported(name: str) -> UnsupportedParameter:
    """The refusal of a parameter that this server cannot honour."""
    return UnsupportedParameter(f"This server does not support '{name}' yet. Leave it out.", param=name)


def read_model_request(body: CreateResponse, *, default_model: str) -> ModelRequest:
    """What the model is asked for."""
    include = body.include or ()
    tools = read_tools(body.tools)
    thresholds = [entry.compact_threshold or NO_THRESHOLD for entry in body.context_management or ()]
    return ModelRequest(
        model=body.model or default_model,
        temperature=body.temperature,
        top_p=body.top_p,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        max_output_tokens=body.max_output_tokens,
        max_tool_calls=body.max_tool_calls,
        tools=tools,
        tool_choice=read_tool_choice(body.tool_choice, tools),
        parallel_tool_calls=body.parallel_tool_calls,
        text=read_text(body.text),
        reasoning=read_reasoning(body.reasoning) or ReasoningConfig(),
        wants_encrypted_reasoning=ENCRYPTED_REASONING in include,
        wants_logprobs=LOGPROBS in include,
        top_logprobs=body.top_logprobs,
        truncation=body.truncation or "disabled",
        service_tier=body.service_tier,
        safety_identifier=body.safety_identifier,
        prompt_cache_key=body.prompt_cache_key,
        user=body.user,
        compact_threshold=next(iter(thresholds), None),
    )


def compose_echo(body: CreateResponse, model_request: ModelRequest) -> Response:
    """What the response object repeats of the request; its id and time are given later."""
    tier = model_request.service_tier
    return Response(
        id="",
        created_at=0,
        status="in_progress",
        model=model_request.model,
        instructions=body.instructions,
        tools=model_request.tools,
        tool_choice=model_request.tool_choice,
        truncation=model_request.truncation,
        parallel_tool_calls=body.parallel_tool_calls is not False,
        text=model_request.text,
        top_p=1.0 if body.top_p is None else body.top_p,
        presence_penalty=body.presence_penalty or 0.0,
        frequency_penalty=body.frequency_penalty or 0.0,
        top_logprobs=body.top_logprobs or 0,
        temperature=1.0 if body.temperature is None else body.temperature,
        reasoning=read_reasoning(body.reasoning),
        max_output_tokens=body.max_output_tokens,
        max_tool_calls=body.max_tool_calls,
        store=body.store is not False,
        background=bool(body.background),
        service_tier="default" if tier is None or tier == "auto" else tier,
        metadata=body.metadata or {},
        safety_identifier=body.safety_identifier,
        prompt_cache_key=body.prompt_cache_key,
    )
