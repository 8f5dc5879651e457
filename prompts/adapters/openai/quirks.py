"""Settings of the model's server: how it wants to be asked, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from prompts.adapters.openai.think_tags import TaggedModels

ReasoningReplay: TypeAlias = Literal["tools", "always", "never"]
"""For which of a history's turns the model's thoughts go back to its server: those with tool calls, all, or none."""
SystemMessages: TypeAlias = Literal["merge", "keep"]
"""What becomes of instructions behind the first user message: into the one at the beginning, or kept in their place."""


@dataclass(frozen=True, slots=True)
class ModelQuirks:
    """How the model's server wants to be asked. `options` are sent unless a request sets the same field."""

    options: Mapping[str, Any] = field(default_factory=dict)
    option_names: frozenset[str] = frozenset()
    """The server's own options that a client may set."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Another name of a model → the id that its server has for it."""
    reasoning_replay: ReasoningReplay = "tools"
    system_messages: SystemMessages = "merge"
    tagged_models: tuple[TaggedModels, ...] = ()


NO_QUIRKS = ModelQuirks()
