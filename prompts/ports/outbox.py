"""What the archive has to copy, and what there is to copy: records as the store holds them, nothing of them read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from prompts.domain import ids


@dataclass(frozen=True, slots=True)
class Note:
    """That something changed, or is gone, at a time in microseconds; `subject` is as `lua/parts/outbox.lua` says."""

    subject: str
    at_us: int

    @property
    def partition(self) -> str:
        """The one that it is about."""
        return ids.get_partition(self.subject.rpartition(":")[2])


@dataclass(frozen=True, slots=True)
class Taken:
    """The oldest notes of a partition, for whoever holds its lease now; of two holders the later has a higher epoch."""

    partition: str
    epoch: int
    notes: Sequence[Note]
    is_backfilling: bool
    """Whether there is more from before changes were noted, see `Outbox.backfill`."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """The partitions that have something to copy, and for how long the oldest of it has waited; seconds."""

    partitions: Sequence[str]
    lag_s: float


@dataclass(frozen=True, slots=True)
class CopiedUpTo:
    """Up to when all changes are copied, and what time it is, by the store's clock in microseconds."""

    now_us: int
    copied_us: int | None
    """None where some change was never noted or waits for the backfill, or one of the owner's cannot be copied."""


@dataclass(frozen=True, slots=True)
class Record:
    """A conversation, a timeline or a response: its fields, as they are stored."""

    id: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """An item at its position: its JSON, an estimate of its tokens, and what only the model's server is told."""

    id: str
    position: int
    json: str
    tokens: int
    kept: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a partition's notes."""

    partition: str
    copied: Sequence[Note] = ()
    let_go: Sequence[str] = ()
    """Members of what expires: these may be erased, unless they were used meanwhile."""
    postponed: Sequence[Note] = ()
    """These could not be copied, and are tried again later."""


class Outbox(Protocol):
    """Notes of what changed, written with each change; and the records that they are about.

    Every method raises Unavailable.
    """

    async def open(self, *, is_again: bool = False) -> None:
        """Have changes noted from now on. What is there already is due for a backfill; `is_again`: once more."""

    async def close(self) -> None:
        """Have nothing noted any more but what is deleted, and forget the rest. `open` opens it again."""

    async def look(self) -> Backlog:
        """What waits to be copied."""

    async def find_copied(self, owner: str) -> CopiedUpTo:
        """How far the archive has come with what this owner has."""

    async def take(self, partitions: Sequence[str], *, token: str, count: int) -> Sequence[Taken]:
        """Notes of those of the partitions that nobody else holds; at most `count` of each."""

    async def settle(self, settlements: Sequence[Settlement], *, token: str) -> None:
        """Forget notes, unless there are newer ones of the same; and give the partitions back."""

    async def backfill(self, partition: str) -> None:
        """Note some of what was there before changes were noted."""

    async def read_responses(self, response_ids: Sequence[str]) -> Sequence[Record]:
        """Those that are there and stored."""

    async def read_conversations(self, conversation_ids: Sequence[str]) -> Sequence[Record]:
        """Those that are there."""

    async def read_timelines(self, timelines: Sequence[str]) -> Sequence[Record]:
        """Those that are there."""

    async def find_living(self, members: Sequence[str]) -> Collection[str]:
        """The members of what expires without those that are erased, or are being erased."""

    async def read_items(self, timeline: str, *, after: int, upto: int) -> Sequence[ItemRecord]:
        """Some items of a timeline between two positions, the last included, in order; none: there are no more."""

    async def find_places(self, item_ids: Sequence[str]) -> Mapping[str, tuple[str, int]]:
        """Where those of the items are that are there: the timeline and the position."""

    async def list_parts(self, root: str) -> Sequence[tuple[str, str]]:
        """What hangs on a root: the kind, `resp`, `tl` or `conv`, and the id of each."""

    async def find_timelines(self, holders: Sequence[str]) -> Sequence[str]:
        """The timelines of conversations that are there; and of parts that hold one as a conversation does."""
