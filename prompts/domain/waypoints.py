"""Waypoints: from where in a log its telling can go on, without what was said before.

A waypoint says how far the telling has come and what is open there; it holds no text that the log has already. What
must be told of an earlier text is read from where its item begins, or, at the end, from the stored response.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from msgspec import DecodeError, Struct
from msgspec.json import Decoder, Encoder

from prompts.domain.items import Phase
from prompts.domain.signals import CalledTool


class LogPlace(Struct, frozen=True, array_like=True):
    """A signal in a log: `skip` signals behind the entry that ends with the number `after`."""

    after: int
    skip: int


class MessageOutline(Struct, frozen=True, array_like=True, tag="m"):
    """A message without its text: how many of its parts are closed, and what the open one is."""

    output_index: int
    phase: Phase | None = None
    part: Literal["output_text", "refusal"] | None = None
    closed_parts: int = 0


class ThoughtOutline(Struct, frozen=True, array_like=True, tag="h"):
    """A thought without its text: how many parts are closed, and which one is open."""

    output_index: int
    said: Literal["summary", "thought"] | None = None
    summary_part: int = 0
    """The model's number of the part of the summary that was said last."""
    closed_summaries: int = 0
    closed_thoughts: int = 0


class CompactionOutline(Struct, frozen=True, array_like=True, tag="k"):
    """A compaction that waits for the items before it."""

    output_index: int


class CallOutline(Struct, frozen=True, array_like=True, tag="p"):
    """A call without its arguments; `is_written`: it has some."""

    output_index: int
    called: CalledTool
    is_written: bool


Outline: TypeAlias = MessageOutline | ThoughtOutline | CompactionOutline | CallOutline


class Waypoint(Struct, frozen=True, array_like=True):
    """How many items there are, those that are open, in order, and where the one that is being said begins."""

    length: int
    open: Sequence[Outline] = ()
    current: LogPlace | None = None
    """None when nothing is being said; the calls are open all the same."""


pack_waypoint = Encoder().encode
_decode_waypoint = Decoder(Waypoint).decode


def unpack_waypoint(packed: bytes) -> Waypoint | None:
    """What `pack_waypoint` was given; None for what this release cannot read."""
    try:
        return _decode_waypoint(packed)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return None
