"""The body of `POST /v1/responses`: what it may say, and what is read from it."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from django.http import HttpRequest
from msgspec import UNSET, Meta, Struct, UnsetType, field

from prompts.api.wire.formats import ReasoningParam, TextParam, Word, read_reasoning, read_text
from prompts.api.wire.ids import ConversationId, ResponseId
from prompts.api.wire.include import ENCRYPTED_REASONING, LOGPROBS, SEARCH_RESULTS, Include, check_include
from prompts.api.wire.items import MAX_INPUT_ITEMS, InputItem, Metadata
from prompts.api.wire.parts import missing
from prompts.api.wire.prompts import PromptParam, read_prompt
from prompts.api.wire.tool_choice import ToolChoiceParam, read_tool_choice
from prompts.api.wire.tools import Tools, read_tools
from prompts.api.wire.unknown import Unknown
from prompts.domain.anchors import Anchor, InConversation
from prompts.domain.items import Item
from prompts.domain.model_request import Truncation
from prompts.errors import InvalidRequest
from prompts.ports.responses import Claim
from prompts.usecases.anchors import read_anchor
from prompts.usecases.ask import Ask, IfBusy
from prompts.usecases.items import StoredItem

# A hint of any length: what the model's server is told is short (`prompts.usecases.ask`).
CacheKey = Annotated[str, Meta(max_length=4_096)]

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

    include_obfuscation: Annotated[bool, Meta(description="Pad the deltas with `obfuscation`.")] | None = None


class CreateResponse(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /v1/responses`. What this server cannot honour is refused; what it does not know is named."""

    hands_options_on: ClassVar[bool] = True
    """Whether the model server's own options may stand beside these fields."""

    input: str | Annotated[list[InputItem], Meta(min_length=1, max_length=MAX_INPUT_ITEMS)] | UnsetType | None = UNSET
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
    service_tier: Word | None = None
    safety_identifier: Annotated[str, Meta(max_length=64)] | None = None
    prompt_cache_key: CacheKey | None = None
    user: Annotated[str, Meta(max_length=256)] | None = None
    context_management: Annotated[list[ContextManagement], Meta(max_length=1)] | None = None
    # Unset, not null, when left out: the hash of a body must not depend on it (`read_claim`).
    if_busy: IfBusy | UnsetType | None = field(default=UNSET, name="eps:if_busy")
    prompt: PromptParam | None = None
    prompt_cache_retention: Word | None = None
    # Unset, so that the hash of a body without it is the one that the last release makes.
    prompt_cache_options: dict[str, Any] | UnsetType | None = UNSET


def read_claim(request: HttpRequest, body: Struct, options: Mapping[str, Any] | None = None) -> Claim:
    """What tells a retry from a new request. Raises InvalidRequest for a key that is none."""
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not VISIBLE.fullmatch(key):
        message = "An Idempotency-Key has 1 to 255 visible ASCII characters. Choose another one."
        raise InvalidRequest(message, param="Idempotency-Key")
    retries = request.META.get("HTTP_X_STAINLESS_RETRY_COUNT", "0")
    is_retry = retries.isdecimal() and retries.strip("0") != ""
    return Claim(body_hash=hash_body(body, options), idempotency_key=key, is_retry=is_retry)


def hash_body(body: Struct, options: Mapping[str, Any] | None) -> str:
    """What tells one body from another, whichever transport brought it."""
    asked = encode(body) + encode(options) if options else encode(body)
    return hashlib.sha256(asked).hexdigest()


def read_conversation_id(given: str | ConversationParam | None) -> str | None:
    """The id, however it was written."""
    return given.id if isinstance(given, ConversationParam) else given


def read_ask(
    body: CreateResponse,
    *,
    owner: str,
    new_input: Sequence[Item | StoredItem],
    claim: Claim,
    unknown: Unknown,
    is_compaction: bool = False,
) -> Ask:
    """What the client asks. Raises InvalidRequest for what the struct alone cannot say, NotFound (a prompt)."""
    anchor = read_anchor(read_conversation_id(body.conversation), body.previous_response_id)
    _check(body, anchor)
    check_include(body.include, unknown)
    include, tools, prompt = body.include or (), read_tools(body.tools, unknown), read_prompt(body.prompt, unknown)
    thresholds = [entry.compact_threshold or NO_THRESHOLD for entry in body.context_management or ()]
    return Ask(
        owner=owner,
        input=new_input,
        claim=claim,
        anchor=anchor,
        model=body.model,
        instructions=body.instructions,
        tools=tools,
        tool_choice=read_tool_choice(body.tool_choice, tools, unknown, has_prompt=body.prompt is not None),
        parallel_tool_calls=body.parallel_tool_calls,
        max_tool_calls=body.max_tool_calls,
        text=None if body.text is None else read_text(body.text),
        reasoning=read_reasoning(body.reasoning),
        temperature=body.temperature,
        top_p=body.top_p,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        top_logprobs=body.top_logprobs,
        max_output_tokens=body.max_output_tokens,
        truncation=body.truncation,
        compact_threshold=next(iter(thresholds), None),
        wants_encrypted_reasoning=ENCRYPTED_REASONING in include,
        wants_logprobs=LOGPROBS in include,
        wants_search_results=SEARCH_RESULTS in include,
        service_tier=body.service_tier,
        safety_identifier=body.safety_identifier,
        prompt_cache_key=body.prompt_cache_key,
        cache_hints=_list_cache_hints(body),
        user=body.user,
        store=body.store,
        background=body.background,
        metadata=body.metadata,
        options=unknown.options,
        ignored=unknown.list_names(),
        is_compaction=is_compaction,
        if_busy=body.if_busy or None,
        prompt=prompt,
    )


def _list_cache_hints(body: CreateResponse) -> dict[str, Any]:
    hints = {
        "prompt_cache_options": body.prompt_cache_options,
        "prompt_cache_retention": body.prompt_cache_retention,
    }
    return {name: value for name, value in hints.items() if value}


def _check(body: CreateResponse, anchor: Anchor) -> None:
    if body.store is False:
        _check_unstored(body, anchor)
    if body.prompt is None and not isinstance(body.input, (str, list)):
        raise missing("input")


def _check_unstored(body: CreateResponse, anchor: Anchor) -> None:
    if body.background:
        message = "'background' needs 'store': the answer of a response that is not stored goes to its own client only."
        raise InvalidRequest(message, param="background")
    if isinstance(anchor, InConversation):
        message = "'conversation' needs 'store': what is not stored cannot join a conversation."
        raise InvalidRequest(message, param="store")
