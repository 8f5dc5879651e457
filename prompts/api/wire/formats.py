"""How a client asks for the text of an answer to be formed, and for the model to think."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct

from prompts.api.wire.items import Name
from prompts.domain.text import JsonObject, JsonSchema, PlainText, ReasoningConfig, TextConfig

# A word of a newer model than this server: its server says whether it takes it.
Word = Annotated[str, Meta(min_length=1, max_length=64)]


class PlainTextParam(Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    """Text as it comes."""


class JsonObjectParam(Struct, tag_field="type", tag="json_object", forbid_unknown_fields=True):
    """Any JSON object."""


class JsonSchemaParam(Struct, tag_field="type", tag="json_schema", forbid_unknown_fields=True, kw_only=True):
    """A JSON document that this schema describes."""

    name: Name
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class TextParam(Struct, forbid_unknown_fields=True):
    """How the text of the answer is to be formed."""

    format: PlainTextParam | JsonObjectParam | JsonSchemaParam | None = None
    verbosity: Word | None = None


class ReasoningParam(Struct, forbid_unknown_fields=True):
    """How much the model is to think, and whether it is to say so in short."""

    effort: Word | None = None
    summary: Word | None = None


def read_text(text: TextParam | None) -> TextConfig:
    """The form of the answer."""
    if text is None:
        return TextConfig()
    verbosity = text.verbosity or UNSET
    match text.format:
        case JsonSchemaParam(name=name, schema=schema, description=description, strict=strict):
            form = JsonSchema(name=name, schema=schema, description=description, strict=bool(strict))
            return TextConfig(form, verbosity)
        case JsonObjectParam():
            return TextConfig(JsonObject(), verbosity)
    return TextConfig(PlainText(), verbosity)


def read_reasoning(reasoning: ReasoningParam | None) -> ReasoningConfig | None:
    """What is asked of the model's thinking; None when nothing is."""
    if reasoning is None or reasoning == ReasoningParam():
        return None
    return ReasoningConfig(reasoning.effort, reasoning.summary)
