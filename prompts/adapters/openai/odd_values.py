"""Values of another type than the protocol says: an object or a list for a string, a string or a float for a count."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from prompts.adapters.openai.lines import too_large

PartKind: TypeAlias = Literal["text", "thought", "refusal"]

# Parts of parts: Mistral's thinking holds a list of texts. Nothing real lies deeper.
_MAX_DEPTH = 4
# Of one content: a stream's has one, a whole answer's some dozens.
MAX_PARTS = 1_000
# More than any count has; Python refuses thousands of them.
_MAX_DIGITS = 18
# Under which names an object holds its text, most telling first.
_TEXT_NAMES = ("text", "content", "thinking", "reasoning", "summary", "refusal", "value")
_KINDS: dict[str, PartKind] = {
    "text": "text",
    "output_text": "text",
    "input_text": "text",
    "thinking": "thought",
    "thought": "thought",
    "reasoning": "thought",
    "reasoning_text": "thought",
    "reasoning.text": "thought",
    "reasoning.summary": "thought",
    "refusal": "refusal",
}


@dataclass(frozen=True, slots=True)
class SaidPart:
    """Some text of an answer, and what it is."""

    kind: PartKind
    text: str


def read_text(value: Any, depth: int = 0) -> str:
    """The text of a string, a number, an object that holds one, or a list of these; empty when there is none."""
    if isinstance(value, str):
        return value
    if depth > _MAX_DEPTH or value is None or isinstance(value, bool):
        return ""
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, list):
        return "".join(read_text(entry, depth + 1) for entry in value)
    if isinstance(value, dict):
        return next((text for name in _TEXT_NAMES if (text := read_text(value.get(name), depth + 1))), "")
    return ""


def read_parts(content: Any) -> Iterator[SaidPart]:
    """The parts of a content that is no string. Parts of other kinds (references, images) are left out.

    Mistral's reasoning models answer so: https://docs.mistral.ai/capabilities/reasoning/. Raises AnswerTooLarge.
    """
    if isinstance(content, list) and len(content) > MAX_PARTS:
        raise too_large()
    for part in content if isinstance(content, list) else [content]:
        kind = _KINDS.get(str(part.get("type", "text"))) if isinstance(part, dict) else "text"
        if kind is not None and (text := read_text(part)):
            yield SaidPart(kind, text)


def read_integer(value: Any) -> int | None:
    """3 for 3, 3.0 and "3"; None for what is no whole number."""
    if isinstance(value, int):
        return None if isinstance(value, bool) else value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and len(value) <= _MAX_DIGITS and value.strip().isdecimal():
        return int(value)
    return None
