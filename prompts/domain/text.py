"""How the text of an answer is to be formed, and how much a model is to think."""

from typing import Any, TypeAlias

from msgspec import UNSET, Struct, UnsetType


class PlainText(Struct, frozen=True, tag_field="type", tag="text"):
    """Text as it comes."""


class JsonObject(Struct, frozen=True, tag_field="type", tag="json_object"):
    """Any JSON object."""


class JsonSchema(Struct, frozen=True, tag_field="type", tag="json_schema", kw_only=True):
    """A JSON document that this schema describes."""

    name: str
    description: str | None = None
    schema: dict[str, Any] | None
    strict: bool = False


TextFormat: TypeAlias = PlainText | JsonObject | JsonSchema
Verbosity: TypeAlias = str
"""`low`, `medium`, `high`, or what newer models know."""


class TextConfig(Struct, frozen=True):
    """How the text of the answer is to be formed."""

    format: TextFormat = PlainText()
    verbosity: Verbosity | UnsetType = UNSET


ReasoningEffort: TypeAlias = str
"""`none`, `minimal`, `low`, `medium`, `high`, `xhigh`, or what newer models know."""
ReasoningSummary: TypeAlias = str
"""`auto`, `concise`, `detailed`, or what newer models know."""


class ReasoningConfig(Struct, frozen=True):
    """How much the model is to think, and whether it is to say so in short."""

    effort: ReasoningEffort | None = None
    summary: ReasoningSummary | None = None
