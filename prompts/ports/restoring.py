"""What the archive gives back to the store, when somebody asks for what the store has let go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from prompts.ports.outbox import ItemRecord, Record

Beginning: TypeAlias = Literal["ok", "there", "gone", "busy"]


class Restorer(Protocol):
    """Brings back what the store has let go at the end of its retention."""

    async def restore(self, public_id: str, *, owner: str) -> bool:
        """Whether a conversation or a response of this owner is back; False when there is none, or it was deleted.

        The archive is asked only about an id that is old enough to have been let go, or older than the store itself.
        Raises Unavailable, also while it is being restored for longer than a request waits.
        """

    async def restore_items(self, item_ids: Sequence[str], *, owner: str) -> bool:
        """Whether conversations or chains of this owner are back that hold any of these items. As `restore`."""


class NoRestorer:
    """`Restorer` without an archive."""

    async def restore(self, public_id: str, *, owner: str) -> bool:
        """See `Restorer.restore`."""
        return False

    async def restore_items(self, item_ids: Sequence[str], *, owner: str) -> bool:
        """See `Restorer.restore_items`."""
        return False


NO_RESTORER = NoRestorer()


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What lives and goes together: a conversation or a chain, with all that was forked from it."""

    owner: str
    expiry: str
    """The member of what expires that it lives by."""
    roots: Sequence[str]
    timelines: Sequence[Record]
    conversations: Sequence[Record]
    """Also those that only hold the former timeline of a conversation."""
    responses: Sequence[str]
    parts: Mapping[str, Sequence[str]]
    """What is erased with each root."""


class Restoring(Protocol):
    """Writes a family back. Nobody finds any of it before `finish`, and what is not finished is erased by itself.

    Every method raises Unavailable; all but `begin` when another has taken the lock meanwhile, too.
    """

    async def get_begun_ms(self) -> int:
        """Since when the store notes what changes, in milliseconds: one that was lost begins anew. 0: unknown."""

    async def begin(self, family: Family, subject: str, *, token: str) -> Beginning:
        """Whether it may be restored: `subject`, which was asked for, is not there, and nothing of it was deleted."""

    async def put_timelines(self, family: Family, *, token: str) -> None:
        """Its timelines, without items, and what is erased with each root."""

    async def put_items(self, timeline: str, items: Sequence[ItemRecord], *, root: str, token: str) -> int:
        """Items of a timeline; how many bytes they take."""

    async def put_responses(self, responses: Sequence[Record], *, root: str, token: str) -> int:
        """Responses; how many bytes they take."""

    async def finish(self, family: Family, *, token: str, size: int) -> bool:
        """Let all of it be found; False when it was too late."""
