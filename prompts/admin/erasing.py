"""Erasing a conversation everywhere, with a receipt that says what was deleted where."""

from collections import Counter
from typing import Any, cast

from asgiref.sync import async_to_sync
from django import forms
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.utils import timezone

from prompts.api.state import State, get_state
from prompts.archive.erasing import erase_conversations
from prompts.errors import NotFound, ServiceError
from prompts.models import ArchivedConversation, ArchivedItem, ArchivedResponse, ErasureReceipt
from prompts.run.sweeping import erase_deleted
from prompts.usecases.conversations import delete_conversation

# Forks go with their origin, and theirs with them.
MAX_FORKS = 10_000


class EraseForm(forms.Form):
    """Why, in a sentence that stands in the receipt."""

    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea({"rows": 3, "class": "vLargeTextField"}),
        help_text="Stands in the receipt. Name no person in it.",
    )


def erase_conversation(request: HttpRequest, row: ArchivedConversation, *, reason: str) -> ErasureReceipt:
    """Erase it in Redis and then in SQL, with its forks; whatever is away is said in the receipt, and can be repeated.

    The receipt is written first: nothing is erased of which nothing is left.
    """
    receipt = ErasureReceipt.objects.create(
        owner=row.owner,
        subject_kind="conversation",
        subject_id=row.id,
        by=request.user.get_username(),
        reason=reason,
        at=timezone.now(),
    )
    state = get_state(cast(ASGIRequest, request).scope)
    with_forks = _list_forks(row)
    known = _count_known(with_forks)
    counts: dict[str, Any] = {}
    receipt.is_complete = async_to_sync(_erase_in_redis)(state, row, with_forks, known, counts)
    if receipt.is_complete:
        # Else the rows stay: they are how it is found again.
        erase_conversations(with_forks)
        # Counted before: the archiver may have been quicker.
        counts |= {f"Archive: {kind}": known[kind] for kind in ("conversations", "items", "responses")}
        counts["Search index: items"] = known["items"]
    receipt.counts = {name: count for name, count in counts.items() if count}
    receipt.save()
    return receipt


def _list_forks(row: ArchivedConversation) -> list[str]:
    """The conversation, and all that hangs on it."""
    found, fresh = [row.id], [row.id]
    while fresh and len(found) < MAX_FORKS:
        forks = ArchivedConversation.objects.filter(forked_from__in=fresh, owner=row.owner)
        fresh = [fork for fork in forks.values_list("id", flat=True) if fork not in found]
        found += fresh
    return found


def _count_known(conversation_ids: list[str]) -> Counter[str]:
    responses = ArchivedResponse.objects.filter(conversation_id__in=conversation_ids)
    return Counter(
        conversations=len(conversation_ids),
        items=ArchivedItem.objects.filter(conversation_id__in=conversation_ids).count(),
        responses=responses.count(),
        passages=sum(len(each.passages) for each in responses.exclude(passages_json="")),
        feedback=responses.filter(feedback_score__isnull=False).count(),
    )


async def _erase_in_redis(
    state: State, row: ArchivedConversation, with_forks: list[str], known: Counter[str], counts: dict[str, Any]
) -> bool:
    """Erase it there, and see that it is gone. Whether that is done."""
    try:
        try:
            await delete_conversation(row.id, owner=row.owner, store=state.conversations, eraser=state.eraser)
            counts["Redis: conversations"] = 1
            counts["Redis: forks"] = len(with_forks) - 1
            counts["Redis: responses, with event logs"] = known["responses"]
            counts["Redis: passages kept with responses"] = known["passages"]
            counts["Redis: feedback"] = known["feedback"]
        except NotFound:  # its retention has ended, or a part of it is left of an erasure that was broken off
            counts["Redis: had it no more"] = 1
            await erase_deleted(state.eraser, row.id)
        return not [fork for fork in with_forks if await _is_there(state, fork, row.owner)]
    except ServiceError:
        counts["Redis: away, erase it again"] = 1
        return False


async def _is_there(state: State, conversation_id: str, owner: str) -> bool:
    try:
        await state.conversations.get(conversation_id, owner=owner)
    except NotFound:
        return False
    return True
