"""Pure: what is different between two versions of a prompt, as people read it."""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from prompts.domain.prompts import Knowledge, Parameters, PromptContent, Variable

Kind: TypeAlias = Literal["same", "added", "removed", "gap"]

# Lines that are the same, before and behind those that are not.
CONTEXT_LINES = 3
# Comparing takes the square of these in the worst case, which an owner can write: beyond, all between is "changed".
MAX_LINES = 3_000
MAX_WORDS = 600
# Of all lines together, pairs of words: about a tenth of a second, in which turns wait for the processor.
MAX_PAIRS = 1_000_000
# Two lines that have less in common are another line, not a changed one.
MIN_LIKENESS = 0.4
_WORD = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Piece:
    """Some words of a line, and whether they are what changed in it."""

    text: str
    is_changed: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A line of either version, with its numbers there; of a `gap`, how many lines it leaves out."""

    kind: Kind
    old: int | None = None
    new: int | None = None
    pieces: Sequence[Piece] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Field:
    """What both versions say about one thing; an empty text where one says nothing."""

    name: str
    old: str
    new: str

    @property
    def is_changed(self) -> bool:
        """Whether they say different things."""
        return self.old != self.new


def compare_texts(old: str, new: str) -> list[Line]:
    """The lines of both, in order; long stretches that are the same are gaps. Empty when the texts are equal."""
    if old == new:
        return []
    return list(_leave_out(list(_compare_lines(old.split("\n"), new.split("\n")))))


def compare_variables(old: Sequence[Variable], new: Sequence[Variable]) -> list[Field]:
    """Each variable of either, in the new order, those that are gone last."""
    before, after = ({each.name: describe_variable(each) for each in side} for side in (old, new))
    names = dict.fromkeys([*after, *before])
    return [Field(name, before.get(name, ""), after.get(name, "")) for name in names]


def compare_settings(old: PromptContent, new: PromptContent) -> list[Field]:
    """Everything else that a version says, changed or not."""
    before, after = dict(list_settings(old)), dict(list_settings(new))
    return [Field(name, before[name], after[name]) for name in before]


def describe_variable(variable: Variable) -> str:
    """Its type, default and description, on a line."""
    values = f" of {', '.join(variable.values)}" if variable.values else ""
    default = "" if variable.default is None else f", {variable.default!r} where nothing is given"
    described = f" – {variable.description}" if variable.description else ""
    return f"{variable.type}{values}{default}{described}"


def list_settings(content: PromptContent) -> Iterator[tuple[str, str]]:
    """All but the text and the variables; the same names in the same order for every version."""
    yield "Model", content.model or ""
    yield from _list_parameters(content.parameters)
    yield "Knowledge", _describe_knowledge(content.knowledge)
    yield "Follow-ups", "suggested" if content.follow_ups else ""
    yield "History budget", "" if content.history_tokens is None else f"{content.history_tokens:,} tokens"


def _list_parameters(parameters: Parameters) -> Iterator[tuple[str, str]]:
    reasoning = parameters.reasoning
    yield "Temperature", _show(parameters.temperature)
    yield "Top p", _show(parameters.top_p)
    yield "Presence penalty", _show(parameters.presence_penalty)
    yield "Frequency penalty", _show(parameters.frequency_penalty)
    yield "Longest answer", "" if parameters.max_output_tokens is None else f"{parameters.max_output_tokens:,} tokens"
    yield "Reasoning effort", (reasoning and reasoning.effort) or ""
    yield "Reasoning summary", (reasoning and reasoning.summary) or ""
    yield "Form of the answer", "" if parameters.text is None else msgspec.json.encode(parameters.text).decode()


def _describe_knowledge(knowledge: Knowledge | None) -> str:
    if knowledge is None:
        return ""
    whose = f", of {knowledge.owner}" if knowledge.owner else ""
    when = "always" if knowledge.when == "always" else "when the model wants to"
    return f"{', '.join(knowledge.vector_store_ids)}{whose}, {when}"


def _show(number: float | None) -> str:
    return "" if number is None else f"{number:g}"


def _compare_lines(old: Sequence[str], new: Sequence[str]) -> Iterator[Line]:
    room = MAX_PAIRS
    for tag, old_from, old_to, new_from, new_to in _list_changes(old, new):
        if tag == "equal":
            for offset, text in enumerate(old[old_from:old_to]):
                yield Line("same", old_from + offset + 1, new_from + offset + 1, [Piece(text)])
            continue
        removed, added = old[old_from:old_to], new[new_from:new_to]
        pairs = []
        for before, after in zip(removed, added, strict=False):
            words, others = _WORD.findall(before), _WORD.findall(after)
            room -= len(words) * len(others)
            pairs.append(_compare_words(words, others) if room >= 0 else ([Piece(before)], [Piece(after)]))
        for offset, text in enumerate(removed):
            pieces = pairs[offset][0] if offset < len(pairs) else [Piece(text)]
            yield Line("removed", old=old_from + offset + 1, pieces=pieces)
        for offset, text in enumerate(added):
            pieces = pairs[offset][1] if offset < len(pairs) else [Piece(text)]
            yield Line("added", new=new_from + offset + 1, pieces=pieces)


def _list_changes(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, int, int, int, int]]:
    """As difflib's; where there is too much to compare, all between the same beginning and end is one change."""
    if max(len(old), len(new)) <= MAX_LINES:
        yield from difflib.SequenceMatcher(None, old, new).get_opcodes()
        return
    begin = next((place for place, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), None)
    begin = min(len(old), len(new)) if begin is None else begin
    end = 0
    while end < min(len(old), len(new)) - begin and old[-1 - end] == new[-1 - end]:
        end += 1
    yield "equal", 0, begin, 0, begin
    yield "replace", begin, len(old) - end, begin, len(new) - end
    yield "equal", len(old) - end, len(old), len(new) - end, len(new)


def _compare_words(before: Sequence[str], after: Sequence[str]) -> tuple[list[Piece], list[Piece]]:
    """Both lines, with the words that are not in the other."""
    whole = [Piece("".join(before))], [Piece("".join(after))]
    if max(len(before), len(after)) > MAX_WORDS:
        return whole
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    if matcher.ratio() < MIN_LIKENESS:
        return whole
    removed, added = [], []
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        removed.append(Piece("".join(before[old_from:old_to]), tag != "equal"))
        added.append(Piece("".join(after[new_from:new_to]), tag != "equal"))
    return [piece for piece in removed if piece.text], [piece for piece in added if piece.text]


def _leave_out(lines: Sequence[Line]) -> Iterator[Line]:
    """The lines without those that are the same and far from any change."""
    changed = [place for place, line in enumerate(lines) if line.kind != "same"]
    near = {place + offset for place in changed for offset in range(-CONTEXT_LINES, CONTEXT_LINES + 1)}
    left_out = 0
    for place, line in enumerate(lines):
        if place not in near:
            left_out += 1
            continue
        if left_out:
            yield Line("gap", left_out=left_out)
            left_out = 0
        yield line
    if left_out:
        yield Line("gap", left_out=left_out)
