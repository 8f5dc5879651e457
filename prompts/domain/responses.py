"""Responses: one answer to one input, and what is kept beside it (Open Responses 2026-04-24, `ResponseResource`)."""

from typing import Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType, field

from prompts.domain.conversations import Metadata
from prompts.domain.items import Item
from prompts.domain.model_request import ServiceTier, Truncation
from prompts.domain.prompts import UsedPrompt
from prompts.domain.text import ReasoningConfig, TextConfig
from prompts.domain.tools import Tool, ToolChoice
from prompts.domain.usage import Usage

Status: TypeAlias = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
ENDED: frozenset[str] = frozenset({"completed", "incomplete", "failed", "cancelled"})
# What a next turn may continue from: these moved their timeline (docs/architecture.md, promise 3).
CONTINUABLE: frozenset[str] = ENDED - {"failed"}


class ResponseError(Struct, frozen=True):
    """Why a response failed: a stable code and one sentence."""

    code: str
    message: str


class IncompleteDetails(Struct, frozen=True):
    """Why an answer ends before its end."""

    reason: str


class ConversationRef(Struct, frozen=True):
    """The conversation a response belongs to."""

    id: str


class Notice(Struct, frozen=True):
    """Something that a client should know of an answer that has not failed: a stable code and one sentence."""

    code: Literal["knowledge_unavailable", "rate_limit_exceeded", "quota_exceeded", "archive_unavailable"]
    message: str


class ModelInput(Struct, frozen=True, kw_only=True):
    """What the model was given: items and their tokens (estimates), and what was left out for want of room."""

    history_items: int
    history_tokens: int
    input_items: int
    input_tokens: int
    instructions_tokens: int
    tools_tokens: int = 0
    dropped_items: int
    history_budget_tokens: int
    calibration: float = 1.0
    """What the model reports, as a multiple of what is estimated; learned from earlier answers."""
    passages: int | UnsetType = UNSET
    """How many passages were found for it; left out, as all of these, where nothing was searched."""
    passages_tokens: int | UnsetType = UNSET
    dropped_passages: int | UnsetType = UNSET
    """Those that fit the search, but not into the room for passages."""


class Response(Struct, frozen=True, kw_only=True):
    """One answer to one input; every key is present, always, also in `response.created` (docs/api.md)."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: Status
    incomplete_details: IncompleteDetails | None = None
    model: str
    previous_response_id: str | None = None
    instructions: str | None = None
    output: list[Item] = []
    error: ResponseError | None = None
    tools: list[Tool] = []
    tool_choice: ToolChoice = "auto"
    truncation: Truncation = "disabled"
    parallel_tool_calls: bool = True
    text: TextConfig = TextConfig()
    top_p: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    top_logprobs: int = 0
    temperature: float = 1.0
    reasoning: ReasoningConfig | None = None
    usage: Usage | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    store: bool = True
    background: bool = False
    service_tier: ServiceTier = "default"
    metadata: Metadata = {}
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    conversation: ConversationRef | UnsetType = UNSET
    prompt: UsedPrompt | UnsetType = UNSET
    """The template that it was asked with; its text stands in `instructions`."""
    model_input: ModelInput | UnsetType = field(default=UNSET, name="eps:model_input")
    ignored: list[str] | UnsetType = field(default=UNSET, name="eps:ignored")
    """What of the request was left out because this server does not know it, by its places."""
    usage_estimated: bool | UnsetType = field(default=UNSET, name="eps:usage_estimated")
    """True when the model's server did not report all of `usage`; else it is left out."""
    notices: list[Notice] | UnsetType = field(default=UNSET, name="eps:notices")
    """What went wrong without failing the answer."""


Score: TypeAlias = Literal[-1, 0, 1]


class Feedback(Struct, frozen=True):
    """What a person thinks of a response: a thumb down, neither, or up; and why, in their words."""

    score: Score
    comment: str | None
    created_at: int


class CompactedHistory(Struct, frozen=True, kw_only=True):
    """A history made short: what the user said, and a compaction for all the rest."""

    id: str
    object: Literal["response.compaction"] = "response.compaction"
    status: Literal["completed"] = "completed"
    """Clients that read it as a response look for it."""
    created_at: int
    output: list[Item]
    usage: Usage
    usage_estimated: bool | UnsetType = field(default=UNSET, name="eps:usage_estimated")
    """True when the model's server did not report all of `usage`; else it is left out."""
