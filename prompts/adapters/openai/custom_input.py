"""The input of a custom tool, taken out of the JSON of its function's arguments while they are being written.

A model is to write `{"input": "…"}`. What comes before the text, and after it, is held back or left out; the text goes
on at once. Models also write other things, and each has a sensible input:

    the text itself, without JSON        is the input
    another key, or the key later        the one text in it, known at the end
    line breaks and quotes as they are   are taken as they are: a quote ends the text only before `}`, `,` or the end
    an escape that JSON has not          stands for itself
    half of a surrogate pair             is replaced (U+FFFD)
"""

import json
import re
from typing import Any, Literal, TypeAlias

from prompts.adapters.openai.flat_calls import INPUT

_Mode: TypeAlias = Literal["begin", "text", "after", "plain", "other"]
"""Before the text, in it, behind it; text without JSON; JSON that is read at its end."""

_OPENING = re.compile(rf'\s*\{{\s*"{INPUT}"\s*:\s*"')
_COMPACT_OPENING = f'{{"{INPUT}":"'
# White space that a model begins with; beyond it, it is no opening.
_MAX_OPENING_CHARACTERS = 1_000
# White space that may stand behind the text's end, while that waits for its bracket.
_MAX_SPACES = 1_000
_SPECIAL = re.compile(r'["\\]')
_SPACE = re.compile(r"\s*")
_HEX = re.compile(r"[0-9a-fA-F]{4}")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HIGH, _LOW, _BEHIND_LOW = 0xD800, 0xDC00, 0xE000
_ESCAPE_CHARACTERS = 6  # of \u0041
_LOST = "\ufffd"


class CustomInput:
    """The input of one call."""

    def __init__(self) -> None:
        self._mode: _Mode = "begin"
        self._held = ""
        """What cannot be read before more has come."""
        self._pieces: list[str] = []
        """JSON of another form."""
        self._is_whole = True

    @property
    def is_whole(self) -> bool:
        """Whether what was written is whole; to be asked when nothing more comes."""
        return self._is_whole

    def feed(self, text: str) -> str:
        """What is new of the input."""
        if self._mode == "begin":
            return self._begin(self._held + text)
        return self._go_on(text)

    def finish(self) -> str:
        """The rest of the input, when nothing more comes."""
        held, self._held = self._held, ""
        match self._mode:
            case "begin":
                self._is_whole = not held.strip()
                return held if self._is_whole else ""
            case "text":
                self._is_whole = held[:1] == '"'  # nothing stands behind it
            case "other":
                return self._read_other("".join(self._pieces))
        return ""

    def _begin(self, text: str) -> str:
        if opening := _OPENING.match(text):
            self._mode, self._held = "text", ""
            return self._go_on(text[opening.end() :])
        compact = "".join(text.split())
        if _COMPACT_OPENING.startswith(compact) and len(text) < _MAX_OPENING_CHARACTERS:
            self._held = text
            return ""
        self._mode, self._held = "other" if compact[:1] in ("{", '"') else "plain", ""
        return self._go_on(text)

    def _go_on(self, text: str) -> str:
        match self._mode:
            case "text":
                return self._read_text(self._held + text)
            case "other":
                self._pieces.append(text)
            case "plain":
                return text
        return ""

    def _read_text(self, text: str) -> str:
        """The text of the JSON string; what may go on is held."""
        said: list[str] = []
        place = 0
        while special := _SPECIAL.search(text, place):
            said.append(text[place : special.start()])
            place = special.start()
            read = self._read_quote(text, place) if special[0] == '"' else _read_escape(text, place)
            if read is None:
                self._held = text[place:]
                return "".join(said)
            written, place = read
            said.append(written)
            if self._mode == "after":
                return "".join(said)
        self._held = ""
        return "".join([*said, text[place:]])

    def _read_quote(self, text: str, place: int) -> tuple[str, int] | None:
        """A quote: the end of the text, or one that should have been escaped; None when that cannot be told yet."""
        spaces = _SPACE.match(text, place + 1)
        end = spaces.end() if spaces else place + 1
        behind = text[end : end + 1]
        if not behind and end - place <= _MAX_SPACES:
            return None
        if behind in "},":  # nor does anything stand behind white space without end
            self._mode = "after"
            return "", len(text)
        return '"', place + 1

    def _read_other(self, text: str) -> str:
        """The one text in a JSON document of another form; what is none is the input as it is."""
        try:
            value = json.loads(text, strict=False)
        except (ValueError, RecursionError):
            self._is_whole = text.lstrip()[:1] == "{" and text.rstrip().endswith("}")
            return text
        return _find_text(value, text)


def _read_escape(text: str, place: int) -> tuple[str, int] | None:
    """What an escape stands for, and where it ends; None when its end has not come."""
    kind = text[place + 1 : place + 2]
    if not kind:
        return None
    if kind != "u":
        return _ESCAPES.get(kind, "\\" + kind), place + 2
    code = _read_code(text, place)
    if code is None:
        return None if _may_go_on(text, place) else ("\\u", place + 2)
    end = place + _ESCAPE_CHARACTERS
    if not _HIGH <= code < _BEHIND_LOW:
        return chr(code), end
    if code >= _LOW:
        return _LOST, end
    low = _read_code(text, end)
    if low is not None and _LOW <= low < _BEHIND_LOW:
        return chr(0x10000 + ((code - _HIGH) << 10) + (low - _LOW)), end + _ESCAPE_CHARACTERS
    return None if low is None and _may_go_on(text, end) else (_LOST, end)


def _read_code(text: str, place: int) -> int | None:
    """The number of an escape that is whole."""
    is_escape = text.startswith("\\u", place)
    digits = _HEX.match(text, place + 2) if is_escape else None
    return int(digits[0], 16) if digits else None


def _may_go_on(text: str, place: int) -> bool:
    """Whether what stands there at the end may become an escape with a number."""
    begun = text[place : place + _ESCAPE_CHARACTERS]
    is_begun = begun.startswith("\\u") or "\\u".startswith(begun)
    return (
        len(begun) < _ESCAPE_CHARACTERS and is_begun and all(digit in "0123456789abcdefABCDEF" for digit in begun[2:])
    )


def _find_text(value: Any, text: str) -> str:
    if isinstance(value, str):
        return _without_halves(value)
    if not isinstance(value, dict):
        return text
    given = value.get(INPUT)
    texts = [each for each in value.values() if isinstance(each, str)]
    if given is None and len(texts) == 1 == len(value):
        given = texts[0]
    if isinstance(given, str):
        return _without_halves(given)
    if given is not None:
        return json.dumps(given, ensure_ascii=False, separators=(",", ":"))
    return text if any(each is not None for each in value.values()) else ""


def _without_halves(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
