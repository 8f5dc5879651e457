"""API keys: issued here, shown once, and revoked."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils import timezone
from typing_extensions import override

from prompts.admin.publishing import publish_keys
from prompts.admin.staff_actions import note_action
from prompts.domain.scopes import SCOPES, write_scopes
from prompts.models import ApiKey
from prompts.publishing.api_keys import new_key

if TYPE_CHECKING:
    ApiKeyModelAdmin = admin.ModelAdmin[ApiKey]  # generic in the stubs only
    ApiKeyModelForm = forms.ModelForm[ApiKey]
else:
    ApiKeyModelAdmin = admin.ModelAdmin
    ApiKeyModelForm = forms.ModelForm


class ApiKeyForm(ApiKeyModelForm):
    """What a key is made with."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope, f"{scope}: {what}") for scope, what in SCOPES.items()],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None: all of them.",
    )

    def clean_scopes(self) -> str:
        """As they are stored."""
        return write_scopes(self.cleaned_data["scopes"])


class StateFilter(admin.SimpleListFilter):
    """Whether a key opens anything now."""

    title = "state"
    parameter_name = "state"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        """The three of them."""
        return [("valid", "valid"), ("expired", "expired"), ("revoked", "revoked")]

    @override
    def queryset(self, request: HttpRequest, queryset: "QuerySet[ApiKey]") -> "QuerySet[ApiKey]":
        """The keys in the chosen state."""
        now = timezone.now()
        match self.value():
            case "valid":
                return queryset.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)
            case "expired":
                return queryset.filter(revoked_at=None, expires_at__lte=now)
            case "revoked":
                return queryset.exclude(revoked_at=None)
        return queryset


@admin.register(ApiKey)
class ApiKeyAdmin(ApiKeyModelAdmin):
    """Issue and revoke; of a key only the name can be changed, and none is deleted, so that its history stays."""

    form = ApiKeyForm
    list_display = ("owner", "name", "hint", "may", "state", "created_at", "expires_at", "last_used_at")
    list_filter = (StateFilter, "owner", "scopes")
    search_fields = ("owner", "name", "hint")
    fields = ("owner", "name", "scopes", "expires_at")
    actions = ("revoke",)
    show_full_result_count = False

    @admin.display(description="may")
    def may(self, key: ApiKey) -> str:
        """Its scopes."""
        return key.scopes or "everything"

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        """Whether it opens anything now."""
        if key.revoked_at is not None:
            return f"revoked {key.revoked_at:%Y-%m-%d %H:%M}"
        return "expired" if key.has_expired else "valid"

    @override
    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        """Of a key that is there, all that is known of it."""
        if obj is None:
            return self.fields
        return ("owner", "name", "hint", "may", "state", "created_at", "expires_at", "last_used_at", "revoked_at")

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        """A key stays what it was made as, but for its name."""
        return () if obj is None else [field for field in self.get_fields(request, obj) if field != "name"]

    @override
    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Revoke instead."""
        return False

    @override
    def save_model(self, request: HttpRequest, obj: ApiKey, form: "ModelForm[ApiKey]", change: bool) -> None:
        """Issue the key and publish it; `response_add` shows it."""
        if change:
            obj.save(update_fields=["name"])
            return
        key = new_key()
        obj.take(key)
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

    @admin.action(permissions=["change"], description="Revoke the selected keys")
    def revoke(self, request: HttpRequest, queryset: "QuerySet[ApiKey]") -> None:
        """Revoke these keys; they stop working at once."""
        valid = list(queryset.filter(revoked_at=None))
        with transaction.atomic():
            queryset.filter(pk__in=[key.pk for key in valid]).update(revoked_at=timezone.now())
            for key in valid:
                note_action(request, "revoked", "apikey", str(key.pk), str(key))
        publish_keys(request)
        messages.success(request, f"{len(valid)} key(s) revoked.")
