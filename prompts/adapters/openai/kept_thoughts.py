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


class KeptThought(Struct, frozen=True, omit_defaults=True):
    """The thought and the name it came under; fields that stood on calls, by the id that a call has here."""

    name: str = ""
    text: str = ""
    details: list[Any] = []
    calls: Mapping[str, Mapping[str, Any]] = {}


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(KeptThought).decode


def pack_kept(kept: KeptThought) -> str:
    """Write it as a string. Details that are too long, or cannot be written, are left out."""
    try:
        packed = _encode(kept)
        if len(_encode([kept.details, kept.calls])) > MAX_DETAILS_BYTES:
            packed = _encode(KeptThought(kept.name, kept.text))
    except (UnicodeEncodeError, RecursionError):  # half a character; a depth that nobody means
        packed = _encode(KeptThought(kept.name, kept.text))
    return _MARK + packed.decode()


def open_kept(sealed: object) -> KeptThought | None:
    """Read what `pack_kept` wrote; None for anything else."""
    if not isinstance(sealed, str) or not sealed.startswith(_MARK):
        return None
    try:
        return _decode(sealed[len(_MARK) :])
    except msgspec.MsgspecError:
        return None


def is_kept_here(sealed: object) -> bool:
    """Whether `pack_kept` wrote it."""
    return isinstance(sealed, str) and sealed.startswith(_MARK)


class ThoughtKeeper:
    """Collects a thought until the model says something."""

    def __init__(self) -> None:
        self._name = ""
        self._pieces: list[str] = []
        self._details: list[Any] = []
        self._told_calls: set[str] = set()

    def add(self, name: str, text: str) -> None:
        """Some more of the thought."""
        self._name = self._name or name
        self._pieces.append(text)

    def add_details(self, details: Any) -> None:
        """More `reasoning_details`. The pieces of one entry are joined."""
        for detail in details if isinstance(details, list) else ():
            is_more = bool(self._details) and _merge(self._details[-1], detail)
            if not is_more and len(self._details) < MAX_DETAILS:
                self._details.append(dict(detail) if isinstance(detail, dict) else detail)

    @property
    def is_empty(self) -> bool:
        """Whether there is no thought since the last seal."""
        return not (self._pieces or self._details)

    def seal(self, extras: Mapping[str, Mapping[str, Any]]) -> Sequence[Sealed]:
        """The seal of the thought so far, and of new fields on calls. `extras` are those of all calls told so far."""
        calls = {call_id: extra for call_id, extra in extras.items() if call_id not in self._told_calls}
        if self.is_empty and not calls:
            return ()
        self._told_calls.update(calls)
        kept = KeptThought(self._name, "".join(self._pieces), self._details, calls)
        self._name, self._pieces, self._details = "", [], []
        return (Sealed(pack_kept(kept)),)


def has_other_thought(delta: Delta) -> bool:
    """Whether a delta has a thought under one of the rarer names."""
    return bool(delta.reasoning_details or delta.reasoning_text or delta.thinking)


def find_thought(delta: Delta) -> tuple[str, Any]:
    """The name and the value of a delta's thought. Under two names it is the same thought."""
    for name in ("reasoning_content", "reasoning", "reasoning_text", "thinking"):
        if value := getattr(delta, name):
            return name, value
    return DETAILS, delta.reasoning_details


def _merge(last: Any, detail: Any) -> bool:
    """Join a piece to its entry, by type and index: texts are added, other fields replaced. False if it is another."""
    if not isinstance(last, dict) or not isinstance(detail, dict):
        return False
    if last.get("type") != detail.get("type") or last.get("index") != detail.get("index") or "index" not in detail:
        return False
    for name, value in detail.items():
        grows = name in {"text", "summary", "data"} and isinstance(value, str) and isinstance(last.get(name), str)
        last[name] = last[name] + value if grows else value if value is not None else last.get(name)
    return True
