"""What lives and goes together in the store: a conversation or a chain, with all that was forked from it."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class LivingFamily:
    """A family as it stands. `member` is what it lives by: `conv:<id>` or `chain:<timeline>`."""

    member: str
    owner: str
    due_ms: float
    """When it would be let go; each use of any of it changes that."""
    used_ms: int
    """When any of it was used last."""
    is_active: bool
    """Whether an answer is being written in it."""
    conversations: Sequence[str]
    timelines: Sequence[str]
    responses: Sequence[str]


class Families(Protocol):
    """The families of all owners. Every method raises Unavailable."""

    def list_members(self, partition: str, *, made_before_ms: float) -> AsyncIterator[Mapping[str, str]]:
        """In slices, what was made before this time: member → owner. A slice may be empty."""

    async def find(self, member: str) -> LivingFamily | None:
        """None when it is gone, or is being erased."""

    async def find_conversation(self, conversation_id: str) -> LivingFamily | None:
        """A conversation with what hangs on it, which may itself be a fork. None when it is gone, or is being erased.

        What its origin is due by is not told: it is to be deleted whether it was used meanwhile or not.
        """

    async def list_left(self, timelines: Collection[str]) -> Sequence[str]:
        """Of deleted timelines, handles for `Eraser.erase_slice` of those that are not erased yet."""

    async def find_records(self, responses: Collection[str], *, claims: Mapping[str, str]) -> Sequence[str]:
        """The idempotency records that lead to these responses.

        `claims` says of responses that are not there what they said themselves: the names of their records.
        """

    async def erase_records(self, records: Collection[str]) -> None:
        """Erase idempotency records. The same again changes nothing."""

    async def delete(self, family: LivingFamily, *, only_unused: bool) -> Sequence[str] | None:
        """Delete it at once, for its owner; gives handles for `Eraser.erase_slice` of all that it has left.

        None when it was deleted before, and with `only_unused` when it has been used since it was found.
        """

    async def delete_archived(self, members: Collection[str]) -> bool:
        """Note that what the store let go is deleted, and must not be restored; all are of one partition.

        False when any of it is there, or is being restored.
        """

    async def claim_sweep(self, for_s: int) -> bool:
        """Whether this caller is the one that sweeps now; nobody else does within this time."""

    async def give_back_sweep(self) -> None:
        """Somebody else may sweep now."""
