"""Projects: what is set for an owner."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from typing_extensions import override

from prompts.admin.publishing import publish_projects
from prompts.admin.tokens import read_owner
from prompts.models import Project

if TYPE_CHECKING:
    ProjectModelAdmin = admin.ModelAdmin[Project]  # generic in the stubs only
else:
    ProjectModelAdmin = admin.ModelAdmin


class HasLimit(admin.SimpleListFilter):
    """Which limits a project sets itself."""

    title = "own limit"
    parameter_name = "limit"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        """The three of them."""
        return [
            ("requests_per_minute", "requests a minute"),
            ("tokens_per_minute", "tokens a minute"),
            ("tokens_per_month", "tokens a month"),
        ]

    @override
    def queryset(self, request: HttpRequest, queryset: "QuerySet[Project]") -> "QuerySet[Project]":
        """The projects that set it."""
        names = [name for name, _ in self.lookup_choices]
        chosen = self.value()
        return queryset.exclude(**{chosen: None}) if chosen in names else queryset


@admin.register(Project)
class ProjectAdmin(ProjectModelAdmin):
    """What a project allows, and how much it may ask; a change holds at once, at every replica."""

    list_display = (
        "owner",
        "requests_per_minute",
        "tokens_per_minute",
        "tokens_per_month",
        "keep_days",
        "allowed_origins",
    )
    list_filter = (HasLimit,)
    fields = list_display
    search_fields = ("owner", "allowed_origins")
    show_full_result_count = False

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Project | None = None) -> tuple[str, ...]:
        """What belongs to an owner stays theirs: the owner is chosen once."""
        return () if obj is None else ("owner",)

    @override
    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """With the tokens that the project has used."""
        if project := context.get("original"):
            context["tokens"] = read_owner(request, project.owner)
        return super().render_change_form(request, context, *args, **kwargs)

    @override
    def save_model(self, request: HttpRequest, obj: Project, form: "ModelForm[Project]", change: bool) -> None:
        """Save and publish."""
        super().save_model(request, obj, form, change)
        transaction.on_commit(partial(publish_projects, request))

    @override
    def delete_model(self, request: HttpRequest, obj: Project) -> None:
        """Delete, and publish that nothing is set any more; the owner's keys stay."""
        super().delete_model(request, obj)
        transaction.on_commit(partial(publish_projects, request))

    @override
    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[Project]") -> None:
        """Likewise of several."""
        super().delete_queryset(request, queryset)
        transaction.on_commit(partial(publish_projects, request))
