"""What staff looked at and changed, written down: a list that nobody changes.

A change that Django's admin notes is noted here too. A look at what was said is noted before it is shown.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.actions import delete_selected
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone
from typing_extensions import override

from prompts.admin.unpaged import UncountedPaginator
from prompts.models import StaffAction
from prompts.models.histories import MAX_NAME_CHARACTERS

if TYPE_CHECKING:
    StaffActionModelAdmin = admin.ModelAdmin[StaffAction]  # generic in the stubs only
else:
    StaffActionModelAdmin = admin.ModelAdmin

_ACTIONS = {ADDITION: "added", CHANGE: "changed", DELETION: "deleted"}
# What somebody searched for, or why something was erased.
MAX_DETAIL_CHARACTERS = 1_000
# Who follows an answer looks once in so long.
LOOK = timedelta(hours=1)


def note_action(request: HttpRequest, action: str, kind: str, subject_id: str, detail: str = "") -> None:
    """Write down that the user of this request did something to a subject."""
    _note(request.user.get_username(), action, kind, subject_id, detail)


def has_looked(request: HttpRequest, kind: str, subject_id: str) -> bool:
    """Whether it is noted that the user of this request looked at a subject within the last hour."""
    recent = StaffAction.objects.filter(who=request.user.get_username()[:150], at__gte=timezone.now() - LOOK)
    return recent.filter(action__in=("read", "followed"), subject_kind=kind, subject_id=subject_id).exists()


@receiver(post_save, sender=LogEntry, dispatch_uid="prompts.admin.staff_actions")
def _note_change(instance: LogEntry, created: bool, **_: Any) -> None:
    if created and instance.action_flag in _ACTIONS:
        user, content_type = User.objects.filter(pk=instance.user_id).first(), instance.content_type
        kind = content_type.model if content_type else ""
        changed = f"{instance.object_repr}: {instance.get_change_message()}"
        who = user.get_username() if user else ""
        subject_id = str(instance.object_id or "")  # it may be a number as yet
        _note(who, _ACTIONS[instance.action_flag], kind, subject_id, changed)


@admin.action(permissions=["delete"], description=delete_selected.short_description)  # type: ignore[attr-defined]  # Django's own action has one
def delete_and_note(model_admin: "admin.ModelAdmin[Any]", request: HttpRequest, queryset: "QuerySet[Any]") -> Any:
    """Django's own action. It notes several deletions without a signal, so they are noted here."""
    doomed = [(str(each.pk), str(each)) for each in queryset] if request.POST.get("post") else []
    answer = delete_selected(model_admin, request, queryset)
    if answer is None and len(doomed) > 1:
        for subject_id, told in doomed:
            note_action(request, "deleted", model_admin.opts.model_name or "", subject_id, told)
    return answer


admin.site.disable_action("delete_selected")
admin.site.add_action(delete_and_note, "delete_selected")


def _note(who: str, action: str, kind: str, subject_id: str, detail: str) -> None:
    StaffAction.objects.create(
        who=who[:150],
        action=action[:40],
        subject_kind=kind[:20],
        subject_id=subject_id[:MAX_NAME_CHARACTERS],
        at=timezone.now(),
        detail=detail.replace("\0", "")[:MAX_DETAIL_CHARACTERS],
    )


@admin.register(StaffAction)
class StaffActionAdmin(StaffActionModelAdmin):
    """To be read, the newest first."""

    list_display = ("at", "who", "action", "subject_kind", "subject_id", "detail")
    list_display_links = None
    search_fields = ("=who", "=subject_id")
    search_help_text = "The name of a member of staff, or the id of a conversation."
    show_full_result_count = False
    paginator = UncountedPaginator
    list_per_page = 100
    ordering = ("-at", "-id")

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        """The service writes it."""
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: StaffAction | None = None) -> bool:
        """Nobody changes it."""
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: StaffAction | None = None) -> bool:
        """Nobody deletes of it."""
        return False
