"""Chunks of a stream differ in their text: what stands around it in one stands around it in the next.

To decode a chunk and to look at each of its fields is most of what reading a token costs. So a chunk that said nothing
but plain text is a mould. The next one that is the same before its text and behind it says nothing else either: JSON
that differs inside one string differs in that string. One that does not fit is decoded, and may be the next mould.
"""

import re
from collections.abc import Sequence
from typing import Self

import msgspec
from msgspec.structs import astuple

from prompts.adapters.openai.chat_chunks import UNDECODABLE, Choice, Chunk, decode_chunk
from prompts.domain.signals import Signal, Text

# A text that stands in JSON as it is: it can be found there.
_find_plain = re.compile(rb"[ !#-\[\]-~\x80-\xff]+").fullmatch
_decode_text = msgspec.json.Decoder(str).decode
_KEY = b'"content"'
_OPENINGS = (_KEY + b':"', _KEY + b': "')
# A server whose chunks never fit (each has a number, or padding of its own) is not looked at for ever.
MAX_MISSES = 16


class TextMould:
    """What stands around the text of the latest event that said nothing else."""

    __slots__ = ("_after", "_before", "_begin", "_least", "_rest", "line_count")

    def __init__(self, before: bytes, after: bytes) -> None:
        self._before = before
        self._after = after
        self._least = len(before) + len(after)
        self._begin = len(before) - 1  # with its quotation marks
        self._rest = len(after) - 1
        self.line_count = before.count(b"\n") + after.count(b"\n")
        """How many lines such an event has."""

    @classmethod
    def make(cls, data: bytes, signals: Sequence[Signal]) -> Self | None:
        """The mould of these bytes, which are one event and have said this; None where they may have said more."""
        if len(signals) != 1 or type(signal := signals[0]) is not Text or signal.logprobs:
            return None
        text = signal.text.encode("utf-8", "replace")
        if not (_find_plain(text) and data.count(_KEY) == 1 and data.startswith((b"data:", b"event:"))):
            return None
        for opening in _OPENINGS:
            before, found, after = data.partition(opening + text + b'"')
            if found:
                return cls(before + opening, b'"' + after) if _says_only(data, signal.text) else None
        return None

    def find_text(self, data: bytes) -> str:
        """The text of an event that is like this one in all else; "" of any other."""
        if len(data) > self._least and data.startswith(self._before) and data.endswith(self._after):
            try:
                return _decode_text(data[self._begin : len(data) - self._rest])
            except UNDECODABLE:  # such as two strings with something between them
                pass
        return ""


def _says_only(data: bytes, text: str) -> bool:
    """Whether an event is one chunk that has this text, and nothing else that is ever looked at."""
    try:
        chunk = decode_chunk(data[data.find(b"data:") + 5 :])
    except UNDECODABLE:
        return False
    match chunk:
        case Chunk(choices=[Choice(delta=delta, message=None, finish_reason=None, usage=None)]) if delta is not None:
            is_bare = not any((chunk.usage, chunk.error, chunk.type, chunk.x_groq, chunk.code, chunk.detail))
            return is_bare and delta.content == text and not any(astuple(delta)[1:])
    return False
