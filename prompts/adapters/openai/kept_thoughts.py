"""What a Chat Completions server wants back of its model's thoughts, with the turn that they belong to.

DeepSeek and Kimi refuse a turn with tool calls when its `reasoning_content` is missing, Gemini when a call's thought
signature is missing. Others answer worse. Above the port it is opaque, like what a Responses server seals: it goes up
as a `Sealed`, is kept as the `encrypted_content` of a `Reasoning` item in front of what the model said next, and comes
back with that item.

    DeepSeek      https://api-docs.deepseek.com/guides/thinking_mode
    Kimi          https://platform.moonshot.ai/docs/guide/use-kimi-k2-thinking-model
    Gemini        https://ai.google.dev/gemini-api/docs/thought-signatures
    OpenRouter    https://openrouter.ai/docs/use-cases/reasoning-tokens
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from prompts.adapters.openai.chat_chunks import Delta
from prompts.adapters.openai.lines import too_large
from prompts.domain.nesting import is_shallow
from prompts.domain.signals import Sealed

# A Responses server's own seals do not begin so.
_MARK = "chat:"
DETAILS = "reasoning_details"
PARTS = "thinking"
"""The name of a thought that is a part of the content, as Mistral's."""
DEFAULT_NAME = "reasoning_content"
"""The name for a server that has not sent thoughts yet: most take this one."""
# What a server may want back beside the text; more than this no signature takes.
MAX_DETAILS_BYTES = 256 * 1024
MAX_DETAILS = 1_000
# The longest thought that is held: what an answer may have of text.
MAX_THOUGHT_CHARACTERS = 8_000_000
_GROWING = {"text", "summary", "data"}


_encode = msgspec.json.Encoder().encode
# Of a value that cannot be written as JSON at all: more than may be kept.
_UNWRITABLE = MAX_DETAILS_BYTES + 1


def measure(value: Any) -> int:
    """How many bytes of JSON it takes; more than may be kept for what JSON cannot hold, or hardly."""
    try:
        return len(_encode(value)) if is_shallow(value) else _UNWRITABLE
    except (UnicodeEncodeError, RecursionError, OverflowError):  # half a character; a depth or a number nobody means
        return _UNWRITABLE


class KeptThought(Struct, frozen=True, omit_defaults=True):
    """The thought and the name it came under; fields that stood on calls, by the id that a call has here."""

    name: str = ""
    text: str = ""
    details: list[Any] = []
    calls: Mapping[str, Mapping[str, Any]] = {}


_decode = msgspec.json.Decoder(KeptThought).decode


def pack_kept(kept: KeptThought) -> str:
    """Write it as a string. Details that are too long, or cannot be written, are left out."""
    is_writable = measure([kept.details, kept.calls]) <= MAX_DETAILS_BYTES
    return _MARK + _encode(kept if is_writable else KeptThought(kept.name, kept.text)).decode()


def open_kept(sealed: object) -> KeptThought | None:
    """Read what `pack_kept` wrote; None for anything else."""
    if not isinstance(sealed, str) or not sealed.startswith(_MARK):
        return None
    try:
        return _decode(sealed[len(_MARK) :])
    except (msgspec.MsgspecError, RecursionError):
        return None


def is_kept_here(sealed: object) -> bool:
    """Whether `pack_kept` wrote it."""
    return isinstance(sealed, str) and sealed.startswith(_MARK)


class Details:
    """`reasoning_details` of one thought: the pieces of an entry are joined. Too many of them are not kept at all."""

    def __init__(self) -> None:
        self._entries: list[Any] = []
        self._texts: dict[str, list[str]] = {}
        """The texts of the last entry, in pieces."""
        self._bytes = 0

    @property
    def has_any(self) -> bool:
        """Whether there was an entry."""
        return bool(self._entries)

    def add(self, detail: Any) -> None:
        """One more entry, or more of the last one, by type and index: texts are added, other fields replaced."""
        self._bytes += measure(detail)
        if self._bytes > MAX_DETAILS_BYTES:  # they would not go back
            return
        if self._entries and _goes_on(self._entries[-1], detail):
            self._merge(self._entries[-1], detail)
        elif len(self._entries) < MAX_DETAILS:
            self._join()
            self._entries.append(dict(detail) if isinstance(detail, dict) else detail)

    def list(self) -> list[Any]:
        """The entries; none when they were too many."""
        self._join()
        return self._entries if self._bytes <= MAX_DETAILS_BYTES else []

    def _merge(self, last: dict[str, Any], detail: dict[str, Any]) -> None:
        for name, value in detail.items():
            if name in _GROWING and isinstance(value, str) and isinstance(last.get(name), str):
                self._texts.setdefault(name, [last[name]]).append(value)
            elif value is not None:
                last[name] = value
                self._texts.pop(name, None)

    def _join(self) -> None:
        for name, pieces in self._texts.items():
            self._entries[-1][name] = "".join(pieces)
        self._texts = {}


def _goes_on(last: Any, detail: Any) -> bool:
    """Whether a piece belongs to this entry."""
    if not isinstance(last, dict) or not isinstance(detail, dict):
        return False
    return "index" in detail and all(last.get(name) == detail.get(name) for name in ("type", "index"))


class ThoughtKeeper:
    """Collects a thought until the model says something."""

    def __init__(self) -> None:
        self._name = ""
        self._pieces: list[str] = []
        self._size = 0
        self._details = Details()
        self._told_calls: set[str] = set()

    def add(self, name: str, text: str) -> None:
        """Some more of the thought. Raises AnswerTooLarge for one without end."""
        self._name = self._name or name
        self._pieces.append(text)
        self._size += len(text)
        if self._size > MAX_THOUGHT_CHARACTERS:
            raise too_large()

    def add_details(self, details: Any) -> None:
        """More `reasoning_details`."""
        for detail in details if isinstance(details, list) else ():
            self._details.add(detail)

    @property
    def is_empty(self) -> bool:
        """Whether there is no thought since the last seal."""
        return not (self._pieces or self._details.has_any)

    def seal(self, extras: Mapping[str, Mapping[str, Any]]) -> Sequence[Sealed]:
        """The seal of the thought so far, and of new fields on calls. `extras` are those of all calls told so far."""
        calls = {call_id: extra for call_id, extra in extras.items() if call_id not in self._told_calls}
        if self.is_empty and not calls:
            return ()
        self._told_calls.update(calls)
        kept = KeptThought(self._name, "".join(self._pieces), self._details.list(), calls)
        self._name, self._pieces, self._size, self._details = "", [], 0, Details()
        return (Sealed(pack_kept(kept)),)


def find_thought(delta: Delta) -> tuple[str, Any]:
    """The name and the value of a delta's thought. Under two names it is the same thought."""
    for name in ("reasoning_content", "reasoning", "reasoning_text", "thinking"):
        if value := getattr(delta, name):
            return name, value
    return DETAILS, delta.reasoning_details
