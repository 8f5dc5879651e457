"""The history of a conversation or a chain from the archive, with what it shares with others.

Sync, for a page or a thread.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from prompts.models.archive import ArchivedConversation, ArchivedItem, ArchivedTimeline
from prompts.models.histories import ArchivedChain

# As many timelines as a history may stand on (`lua/parts/timelines.lua`), and one more.
MAX_TIMELINES = 257


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a history: the items of a timeline behind `after`, up to `upto`."""

    timeline: str
    after: int
    upto: int


def walk_history(timeline: str, head: int) -> Iterator[Stretch]:
    """The parts of the history that ends at a position of a timeline, the newest first."""
    for _ in range(MAX_TIMELINES):
        row = ArchivedTimeline.objects.filter(id=timeline).values_list("parent", "parent_position").first()
        parent, shared = row if row is not None and row[0] else ("", 0)
        yield Stretch(timeline, shared, head)
        if not parent:
            return
        timeline, head = parent, min(head, shared)


def list_history(
    history: ArchivedConversation | ArchivedChain, *, before: tuple[str, int] | None = None, limit: int = 100
) -> Sequence[ArchivedItem]:
    """Its newest items, oldest first; or those before the place (timeline, position) of an item of it."""
    timeline, position = before or (history.timeline, history.head + 1)
    found: list[ArchivedItem] = []
    for stretch in walk_history(timeline, position - 1):
        found += _list_items(stretch).order_by("-position")[: limit - len(found)]
        if len(found) == limit:
            break
    return found[::-1]


def read_slices(stretches: Sequence[Stretch], *, items_a_slice: int) -> Iterator[list[ArchivedItem]]:
    """All items of a history, oldest first."""
    for stretch in reversed(stretches):
        left = _list_items(stretch).order_by("position")
        after = stretch.after
        while rows := list(left.filter(position__gt=after)[:items_a_slice]):
            yield rows
            after = rows[-1].position


def _list_items(stretch: Stretch) -> QuerySet[ArchivedItem]:
    return ArchivedItem.objects.filter(
        timeline=stretch.timeline, position__gt=stretch.after, position__lte=stretch.upto
    )
