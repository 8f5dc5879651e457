"""Which conversation or chain an item is in, when somebody names the item alone. Sync, for a thread."""

from collections.abc import Collection, Sequence

from prompts.models.archive import ArchivedItem, ArchivedResponse, ArchivedTimeline


def find_holders(item_ids: Collection[str], *, owner: str, limit: int) -> Sequence[str]:
    """Of the conversations or chains that these items of an owner are in: their ids, of a chain its newest response's.

    At most `limit`; an item that the archive does not have counts for nothing.
    """
    items = ArchivedItem.objects.filter(item_id__in=item_ids, owner=owner)
    places = set(items.values_list("conversation_id", "timeline"))
    conversations = {conversation_id for conversation_id, _ in places if conversation_id}
    timelines = ArchivedTimeline.objects.filter(id__in={timeline for named, timeline in places if not named})
    holders = [*sorted(conversations)][:limit]
    for root in sorted({row.root for row in timelines})[: limit - len(holders)]:
        holders += _find_newest(root)
    return holders


def _find_newest(root: str) -> Sequence[str]:
    """The newest response of a chain or of what hangs on a conversation; none: all were deleted."""
    bound = ArchivedTimeline.objects.filter(root=root).values("id")
    ended = ArchivedResponse.objects.filter(timeline__in=bound).exclude(status="in_progress")
    return list(ended.order_by("-created_at", "-id").values_list("id", flat=True)[:1])
