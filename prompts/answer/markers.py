"""Pure: the markers that a model puts behind what it takes from a passage, found in a text that comes in pieces.

    Four weeks [1], in Berlin six【2】.    →    Four weeks, in Berlin six.    passage 1 at 10, passage 2 at 25

A marker is `[1]`, `[1, 2]`, `[1][2]`, `【1】` or `【1†…】`, all of whose numbers are passages that the model was given.
The blanks before it go with it. Nothing is touched in code, in a link (`[1](…)`, `[text][1]`), behind a backslash, and
behind what looks like a name in a program (`a[1]`, `my_list[1]`, `rows2[1]`).

What may become a marker is held back until it is one, or is none. So the same text gives the same result, whatever the
pieces it comes in.
"""

import copy
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

# So many blanks may belong to a marker: a model that repeats itself writes blanks without end.
_MAX_BLANKS = 64
# Blanks at the end may belong to a marker that is still to come.
_SPECIAL = re.compile(rf"`+|~+|\n|[\[【]|[ \t]{{1,{_MAX_BLANKS}}}\Z")
_NUMBERS = r" ?\d{1,4}(?: ?[,;] ?\d{1,4})* ?"
_MARKER = re.compile(rf"\[{_NUMBERS}\]|【{_NUMBERS}(?:†[^】\n]{{0,80}})?】", re.ASCII)
# What could become one with more text; longer ones are none.
_BEGUN = re.compile(r"\[[ 0-9,;]{0,60}\Z|【[^】\n]{0,100}\Z")
_NUMBER = re.compile(r"[0-9]{1,4}")
_NAME = re.compile(r"[A-Za-z0-9_.]+\Z")
# Of what was shown, as much as a look back needs.
_LOOK_BACK = 64
# A fence of code has three backticks or tildes, behind three blanks at most (CommonMark).
_MIN_FENCE = 3
_MAX_INDENT = 3


