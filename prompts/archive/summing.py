"""What lists say of conversations and chains, summed up from their responses. Sync, for the archiver's transactions."""

from collections.abc import Collection
from typing import Any

from django.db.models import Exists, Max, Min, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from prompts.models.archive import ArchivedConversation, ArchivedResponse, ArchivedTimeline
from prompts.models.histories import ArchivedChain

_KEPT = ("owner", "forked_from", "head", "last_used_at", "expired_at", "changed_at")


def sum_up_conversations(conversation_ids: Collection[str]) -> None:
    """Note at conversations what their newest response is, so that a list can filter by it."""
    if conversation_ids:
        of_it = ArchivedResponse.objects.filter(conversation=OuterRef("pk"))
        ArchivedConversation.objects.filter(id__in=conversation_ids).update(**_find_newest(of_it))


def sum_up_chains(timelines: Collection[str], *, is_used: bool) -> None:
    """Write down the chains among these timelines, as their responses are now. `is_used`: Redis has them.

    A conversation's timeline is none, also while a response stands on it that will get a branch of its own.
    """
    rows = {row.id: row for row in ArchivedTimeline.objects.filter(id__in=timelines, conversation_id="")}
    if not rows:
        return
    if is_used:
        _write_chains(rows)
    of_it = ArchivedResponse.objects.filter(timeline=OuterRef("pk"))
    ArchivedChain.objects.filter(id__in=rows).update(**_find_newest(of_it))


def _write_chains(rows: dict[str, ArchivedTimeline]) -> None:
    parents = ArchivedTimeline.objects.filter(id__in={row.parent for row in rows.values()} - {""})
    holders = {timeline: held or timeline for timeline, held in parents.values_list("id", "conversation_id")}
    answered = ArchivedResponse.objects.filter(timeline__in=rows).order_by().values_list("timeline")
    chains = [
        ArchivedChain(
            id=timeline,
            owner=rows[timeline].owner,
            forked_from=holders.get(rows[timeline].parent, rows[timeline].parent),
            head=rows[timeline].length,
            created_at=begun_at,
            last_used_at=used_at,
        )
        for timeline, begun_at, used_at in answered.annotate(Min("created_at"), Max("created_at"))
    ]
    ArchivedChain.objects.bulk_create(chains, update_conflicts=True, unique_fields=["id"], update_fields=_KEPT)


def _find_newest(of_it: QuerySet[ArchivedResponse]) -> dict[str, Any]:
    """The columns that say what the newest of these responses is, and whether any has failed."""
    newest = of_it.order_by("-created_at", "-id")
    rated = of_it.filter(feedback_score__isnull=False).order_by("-feedback_at", "-id")
    return {
        "last_model": Coalesce(Subquery(newest.values("model")[:1]), Value("")),
        "last_prompt_id": Coalesce(Subquery(newest.values("prompt_id")[:1]), Value("")),
        "last_status": Coalesce(Subquery(newest.values("status")[:1]), Value("")),
        "last_feedback": Subquery(rated.values("feedback_score")[:1]),
        "has_error": Exists(of_it.filter(status="failed")),
    }
