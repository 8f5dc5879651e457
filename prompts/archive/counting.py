"""What the archive has of families, counted for receipts before it is erased. Sync, for a thread or a command."""

from collections import Counter
from collections.abc import Collection

from prompts.archive.erasing import slice_ids
from prompts.models.archive import ArchivedConversation, ArchivedItem, ArchivedResponse

CONVERSATIONS = "Archive: conversations"
ITEMS = "Archive: items"
RESPONSES = "Archive: responses"
SEARCH_INDEX = "Search index: items"


def count_archived(*, timelines: Collection[str], conversations: Collection[str]) -> Counter[str]:
    """The rows of these, by the words of a receipt."""
    counts: Counter[str] = Counter()
    for some in slice_ids(timelines):
        counts[ITEMS] += ArchivedItem.objects.filter(timeline__in=some).count()
        counts[RESPONSES] += ArchivedResponse.objects.filter(timeline__in=some).count()
    for some in slice_ids(conversations):
        counts[CONVERSATIONS] += ArchivedConversation.objects.filter(id__in=some).count()
    counts[SEARCH_INDEX] = counts[ITEMS]
    return +counts
