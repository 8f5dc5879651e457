"""How staff see and write prompts: everybody's are made here. Versions are never changed: a change makes the next."""

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.core.handlers.asgi import ASGIRequest
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import Truncator
from typing_extensions import override

from prompts import prompt_rows
from prompts.admin.prompt_forms import VersionForm
from prompts.admin.prompt_pages import PromptPages
from prompts.api.state import get_state
from prompts.domain import ids
from prompts.domain.prompts import EVERYBODY
from prompts.errors import ServiceError, Unavailable
from prompts.models import Prompt, PromptVersion
from prompts.run.publishing_prompts import publish

if TYPE_CHECKING:
    VersionInline = admin.TabularInline[PromptVersion, Prompt]  # generic in the stubs only
else:
    VersionInline = admin.TabularInline

# Of a version's text, among the others.
MAX_SHOWN_CHARACTERS = 400


class Versions(VersionInline):
    """All versions, to be read."""

    model = PromptVersion
    fields = readonly_fields = ("version", "created_at", "text")
    extra = 0
    can_delete = False
    verbose_name_plural = "versions"

    @override
    def has_add_permission(self, request: HttpRequest, obj: Prompt | None = None) -> bool:
        """The form above makes them."""
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: Prompt | None = None) -> bool:
        """Nobody changes one."""
        return False

    @admin.display(description="version")
    def version(self, version: PromptVersion) -> str:
        """Its number, and the way to its page."""
        path = reverse("admin:prompts_prompt_version", args=[quote(version.prompt_id), version.number])
        return format_html('<a href="{}">version {}</a>', path, version.number)

    @admin.display(description="text")
    def text(self, version: PromptVersion) -> str:
        """Its beginning."""
        return Truncator(version.content.get("text", "")).chars(MAX_SHOWN_CHARACTERS)


@admin.register(Prompt)
class PromptAdmin(PromptPages):
    """Write everybody's prompts, and look at those of owners."""

    form = VersionForm
    list_display = ("__str__", "whose", "default_number", "latest_number", "changed_at", "id")
    list_filter = ("owner",)
    search_fields = ("name", "id", "owner")
    readonly_fields = ("id", "whose", "latest_number", "created_at")
    show_full_result_count = False
    save_on_top = True

    @admin.display(description="owner", ordering="owner")
    def whose(self, prompt: Prompt) -> str:
        """Whose it is."""
        return prompt.owner or "everybody"

    @override
    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The way to the pages beside the form."""
        context["quoted_id"] = quote(context["original"].pk) if context.get("original") else ""
        return super().render_change_form(request, context, *args, **kwargs)

    @override
    def get_inlines(self, request: HttpRequest, obj: Prompt | None) -> Any:
        """A new prompt has no versions yet."""
        return [Versions] if obj else []

    @override
    def get_fieldsets(self, request: HttpRequest, obj: Prompt | None = None) -> Any:
        """The text first; what it fills in below."""
        about = ("id", "whose", "latest_number", "default", "created_at", "latest") if obj else ()
        stores = ("vector_stores", "search") if obj and obj.owner else ("vector_stores", "stores_owner", "search")
        model = ("model", "temperature", "top_p", "max_output_tokens", "reasoning_effort")
        return [
            (None, {"fields": ("name", "text", "variables", *(("becomes_default",) if obj else ()))}),
            ("The model, where a turn names nothing", {"fields": model}),
            ("Knowledge", {"fields": stores}),
            ("The turn", {"fields": ("follow_ups", "history_tokens")}),
            *([("This prompt", {"fields": about})] if obj else ()),
        ]

    @override
    def save_model(self, request: HttpRequest, obj: Prompt, form: Any, change: bool) -> None:
        """Make the prompt, or its next version; publish when the transaction ends."""
        try:
            self._save(obj, form, change)
        except ServiceError as error:
            if not change:
                raise
            messages.error(request, error.message)
        obj.refresh_from_db()
        self._publish_later(request, obj.id)

    def _save(self, obj: Prompt, form: VersionForm, change: bool) -> None:
        content, name, cleaned = form.content, form.cleaned_data["name"], form.cleaned_data
        assert content is not None  # a valid form has one
        if not change:
            obj.id = ids.new_id(ids.PROMPT, ids.find_partition(EVERYBODY))
            prompt_rows.create_prompt(obj.id, content, owner=EVERYBODY, name=name)
            return
        if form.is_new_version:
            becomes_default = cleaned["becomes_default"]
            prompt_rows.add_version(
                obj.id, content, owner=None, after=cleaned["latest"], name=name, becomes_default=becomes_default
            )
        else:
            Prompt.objects.filter(id=obj.id).update(name=name)
        if cleaned["default"] not in (None, form.initial["default"]):
            prompt_rows.set_default(obj.id, cleaned["default"], owner=None)

    @override
    def delete_model(self, request: HttpRequest, obj: Prompt) -> None:
        """Erase and withdraw it."""
        prompt_id = obj.id  # which erasing takes away
        super().delete_model(request, obj)
        self._publish_later(request, prompt_id)

    @override
    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[Prompt]") -> None:
        """The same of many."""
        prompt_ids = list(queryset.values_list("id", flat=True))
        super().delete_queryset(request, queryset)
        for prompt_id in prompt_ids:
            self._publish_later(request, prompt_id)

    def _publish_later(self, request: HttpRequest, prompt_id: str) -> None:
        # The admin saves in a transaction, and publishing reads over a connection of its own.
        transaction.on_commit(partial(_publish, request, prompt_id))


def _publish(request: HttpRequest, prompt_id: str) -> None:
    """Publish through the process's own connections; a failure is repaired within a minute."""
    ports = get_state(cast(ASGIRequest, request).scope).prompts
    try:
        async_to_sync(publish)(prompt_id, ports.store, ports.published)
    except Unavailable:
        messages.warning(request, "The prompt cannot be published right now; that is done when Redis is back.")
