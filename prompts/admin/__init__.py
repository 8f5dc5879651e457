"""How staff see what is in SQL: projects; and API keys, which are issued here, shown once, and revoked."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.core.handlers.asgi import ASGIRequest
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils import timezone
from typing_extensions import override

from prompts.admin import prompts  # noqa: F401 -- registers itself
from prompts.api.state import State, get_state
from prompts.domain.ids import hash_key
from prompts.errors import Unavailable
from prompts.models import ApiKey, Project
from prompts.publishing.api_keys import new_key, reconcile
from prompts.publishing.origins import reconcile_origins

if TYPE_CHECKING:
    ApiKeyModelAdmin = admin.ModelAdmin[ApiKey]  # generic in the stubs only
    ProjectModelAdmin = admin.ModelAdmin[Project]
else:
    ApiKeyModelAdmin = ProjectModelAdmin = admin.ModelAdmin


@admin.register(ApiKey)
class ApiKeyAdmin(ApiKeyModelAdmin):
    """Issue and revoke; a key cannot be changed or deleted, so that its history stays."""

    list_display = ("owner", "hint", "created_at", "revoked_at")
    list_filter = ("owner",)
    search_fields = ("owner", "hint")
    fields = ("owner",)
    actions = ("revoke",)
    show_full_result_count = False

    @override
    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Keys are never edited: the only change is revoking."""
        return obj is None and super().has_change_permission(request, obj)

    @override
    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Revoke instead."""
        return False

    @override
    def save_model(self, request: HttpRequest, obj: ApiKey, form: "ModelForm[ApiKey]", change: bool) -> None:
        """Issue the key and publish it; `response_add` shows it."""
        key = new_key()
        obj.key_hash, obj.hint = hash_key(key), f"…{key[-4:]}"
        super().save_model(request, obj, form, change)
        # The admin saves in a transaction, and publishing reads over a connection of its own.
        transaction.on_commit(partial(_publish, request))
        request.issued_key = key  # type: ignore[attr-defined]  # read by `response_add`

    @override
    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> TemplateResponse:
        """Show the key in the answer itself: a redirect would have to carry it in a cookie or a session."""
        context = self.admin_site.each_context(request)
        key = request.issued_key  # type: ignore[attr-defined]  # set by `save_model`
        context |= {"title": "API key issued", "opts": self.opts, "issued": obj, "key": key}
        return TemplateResponse(request, "admin/prompts/apikey/issued.html", context)

    @admin.action(description="Revoke the selected keys")
    def revoke(self, request: HttpRequest, queryset: "QuerySet[ApiKey]") -> None:
        """Revoke these keys; they stop working at once."""
        revoked = queryset.filter(revoked_at=None).update(revoked_at=timezone.now())
        _publish(request)
        messages.success(request, f"{revoked} key(s) revoked.")


@admin.register(Project)
class ProjectAdmin(ProjectModelAdmin):
    """What a project allows; a change holds at once, at every replica."""

    list_display = ("owner", "allowed_origins")
    search_fields = ("owner", "allowed_origins")
    show_full_result_count = False

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Project | None = None) -> tuple[str, ...]:
        """What belongs to an owner stays theirs: the owner is chosen once."""
        return () if obj is None else ("owner",)

    @override
    def save_model(self, request: HttpRequest, obj: Project, form: "ModelForm[Project]", change: bool) -> None:
        """Save and publish."""
        super().save_model(request, obj, form, change)
        transaction.on_commit(partial(_publish_origins, request))

    @override
    def delete_model(self, request: HttpRequest, obj: Project) -> None:
        """Delete, and publish that nothing is allowed any more; the owner's keys stay."""
        super().delete_model(request, obj)
        transaction.on_commit(partial(_publish_origins, request))

    @override
    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[Project]") -> None:
        """Likewise of several."""
        super().delete_queryset(request, queryset)
        transaction.on_commit(partial(_publish_origins, request))


def _publish(request: HttpRequest) -> None:
    """Publish through the process's own connection; a failure is repaired within a minute."""
    _publish_with(request, lambda state: reconcile(state.api_keys))


def _publish_origins(request: HttpRequest) -> None:
    _publish_with(request, lambda state: reconcile_origins(state.origins))


def _publish_with(request: HttpRequest, publish: Callable[[State], Coroutine[Any, Any, None]]) -> None:
    try:
        async_to_sync(publish)(get_state(cast(ASGIRequest, request).scope))
    except Unavailable:
        messages.warning(request, "The key store cannot be reached; the change takes effect when it is back.")
