"""API keys: issued here, shown once, and revoked."""

from functools import partial
from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils import timezone
from typing_extensions import override

from prompts.admin.publishing import publish_keys
from prompts.domain.ids import hash_key
from prompts.models import ApiKey
from prompts.publishing.api_keys import new_key

if TYPE_CHECKING:
    ApiKeyModelAdmin = admin.ModelAdmin[ApiKey]  # generic in the stubs only
else:
    ApiKeyModelAdmin = admin.ModelAdmin


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
        transaction.on_commit(partial(publish_keys, request))
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
        publish_keys(request)
        messages.success(request, f"{revoked} key(s) revoked.")
