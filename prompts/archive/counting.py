"""What is erased, by the words of a receipt: every erasure uses these. Counted before it is erased.

Sync, for a thread or a command.
"""

from collections import Counter
from collections.abc import Collection

from prompts.archive.erasing import slice_ids
from prompts.models.archive import ArchivedConversation, ArchivedItem, ArchivedResponse

REDIS_CONVERSATIONS = "Redis: conversations, forks included"
REDIS_RESPONSES = "Redis: responses, with event logs"
REDIS_RECORDS = "Redis: idempotency records"
VECTORS = "Redis: cached vectors, of all texts"
CONVERSATIONS = "Archive: conversations"
ITEMS = "Archive: items"
RESPONSES = "Archive: responses"
PASSAGES = "Archive: passages kept with responses"
FEEDBACK = "Archive: feedback"
SEARCH_INDEX = "Search index: items"
FILES = "Files, with their bytes and passages"
VECTOR_STORES = "Vector stores, with their passages in the index"
KEPT_FILES = "Kept, because something else uses them: files"
KEPT_VECTOR_STORES = "Kept, because something else uses them: vector stores"
# Before what is in the way; it has no number.
AGAIN = "Not erased, try again: "


def count_archived(*, timelines: Collection[str], conversations: Collection[str]) -> Counter[str]:
    """The rows of these."""
    counts: Counter[str] = Counter()
    for some in slice_ids(timelines):
        counts[ITEMS] += ArchivedItem.objects.filter(timeline__in=some).count()
        responses = ArchivedResponse.objects.filter(timeline__in=some)
        counts[RESPONSES] += responses.count()
        counts[FEEDBACK] += responses.filter(feedback_score__isnull=False).count()
        told = responses.exclude(passages_json="").only("passages_json").iterator(chunk_size=50)
        counts[PASSAGES] += sum(len(each.passages) for each in told)
    for some in slice_ids(conversations):
        counts[CONVERSATIONS] += ArchivedConversation.objects.filter(id__in=some).count()
    counts[SEARCH_INDEX] = counts[ITEMS]
    return +counts
