"""Reads what notes are about, and writes it down: the state of things as it is now, not each change of them.

What changes meanwhile is noted again. What is being erased is not copied: the note of its end may be settled already.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

from prompts.archive.writing import Batch, Known, TimelineCopy, find_copied, list_item_ids, write_batch
from prompts.domain import ids
from prompts.ports.outbox import ItemRecord, Note, Outbox, Record

Value = TypeVar("Value")

# Of one transaction, about.
MAX_ITEMS = 500
MAX_ITEM_BYTES = 4 * 1024 * 1024
# Of what hangs on a root; responses may be large.
PARTS_AT_ONCE = 50


class InThread(Protocol):
    """Runs SQL in the archiver's own thread."""

    def __call__(self, call: Callable[[], Value]) -> Awaitable[Value]:
        """What the call returns, or raises."""


class Keep(Protocol):
    """Told that work goes on, in steps of one transaction at most."""

    def __call__(self) -> Awaitable[None]:
        """May raise Unavailable."""


@dataclass(slots=True)
class Subjects:
    """What notes are about, by its kind."""

    responses: set[str] = field(default_factory=set)
    conversations: set[str] = field(default_factory=set)
    timelines: set[str] = field(default_factory=set)
    gone: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    roots: dict[str, bool] = field(default_factory=dict)
    """Members of what expires, and whether they are let go."""


def sort_notes(notes: Iterable[Note]) -> Subjects:
    """The subjects of notes. Raises ValueError for a note of no known kind."""
    found = Subjects()
    for note in notes:
        match note.subject.split(":"):
            case ["resp", name]:
                found.responses.add(name)
            case ["conv", name]:
                found.conversations.add(name)
            case ["gone", kind, name]:
                found.gone[kind].add(name)
            case ["all" | "let_go" as why, kind, name]:
                member = f"{kind}:{name}"
                found.roots[member] = found.roots.get(member, False) or why == "let_go"
            case _:
                raise ValueError(note.subject)
    return found


@dataclass(slots=True)
class Copied:
    """What was written, and which roots may be erased now."""

    rows: Counter[str] = field(default_factory=Counter)
    let_go: list[str] = field(default_factory=list)


