"""The event logs of responses: how they are written, read and watched."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from prompts.domain.responses import Response
from prompts.domain.signals import Signal
from prompts.domain.waypoints import Waypoint


class Group(Struct, frozen=True, gc=False):
    """What is written to a log at once: packed signals, and the sequence numbers of their events, (after, last_number].

    Without signals it says nothing, and only keeps the lease. `waypoint` is one behind the group, packed, or empty.
    """

    after: int
    last_number: int
    packed: bytes
    waypoint: bytes = b""


BEHIND_ALL = Group(-1, -1, b"[]")
"""The end of a log that cannot be read: one event, behind whatever it holds."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One group of a log as it is read; the last one of a response `is_last`."""

    last_number: int
    signals: Sequence[Signal]
    is_last: bool


@dataclass(frozen=True, slots=True)
class Passed:
    """A waypoint of a log: the telling of what lies behind the entry with this last number can begin there."""

    last_number: int
    waypoint: Waypoint


class EventLog(Protocol):
    """The logs of all responses, wherever they are written."""

    async def get_echo(self, response_id: str, *, owner: str) -> Response:
        """The response as it was created. Raises NotFound, StreamExpired (it cannot be read), Unavailable."""

    async def read(self, response_id: str, *, after: int) -> Sequence[Entry]:
        """A stretch of the log: entries whose last number is above `after`, oldest first; empty when there are none.

        `after` is the last number of an entry, or -1. Raises StreamExpired when the log goes on without that entry (a
        fail-over has lost it), Unavailable.
        """

    async def find_waypoint(self, response_id: str, *, upto: int) -> Passed | None:
        """The last waypoint at or below the number `upto`; None when there is none near. Raises Unavailable."""

    def watch(self, response_id: str) -> AbstractAsyncContextManager["Watch"]:
        """Watch the log grow, within the context."""


class Watch(Protocol):
    """One watcher of a log."""

    async def wait(self, within_s: float) -> bool:
        """True as soon as the log has grown, False after `within_s`."""

    async def wait_news(self, within_s: float) -> bool:
        """True as soon as the response may have ended, or lost a reader; False after `within_s`. Growth is no news."""

    async def wait_released(self, within_s: float) -> bool:
        """True as soon as the response's replica has closed its connection to the model, False after `within_s`."""