@dataclass(frozen=True, slots=True)
class Shown:
    """Text that is shown; `start` and `end` are its places in what the model wrote, in characters."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Cited:
    """A marker that was taken out: the numbers of its passages."""

    numbers: Sequence[int]


class _Run(NamedTuple):
    """Backticks or tildes in a row: a model that repeats itself writes them without end."""

    mark: str
    length: int


class CodeSpans:
    """Whether a text that comes in pieces stands in code at its end: in a fence, or between backticks."""

    def __init__(self) -> None:
        self._opened: _Run | None = None
        """What has begun the code; None outside of code."""
        self._is_fence = False
        self._is_info = False
        """Whether this is the line of the fence itself."""
        self._run: _Run | None = None
        """Backticks or tildes at the end, which may go on."""
        self._run_begins_line = False
        self._indent: int | None = 0
        """The blanks of a line that has nothing else yet."""

    @property
    def is_inside(self) -> bool:
        """Whether what stands behind `add_words` is code."""
        return self._opened is not None

    def add_run(self, characters: str) -> None:
        """Backticks, or tildes."""
        if self._run and self._run.mark != characters[0]:
            self._end_run()
        if not self._run:
            self._run_begins_line = self._indent is not None and self._indent <= _MAX_INDENT
        before = self._run.length if self._run else 0
        self._run = _Run(characters[0], before + len(characters))
        self._indent = None

    def add_words(self, text: str) -> None:
        """Anything else on the same line; nothing, where something else stands."""
        self._end_run()
        if self._indent is not None:
            self._indent = self._indent + len(text) if not text.strip(" \t") else None

    def end_line(self) -> None:
        """The line ends: with an empty one ends a code that nobody has closed."""
        self._end_run()
        if self._opened and not self._is_fence and self._indent is not None:
            self._opened = None
        self._is_info, self._indent = False, 0

    def _end_run(self) -> None:
        run, self._run = self._run, None
        if run and self._opened:
            self._close(run, self._opened)
        elif run and self._run_begins_line and run.length >= _MIN_FENCE:
            self._opened, self._is_fence, self._is_info = run, True, True
        elif run and run.mark == "`":
            self._opened, self._is_fence = run, False

    def _close(self, run: _Run, opened: _Run) -> None:
        if self._is_fence and self._is_info and run.mark == opened.mark == "`":
            self._is_fence = False  # ```so``` is no fence
        if not self._is_fence:
            self._opened = None if run == opened else opened
        elif self._run_begins_line and run.mark == opened.mark and run.length >= opened.length:
            self._opened, self._is_fence = None, False


class MarkerReader:
    """Reads one text piece by piece. `known` are the numbers of the passages that the model was given."""

    def __init__(self, known: Collection[int]) -> None:
        self._known = known
        self._held = ""
        self._place = 0
        """How much of the text came before what is held."""
        self._tail = ""
        """The end of what was shown."""
        self._code = CodeSpans()
        self._eats_blanks = False
        """Whether a marker stood at the beginning of a line: the blanks behind it go, too."""

    def read(self, piece: str) -> list[Shown | Cited]:
        """What can be said for certain after this piece of the text."""
        return list(self._scan(piece, is_end=False))

    def finish(self) -> list[Shown | Cited]:
        """What was held back: the text ends here."""
        return list(self._scan("", is_end=True))

    def preview(self) -> list[Shown | Cited]:
        """What `finish` would give, without an end."""
        return copy.deepcopy(self).finish()

    def _scan(self, piece: str, *, is_end: bool) -> Iterator[Shown | Cited]:
        text, self._held = self._held + piece, ""
        start = at = self._skip_blanks(text, 0)
        while found := _SPECIAL.search(text, at):
            special = found[0]
            before = _skip_back(text, at, found.start()) if special in "[【" else found.start()
            if before > at:
                self._code.add_words(text[at:before])
            at = found.start()
            if special not in "[【":
                if special[0] in " \t" and not is_end and not self._is_code():
                    break
                self._pass(special)
                at = found.end()
                continue
            marker = None if self._is_code() else _MARKER.match(text, at)
            if not is_end and not self._code.is_inside and _is_open(text, at, marker):
                at = before
                break
            if marker is None or not self._is_citation(text, start, before, marker):
                at = found.end() if marker is None else marker.end()
                self._code.add_words(text[before:at])
                continue
            yield from self._show(text, start, before)
            yield Cited(_read_numbers(marker))
            self._eats_blanks = not self._tail or self._tail.endswith("\n")
            start = at = self._skip_blanks(text, marker.end())
        else:
            if at < len(text):
                self._code.add_words(text[at:])
            at = len(text)
        yield from self._show(text, start, at)
        self._held = text[at:]
        self._place += at

    def _is_code(self) -> bool:
        self._code.add_words("")
        return self._code.is_inside

    def _pass(self, special: str) -> None:
        if special == "\n":
            self._code.end_line()
        elif special[0] in "`~":
            self._code.add_run(special)
        else:
            self._code.add_words(special)

    def _skip_blanks(self, text: str, at: int) -> int:
        if self._eats_blanks:
            while at < len(text) and text[at] in " \t":
                at += 1
            self._eats_blanks = at == len(text)
        return at

    def _show(self, text: str, start: int, end: int) -> Iterator[Shown]:
        if end > start:
            shown = text[start:end]
            self._tail = (self._tail + shown)[-_LOOK_BACK:]
            yield Shown(shown, self._place + start, self._place + end)

    def _is_citation(self, text: str, start: int, before: int, marker: re.Match[str]) -> bool:
        """Whether the numbers are passages, and nothing around says that it is code or a link."""
        if not all(number in self._known for number in _read_numbers(marker)):
            return False
        if marker[0][0] == "【":
            return True
        shown = (self._tail + text[max(start, before - _LOOK_BACK) : before])[-_LOOK_BACK:]
        behind = text[marker.end() : marker.end() + 1]
        if behind == "(" or (behind == ":" and (not shown or shown.endswith("\n"))):
            return False
        return before < marker.start() or not _is_code_before(shown)


def _skip_back(text: str, start: int, at: int) -> int:
    """Where the blanks begin that stand at the end."""
    start = max(start, at - _MAX_BLANKS)
    while at > start and text[at - 1] in " \t":
        at -= 1
    return at


def _is_open(text: str, at: int, marker: re.Match[str] | None) -> bool:
    """Whether more text may make it a marker, or what stands behind it may make it none."""
    return _BEGUN.match(text, at) is not None if marker is None else marker.end() == len(text)


def _read_numbers(marker: re.Match[str]) -> list[int]:
    return [int(number) for number in _NUMBER.findall(marker[0].partition("†")[0])]


def _is_code_before(shown: str) -> bool:
    """Whether a bracket behind this text is no marker: an index into something, or the second half of a link."""
    if shown.endswith(("]", "\\")):
        return True
    name = _NAME.search(shown)
    if name is None or (name.start() and shown[name.start() - 1].isalnum()):  # letters that programs do not use
        return False
    word = name[0]
    if word.endswith(".") or word.isdigit():  # the end of a sentence; a year
        return False
    return len(word) == 1 or not word.isalpha() or not (word[1:].islower() or word.isupper())
