"""A history from the archive: the items of a timeline up to a position, and of what it was forked from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prompts.models import ArchivedItem, ArchivedTimeline

# The timelines that one history may stand on (`MAX_DEPTH` of the scripts). A circle would have no end.
MAX_TIMELINES = 300


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a history: the items of a timeline behind `after`, up to `upto`."""

    timeline: str
    after: int
    upto: int


def list_stretches(timeline: str, head: int) -> list[Stretch]:
    """The parts of the history that ends at a position of a timeline, the newest first."""
    stretches: list[Stretch] = []
    while timeline and len(stretches) < MAX_TIMELINES:
        row = ArchivedTimeline.objects.filter(id=timeline).first()
        shared = row.parent_position if row is not None and row.parent else 0
        stretches.append(Stretch(timeline, shared, head))
        timeline, head = (row.parent, min(head, shared)) if row is not None else ("", 0)
    return stretches


def read_newest(stretches: Sequence[Stretch], *, before: int | None, limit: int) -> list[ArchivedItem]:
    """The newest items of a history, oldest first; only those before a position, when one is given."""
    found: list[ArchivedItem] = []
    for stretch in stretches:
        upto = stretch.upto if before is None else min(stretch.upto, before - 1)
        if upto > stretch.after and len(found) < limit:
            rows = ArchivedItem.objects.filter(timeline=stretch.timeline, position__gt=stretch.after)
            found += rows.filter(position__lte=upto).order_by("-position")[: limit - len(found)]
    return found[::-1]


def read_slices(stretches: Sequence[Stretch], *, items_a_slice: int) -> Iterator[list[ArchivedItem]]:
    """All items of a history, oldest first."""
    for stretch in reversed(stretches):
        after = stretch.after
        while rows := list(
            ArchivedItem.objects.filter(
                timeline=stretch.timeline, position__gt=after, position__lte=stretch.upto
            ).order_by("position")[:items_a_slice]
        ):
            yield rows
            after = rows[-1].position
