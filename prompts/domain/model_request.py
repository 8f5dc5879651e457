"""What a turn asks of the model, and the models that can be asked."""

from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from prompts.domain.text import ReasoningConfig, TextConfig
from prompts.domain.tools import AllowedTools, Tool, ToolChoice, pick_tools

Truncation: TypeAlias = Literal["auto", "disabled"]
ServiceTier: TypeAlias = str
"""`auto`, `default`, `flex`, `priority`, or what newer servers know."""


class Model(Struct, frozen=True):
    """A model that may be asked for."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "unknown"


class ModelRequest(Struct, frozen=True, kw_only=True):
    """What a turn asks of the model, beside its messages; None means the model's own default."""

    model: str
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    tools: list[Tool] = []
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool | None = None
    text: TextConfig = TextConfig()
    reasoning: ReasoningConfig = ReasoningConfig()
    wants_encrypted_reasoning: bool = False
    wants_logprobs: bool = False
    top_logprobs: int | None = None
    truncation: Truncation = "disabled"
    service_tier: ServiceTier | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    user: str | None = None
    compact_threshold: int | None = None
    """From how many tokens (estimates) the history is compacted before the model is asked."""
    is_compaction: bool | UnsetType = UNSET
    """Whether the answer is to be one compaction of the history, and nothing else."""
    is_warm_up: bool | UnsetType = UNSET
    """Whether no model is to be asked: the answer is empty, and a place to continue from."""
    wants_search_results: bool | UnsetType = UNSET
    """Whether the response shows what a search in files has found."""
    traceparent: str | UnsetType = UNSET
    """Who asked, in the words of their trace, for whoever takes the response over (`prompts.ports.tracing`)."""
    cache_hints: dict[str, Any] | UnsetType = UNSET
    """What the client wishes of the server's cache, as it is (`prompt_cache_retention`, `prompt_cache_options`)."""
    granted_stores: dict[str, str] | UnsetType = UNSET
    """Vector stores that the turn's template lets it search, and whose they are; all others are the caller's own."""
    wants_follow_ups: bool | UnsetType = UNSET
    """Whether questions that could be asked next are made when the answer is there."""
    is_metered: bool | UnsetType = UNSET
    """Whether tokens were reserved for the turn, which whoever ends it settles."""
    options: dict[str, Any] | UnsetType = UNSET
    """The model server's own options, by their names there (`top_k`, `min_p` …)."""

    @property
    def offered(self) -> list[Tool]:
        """The tools that the model may call, after `tool_choice`."""
        match self.tool_choice:
            case "none" | AllowedTools(mode="none"):
                return []
            case "auto" | "required":
                return self.tools
            case AllowedTools(allowed):
                return pick_tools(self.tools, allowed)
            case choice:
                return pick_tools(self.tools, [choice])
