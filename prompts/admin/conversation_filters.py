"""Which conversations and chains a list shows: what staff chose in the form above it."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, time
from typing import Any, TypeVar

from django import forms
from django.db.models import Q, QuerySet

from prompts.models import ArchivedHistory

AnyHistory = TypeVar("AnyHistory", bound=ArchivedHistory)

STATUSES = ("completed", "incomplete", "failed", "cancelled", "in_progress", "queued")
_COLUMNS = {"id": "pk", "owner": "owner", "model": "last_model", "prompt": "last_prompt_id", "status": "last_status"}


def _any(choices: Mapping[str, str]) -> list[tuple[str, str]]:
    return [("", "any"), *choices.items()]


class ConversationFilters(forms.Form):
    """The form above the list; a filter that is left empty filters nothing."""

    q = forms.CharField(required=False, max_length=500, label="What was said")
    kind = forms.ChoiceField(
        required=False, choices=_any({"conversation": "conversations", "chain": "chains of responses"})
    )
    id = forms.CharField(required=False, max_length=64, label="Id (of any of it)")
    owner = forms.CharField(required=False, max_length=200)
    model = forms.CharField(required=False, max_length=200)
    prompt = forms.CharField(required=False, max_length=64, label="Prompt (id)")
    status = forms.ChoiceField(
        required=False, choices=_any({name: name.replace("_", " ") for name in STATUSES}), label="Last answer"
    )
    feedback = forms.ChoiceField(required=False, choices=_any({"1": "good", "-1": "bad", "0": "neither"}))
    since = forms.DateField(required=False, widget=forms.DateInput({"type": "date"}))
    until = forms.DateField(required=False, widget=forms.DateInput({"type": "date"}))
    failed = forms.BooleanField(required=False, label="Has an error")

    @property
    def chosen(self) -> dict[str, Any]:
        """What was chosen, without what filters nothing."""
        return {name: value for name, value in self.cleaned_data.items() if value not in ("", None, False)}


def filter_histories(
    rows: "QuerySet[AnyHistory]", chosen: Mapping[str, Any], found: Collection[str]
) -> "QuerySet[AnyHistory]":
    """The rows that fit all of it, but for their kind. A time is that of the last use, in UTC, its last day included.

    `found` are the histories in which what was looked for was said.
    """
    wanted = Q(**{column: chosen[name].strip() for name, column in _COLUMNS.items() if name in chosen})
    if "feedback" in chosen:
        wanted &= Q(last_feedback=int(chosen["feedback"]))
    if "failed" in chosen:
        wanted &= Q(has_error=True)
    if "since" in chosen:
        wanted &= Q(last_used_at__gte=datetime.combine(chosen["since"], time.min, UTC))
    if "until" in chosen:
        wanted &= Q(last_used_at__lte=datetime.combine(chosen["until"], time.max, UTC))
    if "q" in chosen:
        wanted &= Q(pk__in=list(found))
    return rows.filter(wanted)
