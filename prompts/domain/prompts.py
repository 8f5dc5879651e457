"""Prompts: named templates in immutable versions, and the use of one by a response."""

from typing import Literal, TypeAlias

from msgspec import Struct

from prompts.domain.items import GivenPart
from prompts.domain.text import ReasoningConfig, TextConfig

VariableType: TypeAlias = Literal["any", "string", "number", "enum", "image", "file"]
"""`any` takes text, an image or a file, as OpenAI's variables do."""
Searched: TypeAlias = Literal["always", "auto"]
EVERYBODY = ""
"""The owner of what staff have made for all."""


class Variable(Struct, frozen=True, kw_only=True):
    """A variable of a template. `values` are those of an `enum`; a default is text, whatever the type."""

    name: str
    type: VariableType = "any"
    default: str | None = None
    values: list[str] = []
    description: str | None = None


class Parameters(Struct, frozen=True, kw_only=True):
    """How the model is to answer; None where the template says nothing."""

    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    max_output_tokens: int | None = None
    reasoning: ReasoningConfig | None = None
    text: TextConfig | None = None


class Knowledge(Struct, frozen=True, kw_only=True):
    """The vector stores that are searched: `always`, before the model is asked, or when it wants to.

    `owner` is whose they are; None where they are those of whoever asks.
    """

    vector_store_ids: list[str]
    when: Searched = "always"
    owner: str | None = None


class PromptContent(Struct, frozen=True, kw_only=True):
    """What a version says; it never changes."""

    text: str
    variables: list[Variable] = []
    model: str | None = None
    parameters: Parameters = Parameters()
    knowledge: Knowledge | None = None
    follow_ups: bool = False
    """Whether questions that could be asked next are made as soon as an answer is there."""
    history_tokens: int | None = None
    """How much of the history the model is given; at most what the server gives."""


class PromptVersion(Struct, frozen=True, kw_only=True):
    """One version of a template, with what is known of the template. `number` counts from 1."""

    prompt_id: str
    owner: str
    name: str | None
    number: int
    default_number: int
    latest_number: int
    created_at: int
    content: PromptContent

    @property
    def is_default(self) -> bool:
        """Whether it is used where no version is named."""
        return self.number == self.default_number


VariableValue: TypeAlias = str | GivenPart
"""A number is text by now."""


class UsedPrompt(Struct, frozen=True):
    """What a response repeats of its template: the version that was used, and the variables as they were given."""

    id: str
    version: str
    variables: dict[str, VariableValue] = {}
