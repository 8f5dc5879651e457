"""What a client asks of a turn, and what becomes of it with the defaults."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from prompts.domain.anchors import Anchor
from prompts.domain.conversations import Metadata
from prompts.domain.items import Item
from prompts.domain.model_request import ModelRequest, ServiceTier, Truncation
from prompts.domain.prompts import UsedPrompt, VariableValue
from prompts.domain.responses import Response
from prompts.domain.text import ReasoningConfig, TextConfig
from prompts.domain.tools import Tool, ToolChoice
from prompts.ports.responses import Claim
from prompts.usecases.items import StoredItem

# OpenAI takes no longer key; the hash of one shares a cache as well.
MAX_CACHE_KEY_CHARACTERS = 64

# What becomes of a turn whose conversation or chain is busy. Without it: it is refused, but an active response that
# nobody reads gives way.
IfBusy: TypeAlias = Literal["reject", "interrupt", "wait"]


@dataclass(frozen=True, slots=True)
class AskedPrompt:
    """A template as a client names it; without a number its default version."""

    id: str
    number: int | None = None
    variables: Mapping[str, VariableValue] = field(default_factory=dict)


class Ask(Struct, frozen=True, kw_only=True):
    """What a client asks of one turn, checked; None where the client said nothing."""

    owner: str
    input: Sequence[Item | StoredItem]
    claim: Claim
    anchor: Anchor = None
    model: str | None = None
    instructions: str | None = None
    tools: Sequence[Tool] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: int | None = None
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    top_logprobs: int | None = None
    max_output_tokens: int | None = None
    truncation: Truncation | None = None
    compact_threshold: int | None = None
    is_compaction: bool = False
    """Whether the answer is to be one compaction of the history, and nothing else."""
    is_warm_up: bool = False
    """Whether no model is to be asked: the response is a place to continue from."""
    is_remembered: bool = False
    """Whether its connection remembers it, when it is not stored."""
    wants_encrypted_reasoning: bool = False
    wants_logprobs: bool = False
    wants_search_results: bool = False
    service_tier: ServiceTier | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    cache_hints: Mapping[str, Any] = {}
    user: str | None = None
    store: bool | None = None
    background: bool | None = None
    metadata: Metadata | None = None
    options: Mapping[str, Any] = {}
    """The model server's own options, as they are."""
    ignored: Sequence[str] = ()
    """What of the request was left out, by its places."""
    if_busy: IfBusy | None = None
    prompt: AskedPrompt | None = None
    # What its template adds (`prompts.usecases.prompting`).
    used_prompt: UsedPrompt | UnsetType = UNSET
    attached: Sequence[str] = ()
    """The variables whose images and files are the first item of the input."""
    granted_stores: Mapping[str, str] = {}
    """Vector stores of others that this turn may search, and whose they are."""
    history_tokens: int | None = None
    wants_follow_ups: bool = False


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a turn takes where its client said nothing, and how much of the history the model is given."""

    model: str
    history_tokens: int

    def get_history_tokens(self, ask: Ask) -> int:
        """How much of its history this turn is given: a template may ask for less."""
        return self.history_tokens if ask.history_tokens is None else min(ask.history_tokens, self.history_tokens)


def build_model_request(ask: Ask, defaults: Defaults) -> ModelRequest:
    """What the model is asked for."""
    return ModelRequest(
        model=ask.model or defaults.model,
        temperature=ask.temperature,
        top_p=ask.top_p,
        presence_penalty=ask.presence_penalty,
        frequency_penalty=ask.frequency_penalty,
        max_output_tokens=ask.max_output_tokens,
        max_tool_calls=ask.max_tool_calls,
        tools=list(ask.tools),
        tool_choice="auto" if ask.tool_choice is None else ask.tool_choice,
        parallel_tool_calls=ask.parallel_tool_calls,
        text=ask.text or TextConfig(),
        reasoning=ask.reasoning or ReasoningConfig(),
        wants_encrypted_reasoning=ask.wants_encrypted_reasoning,
        wants_logprobs=ask.wants_logprobs,
        wants_search_results=True if ask.wants_search_results else UNSET,
        top_logprobs=ask.top_logprobs,
        truncation=ask.truncation or "disabled",
        service_tier=ask.service_tier,
        safety_identifier=ask.safety_identifier,
        prompt_cache_key=_shorten_key(ask.prompt_cache_key),
        cache_hints=dict(ask.cache_hints) if ask.cache_hints else UNSET,
        user=ask.user,
        compact_threshold=ask.compact_threshold,
        is_compaction=True if ask.is_compaction else UNSET,
        is_warm_up=True if ask.is_warm_up else UNSET,
        options=dict(ask.options) if ask.options else UNSET,
        granted_stores=dict(ask.granted_stores) if ask.granted_stores else UNSET,
        wants_follow_ups=True if ask.wants_follow_ups and not ask.is_warm_up else UNSET,
    )


def build_echo(ask: Ask, request: ModelRequest) -> Response:
    """What the response repeats of the request, as it is before its run; its id and time are given at admission."""
    tier = request.service_tier
    return Response(
        id="",
        created_at=0,
        status="in_progress",
        model=request.model,
        instructions=ask.instructions,
        tools=request.tools,
        tool_choice=request.tool_choice,
        truncation=request.truncation,
        parallel_tool_calls=ask.parallel_tool_calls is not False,
        text=request.text,
        top_p=1.0 if ask.top_p is None else ask.top_p,
        presence_penalty=ask.presence_penalty or 0.0,
        frequency_penalty=ask.frequency_penalty or 0.0,
        top_logprobs=ask.top_logprobs or 0,
        temperature=1.0 if ask.temperature is None else ask.temperature,
        reasoning=ask.reasoning,
        max_output_tokens=ask.max_output_tokens,
        max_tool_calls=ask.max_tool_calls,
        store=ask.store is not False,
        background=bool(ask.background),
        service_tier="default" if tier is None or tier == "auto" else tier,
        metadata=ask.metadata or {},
        safety_identifier=ask.safety_identifier,
        prompt_cache_key=ask.prompt_cache_key,
        prompt=ask.used_prompt,
        ignored=list(ask.ignored) if ask.ignored else UNSET,
    )


def _shorten_key(key: str | None) -> str | None:
    """The key as model servers take it."""
    if key is None or len(key) <= MAX_CACHE_KEY_CHARACTERS:
        return key
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
