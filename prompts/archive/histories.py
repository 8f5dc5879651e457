"""The history of a conversation or a chain from the archive, with what it shares with others.

Sync, for a page or a thread.
"""

from collections.abc import Sequence

from prompts.models.archive import ArchivedConversation, ArchivedItem, ArchivedTimeline
from prompts.models.histories import ArchivedChain

# As many timelines as a history may stand on (`lua/parts/timelines.lua`), and one more.
MAX_TIMELINES = 257


def list_history(
    history: ArchivedConversation | ArchivedChain, *, before: tuple[str, int] | None = None, limit: int = 100
) -> Sequence[ArchivedItem]:
    """Its newest items, oldest first; or those before the place (timeline, position) of an item of it."""
    timeline, position = before or (history.timeline, history.head + 1)
    found: list[ArchivedItem] = []
    for _ in range(MAX_TIMELINES):
        here = ArchivedItem.objects.filter(timeline=timeline, position__lt=position).order_by("-position")
        found += here[: limit - len(found)]
        parent = ArchivedTimeline.objects.filter(id=timeline).values_list("parent", "parent_position").first()
        if len(found) == limit or parent is None or not parent[0]:
            break
        timeline, position = parent[0], min(position, parent[1] + 1)
    return found[::-1]
