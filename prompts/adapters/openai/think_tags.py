"""Thoughts that stand in the text of an answer, between tags: `<think>…</think>` and its kin.

Servers that know their model's template take them out themselves. For those that do not, a setting names the models:
off by default, because a tag may be meant (a quotation, code). Only what the answer begins with is a thought; a tag
later on is text. No more is held back than what may be a tag's beginning.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

TagMode: TypeAlias = Literal["off", "opened", "begun"]
"""Whether text is looked through: for thoughts that a tag opens, or for what the answer begins with and a tag closes.

The latter is for models whose template has written the opening tag already.
"""

# Qwen, DeepSeek R1 and most others; Cohere; Mistral; Seed; some fine-tunes.
CLOSING = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "<seed:think>": "</seed:think>",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "[THINK]": "[/THINK]",
}
USUAL_TAG = "<think>"
# White space in front of a tag; an answer that begins with more has none.
_MAX_SPACES = 1_000


@dataclass(frozen=True, slots=True)
class TaggedModels:
    """Models whose text holds thoughts: a pattern of their ids, as of a shell."""

    pattern: str
    mode: TagMode = "opened"


def read_tagged_models(written: str) -> TaggedModels:
    """A pattern as an operator writes it: `qwen3*`, or `qwen3*=begun` where the opening tag is the template's."""
    pattern, _, mode = written.rpartition("=")
    return TaggedModels(pattern, "begun") if mode == "begun" and pattern else TaggedModels(written)


def find_mode(tagged: tuple[TaggedModels, ...], model: str) -> TagMode:
    """How this model's text is looked through; the first pattern that fits counts."""
    return next((entry.mode for entry in tagged if fnmatchcase(model, entry.pattern)), "off")


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of an answer's text, and whether it is a thought."""

    text: str
    is_thought: bool


class TaggedText:
    """The text of one answer, taken apart as it comes."""

    def __init__(self, mode: TagMode) -> None:
        self._held = ""
        self._closing: tuple[str, ...] = tuple(CLOSING.values()) if mode == "begun" else ()
        self._place: Literal["start", "thought", "gap", "text"] = "thought" if mode == "begun" else "start"
        self._has_thought = False
        self.tag = USUAL_TAG
        """The tag that the thought was opened with."""

    def take(self, text: str) -> Iterator[Stretch]:
        """The pieces that are certain now, in order."""
        if self._place == "text":
            yield Stretch(text, is_thought=False)
            return
        text, self._held = self._held + text, ""
        if self._place == "start":
            text = yield from self._look_for_opening(text)
        if self._place == "thought":
            text = yield from self._look_for_closing(text)
        if self._place == "gap" and (text := text.lstrip()):
            self._place = "text"
            yield Stretch(text, is_thought=False)

    def finish(self) -> Iterator[Stretch]:
        """The rest that was held back: it was no tag."""
        held, self._held = self._held, ""
        if held:
            yield Stretch(held, is_thought=self._place == "thought")

    def _look_for_opening(self, text: str) -> Generator[Stretch, None, str]:
        """Returns the text after the tag."""
        begun = text.lstrip()
        for tag, closing in CLOSING.items():
            if begun.startswith(tag):
                self.tag, self._closing, self._place = tag, (closing,), "thought"
                return begun[len(tag) :]
        if len(text) - len(begun) <= _MAX_SPACES and any(tag.startswith(begun) for tag in CLOSING):
            self._held = text
        else:
            self._place = "text"
            yield Stretch(text, is_thought=False)
        return ""

    def _look_for_closing(self, text: str) -> Generator[Stretch, None, str]:
        """Returns the text after the tag."""
        places = [(place, tag) for tag in self._closing if (place := text.find(tag)) >= 0]
        if not places:
            held = max(_count_held(text, tag) for tag in self._closing)
            self._held = text[len(text) - held :]
            yield from self._think(text[: len(text) - held])
            return ""
        place, tag = min(places)
        yield from self._think(text[:place])
        self._place = "gap"
        return text[place + len(tag) :]

    def _think(self, text: str) -> Iterator[Stretch]:
        """A piece of the thought, without the white space after the tag."""
        text = text if self._has_thought else text.lstrip()
        if text:
            self._has_thought = True
            yield Stretch(text, is_thought=True)


def _count_held(text: str, tag: str) -> int:
    """How many of the last characters may begin the tag."""
    return next((count for count in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:count])), 0)
