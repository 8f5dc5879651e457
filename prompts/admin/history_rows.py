"""The rows of histories that staff read: conversations, and chains of responses without one, alike."""

from collections.abc import Sequence
from typing import TypeAlias

from django.db.models import OuterRef, Q, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Coalesce

from prompts.archive.histories import walk_history
from prompts.domain import ids
from prompts.models import ArchivedChain, ArchivedConversation, ArchivedItem, ArchivedResponse, ArchivedTimeline

History: TypeAlias = ArchivedConversation | ArchivedChain

# Failed and unfinished answers beside the items of one page.
MAX_RESPONSES = 400
MAX_FORKS = 50


def find_history(history_id: str) -> History | None:
    """The conversation or the chain of this id; None when the archive has neither."""
    conversation = ArchivedConversation.objects.filter(pk=history_id).first()
    return conversation or ArchivedChain.objects.filter(pk=history_id).first()


def find_history_id(public_id: str) -> str:
    """The id of the history in which the response or the item of this id is; as given when it is of another kind."""
    if ids.is_of_kind(public_id, ids.RESPONSE):
        found = ArchivedResponse.objects.filter(pk=public_id).values_list("timeline", flat=True).first()
    else:
        found = ArchivedItem.objects.filter(item_id=public_id).values_list("timeline", flat=True).first()
    holder = ArchivedTimeline.objects.filter(pk=found).values_list("conversation_id", flat=True).first()
    return holder or found or public_id


def find_first_words(rows: Sequence[History]) -> dict[str, str]:
    """What was said first in each, by its timeline; in a fork, behind what it shares."""
    first = ArchivedItem.objects.filter(timeline=OuterRef("pk")).order_by("position").values("text")[:1]
    timelines = ArchivedTimeline.objects.filter(pk__in=[row.timeline for row in rows])
    return dict(
        timelines.annotate(said=Coalesce(Subquery(first), Value(""), output_field=TextField())).values_list(
            "pk", "said"
        )
    )


def list_forks(row: History) -> Sequence[History]:
    """What was forked from it, the newest first."""
    return [
        *ArchivedConversation.objects.filter(forked_from=row.id).order_by("-created_at")[:MAX_FORKS],
        *ArchivedChain.objects.filter(forked_from=row.id).order_by("-created_at")[:MAX_FORKS],
    ]


def find_item(row: History, items: "QuerySet[ArchivedItem]") -> ArchivedItem | None:
    """The first of these items that is in its history."""
    for stretch in walk_history(row.timeline, row.head):
        found = items.filter(timeline=stretch.timeline, position__gt=stretch.after, position__lte=stretch.upto).first()
        if found is not None:
            return found
    return None


def find_response(row: History, response_id: str) -> ArchivedResponse | None:
    """The response of this id, when it is its own or has said something in its history."""
    response = ArchivedResponse.objects.filter(id=response_id, owner=row.owner).first()
    if response is None or list_own(row).filter(id=response_id).exists():
        return response
    return response if find_item(row, ArchivedItem.objects.filter(response_id=response_id)) else None


def find_holder(row: History) -> str | None:
    """The id of the conversation that a chain goes on from, and is erased with; None when there is none."""
    if isinstance(row, ArchivedConversation):
        return None
    root = ArchivedTimeline.objects.filter(pk=row.id).values("root")[:1]
    return ArchivedTimeline.objects.filter(pk=Subquery(root)).values_list("conversation_id", flat=True).first() or None


def list_branches(row: History) -> Sequence[History]:
    """What is erased with it: of a conversation its forks, of a chain all others that begin with its first response."""
    if isinstance(row, ArchivedConversation):
        return list_forks(row)
    root = ArchivedTimeline.objects.filter(pk=row.id).values("root")[:1]
    family = ArchivedTimeline.objects.filter(root=Subquery(root)).exclude(pk=row.id).values("id")
    return list(ArchivedChain.objects.filter(pk__in=family).order_by("-created_at")[:MAX_FORKS])


def find_active(row: History) -> str | None:
    """The id of the response that the archive has last heard of as being written there."""
    active = list_own(row).filter(status="in_progress").order_by("-created_at", "-id")
    return active.values_list("id", flat=True).first()


def list_responses(row: History, items: Sequence[ArchivedItem], *, is_newest: bool) -> list[ArchivedResponse]:
    """The responses of these items, and those that stand between them though they joined no history."""
    own = ArchivedResponse.objects.filter(id__in={item.response_id for item in items} - {""})
    beside = list_own(row).exclude(status__in=("completed", "incomplete", "cancelled"))
    if items:
        beside = beside.filter(created_at__gte=items[0].created_at)
        if not is_newest:
            beside = beside.filter(created_at__lte=items[-1].created_at)
    return [*own, *(found for found in beside[:MAX_RESPONSES] if found not in own)]


def list_own(row: History) -> "QuerySet[ArchivedResponse]":
    """Its responses. One that continued a response of a conversation and failed stands where it was asked."""
    if isinstance(row, ArchivedChain):
        return row.responses
    return ArchivedResponse.objects.filter(Q(conversation=row.id) | Q(conversation=None, timeline=row.timeline))