class Copier:
    """Copies subjects under the epochs of their partitions. Raises what `Outbox` and `write_batch` raise."""

    def __init__(self, outbox: Outbox, in_thread: InThread, epochs: Mapping[str, int], *, keep: Keep) -> None:
        self._outbox = outbox
        self._in_thread = in_thread
        self._epochs = epochs
        self._keep = keep
        self.copied = Copied()

    async def copy(self, subjects: Subjects) -> None:
        """Copy all of it; the same again changes nothing."""
        await self._copy(subjects.responses, subjects.conversations, gone=subjects.gone)
        for member, is_let_go in subjects.roots.items():
            await self._copy_root(member, is_let_go=is_let_go)

    async def _copy_root(self, member: str, *, is_let_go: bool) -> None:
        """Copy a root with all that hangs on it; conversations forked from it too: they live and go with it."""
        if not await self._outbox.find_living([member]):  # erased meanwhile
            return
        kind, _, name = member.partition(":")
        conversation_ids = {name} if kind == "conv" else set()
        waiting = [name] if kind == "chain" else [*await self._outbox.find_timelines([name])]
        chains = {name} if kind == "chain" else set()
        await self._copy(conversation_ids=conversation_ids, timelines=waiting)
        while waiting:
            parts = await self._outbox.list_parts(waiting.pop())
            holders = [name for kind, name in parts if kind == "conv"]
            # The former timeline of a conversation hangs on its present one as a fork does, by another kind of id.
            forks = [name for name in holders if ids.is_of_kind(name, ids.CONVERSATION)]
            waiting += await self._outbox.find_timelines(holders)
            conversation_ids.update(forks)
            chains.update(name for kind, name in parts if kind == "tl")
            for some in _slice(parts):
                await self._copy(
                    {name for kind, name in some if kind == "resp"},
                    {name for kind, name in some if kind == "conv" and name in conversation_ids},
                    {name for kind, name in some if kind == "tl"},
                )
        if is_let_go:
            await self._write(expired=conversation_ids | chains)
            self.copied.let_go.append(member)

    async def _copy(
        self,
        response_ids: Iterable[str] = (),
        conversation_ids: Iterable[str] = (),
        timelines: Iterable[str] = (),
        *,
        gone: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        await self._keep()
        responses = await self._outbox.read_responses([*response_ids])
        anchors = [each.fields["anchor"] for each in responses if each.fields["anchor_kind"] == "conversation"]
        conversations = await self._outbox.read_conversations([*{*conversation_ids, *anchors}])
        named = [each.fields["timeline"] for each in (*responses, *conversations)]
        living = await self._find_living({*timelines, *named})
        if lost := await self._find_lost([each.record.id for each in living.values() if each.is_cut]):
            gone = {**(gone or {}), "resp": {*(gone or {}).get("resp", ()), *lost}}
        await self._write(
            conversations=[each for each in conversations if each.fields["timeline"] in living],
            timelines=await self._copy_items(living.values()),
            responses=[each for each in responses if each.fields["timeline"] in living],
            gone=gone or {},
        )

    async def _find_living(self, timelines: set[str]) -> dict[str, "_Found"]:
        """The timelines, those that they continue where these were never copied, and what is known of each."""
        records: dict[str, Record] = {}
        known: dict[str, Known] = {}
        wanted = timelines
        while wanted:
            known |= await self._in_thread(partial(find_copied, wanted))
            found = await self._outbox.read_timelines([*wanted])
            records |= {each.id: each for each in found}
            behind = {each.fields.get("parent", "") for each in found if each.id not in known}
            wanted = {*behind, *(each.fields["root"] for each in found)} - {"", *records}
        members = {each.fields["expiry"] for each in records.values() if "expiry" in each.fields}
        living = await self._outbox.find_living([*members])
        placed = [(each, records.get(each.fields["root"])) for each in records.values()]
        kept = [pair for pair in placed if pair[1] is not None and pair[1].fields.get("expiry") in living]
        copied = await self._find_copied({record.id: record for record, _ in kept}, known)
        return {
            each.id: _Found(each, root.fields.get("owner", ""), copied.get(each.id), each.id in {*known} - {*copied})
            for each, root in kept
            if root is not None
        }

    async def _find_copied(self, records: Mapping[str, Record], known: Mapping[str, Known]) -> Mapping[str, int]:
        """How far each is copied. One whose end is another in the archive counts for nothing, and is copied anew.

        After a fail-over, or when an older copy of Redis was restored, others stand where those stood that it has lost.
        """
        here = {name: known[name] for name in records if name in known}
        places = await self._outbox.find_places([each.item_id for each in here.values() if each.item_id])
        copied: dict[str, int] = {}
        for name, each in here.items():
            is_there = not each.item_id or places.get(each.item_id) == (name, each.position)
            if is_there or await self._was_deleted(records[name], each):
                copied[name] = each.copied
        return copied

    async def _find_lost(self, timelines: Sequence[str]) -> set[str]:
        """The responses that stand in the archive on these timelines and were lost with what they said."""
        lost: set[str] = set()
        for timeline in timelines:
            named = await self._in_thread(partial(list_item_ids, timeline))
            for start in range(0, len(named), MAX_ITEMS):
                some = named[start : start + MAX_ITEMS]
                places = await self._outbox.find_places(some)
                lost.update(filter(None, (ids.find_response_id(each) for each in some if each not in places)))
        return lost - {each.id for each in await self._outbox.read_responses([*lost])}

    async def _was_deleted(self, record: Record, last: Known) -> bool:
        """Whether the last item that was copied was deleted since: nothing stands in its place."""
        if last.position > int(record.fields.get("length", 0)):
            return False
        return not await self._outbox.read_items(record.id, after=last.position - 1, upto=last.position)

    async def _copy_items(self, timelines: Iterable["_Found"]) -> list[TimelineCopy]:
        """Copies to be written; what is more than one transaction takes is written already."""
        copies: list[TimelineCopy] = []
        room = _Room()
        for found in timelines:
            copied, ends = found.start, sorted({*list_large(found.record), found.length})
            while copied < found.length:
                # A large item ends what is read at once: so no reading holds several of them.
                upto = ends[bisect_right(ends, copied)]
                items = await self._outbox.read_items(found.record.id, after=copied, upto=upto)
                copied = items[-1].position if items else upto
                copies.append(found.copy(copied, items))
                if room.is_full_with(items):
                    await self._write(timelines=copies)
                    copies, room = [], _Room()
            if found.is_other(copied):
                copies.append(found.copy(min(copied, found.length)))
        return copies

    async def _write(
        self,
        *,
        conversations: Sequence[Record] = (),
        timelines: Sequence[TimelineCopy] = (),
        responses: Sequence[Record] = (),
        gone: Mapping[str, Collection[str]] | None = None,
        expired: Collection[str] = (),
    ) -> None:
        if not (conversations or timelines or responses or gone or expired):
            return
        await self._keep()
        batch = Batch(
            epochs=self._epochs,
            conversations=conversations,
            timelines=timelines,
            responses=responses,
            gone=gone or {},
            expired=expired,
        )
        self.copied.rows += await self._in_thread(partial(write_batch, batch))


@dataclass(frozen=True, slots=True)
class _Found:
    """A living timeline; `known` is how far it is copied, None when it never was, or when it `is_cut`."""

    record: Record
    owner: str
    known: int | None
    is_cut: bool
    """Whether Redis has lost the end that the archive has."""

    @property
    def length(self) -> int:
        return int(self.record.fields.get("length", 0))

    @property
    def start(self) -> int:
        """Where its own items to be copied begin: those before are its parent's, or copied."""
        return max(self.known or 0, int(self.record.fields.get("parent_position", 0)))

    def is_other(self, copied: int) -> bool:
        """Whether the archive would still say something else: it is new and empty, or Redis has lost its end."""
        return (self.known is None and copied == self.start) or self.length < copied

    def copy(self, copied: int, items: Sequence[ItemRecord] = ()) -> TimelineCopy:
        return TimelineCopy(self.record, self.owner, copied, items)


def list_large(timeline: Record) -> Sequence[int]:
    """The positions of its large items, as their marks say (`lua/parts/large.lua`)."""
    marks = [mark for field, marks in timeline.fields.items() if field.startswith("large:") for mark in marks.split()]
    return [int(mark.partition(":")[0]) for mark in marks]


@dataclass(slots=True)
class _Room:
    """What a transaction still takes."""

    items: int = MAX_ITEMS
    bytes: int = MAX_ITEM_BYTES

    def is_full_with(self, items: Sequence[ItemRecord]) -> bool:
        self.items -= len(items)
        self.bytes -= sum(len(item.json) + len(item.kept) for item in items)
        return self.items <= 0 or self.bytes <= 0


def _slice(parts: Sequence[tuple[str, str]]) -> Iterator[Sequence[tuple[str, str]]]:
    for start in range(0, len(parts), PARTS_AT_ONCE):
        yield parts[start : start + PARTS_AT_ONCE]
