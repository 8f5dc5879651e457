"""The models as the Codex CLI reads them: its `ModelInfo`, in openai/codex, codex-rs/protocol/src/openai_models.rs.

It drops the whole list when one field is missing that its release needs, and takes more than it knows. So everything
is there that any release since the first with a catalogue has needed. What cannot be known of a model is null.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct, field

from prompts.domain.model_request import Model

# Takes the place of Codex's own beginning of the instructions; the rest of them (the sandbox, AGENTS.md, skills) stays.
BASE_INSTRUCTIONS = """\
You are a coding agent in the Codex CLI, on the user's own computer. Be precise, safe and helpful.

Work until the task is done: look at files before you change them, use the tools you are offered, and check what you \
have done, with the project's own tests where there are some. Never guess what a file holds or what a command says.

Change files with apply_patch. Make the smallest change that does the whole task, in the style of the code around it. \
Leave alone what you were not asked for, and undo nothing that is not yours.

Say in short what you are about to do before you do it, and at the end what was done, where, and what is left open."""


class ReasoningLevel(Struct, frozen=True):
    """How much a model may be asked to think."""

    effort: str
    description: str


class TruncationPolicy(Struct, frozen=True):
    """How much of a tool's output Codex keeps."""

    mode: Literal["bytes", "tokens"] = "bytes"
    limit: int = 10_000


LEVELS = [
    ReasoningLevel("low", "Quick answers with little thought"),
    ReasoningLevel("medium", "Speed and thought in balance"),
    ReasoningLevel("high", "Long thought for hard problems"),
]


class CodexModel(Struct, frozen=True, kw_only=True):
    """One model of the catalogue."""

    slug: str
    display_name: str
    priority: int
    """The lowest is Codex's default."""
    description: str | None = None
    default_reasoning_level: str | None = None
    supported_reasoning_levels: list[ReasoningLevel] = field(default_factory=lambda: [*LEVELS])
    shell_type: str = "shell_command"
    visibility: str = "list"
    supported_in_api: bool = True
    additional_speed_tiers: list[str] = []
    service_tiers: list[str] = []
    availability_nux: None = None
    upgrade: None = None
    base_instructions: str = BASE_INSTRUCTIONS
    model_messages: None = None
    include_skills_usage_instructions: bool = True
    supports_reasoning_summaries: bool = True
    supports_reasoning_summary_parameter: bool = True
    default_reasoning_summary: str = "auto"
    support_verbosity: bool = False
    default_verbosity: None = None
    apply_patch_tool_type: str | None = "freeform"
    web_search_tool_type: str = "text"
    truncation_policy: TruncationPolicy = TruncationPolicy()
    supports_parallel_tool_calls: bool = True
    supports_image_detail_original: bool = False
    context_window: int | None = None
    auto_compact_token_limit: int | None = None
    effective_context_window_percent: int = 95
    experimental_supported_tools: list[str] = []
    input_modalities: list[str] = field(default_factory=lambda: ["text", "image"])
    supports_search_tool: bool = False
    use_responses_lite: bool = False


def build_catalogue(models: Sequence[Model], *, default: str) -> list[CodexModel]:
    """The catalogue, this server's default first; it alone, where the model's server lists nothing."""
    names = [model.id for model in models] or [default]
    others = [name for name in names if name != default]
    ordered = [default, *others] if default in names else others
    return [
        CodexModel(slug=name, display_name=name, description="Served by this server.", priority=place)
        for place, name in enumerate(ordered)
    ]
