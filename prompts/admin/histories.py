"""A history from the archive, from its beginning on; `prompts/archive/histories.py` reads it from its end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prompts.archive.histories import MAX_TIMELINES
from prompts.models import ArchivedItem, ArchivedTimeline


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
