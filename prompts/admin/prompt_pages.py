"""Pages beside the form of a prompt: one version with its preview, two versions compared."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST
from typing_extensions import override

from prompts import prompt_rows
from prompts.admin.prompt_forms import VersionForm
from prompts.admin.prompt_preview import preview
from prompts.admin.version_diff import compare_settings, compare_texts, compare_variables, list_settings
from prompts.domain.prompts import PromptContent
from prompts.models import Prompt, PromptVersion

if TYPE_CHECKING:
    PromptModelAdmin = admin.ModelAdmin[Prompt]  # generic in the stubs only
else:
    PromptModelAdmin = admin.ModelAdmin

# Before the names of variables, among the fields of the form.
SAMPLE = "sample:"
SAID = "preview-said"
_NOT_OF_THE_DRAFT = ("csrfmiddlewaretoken", SAID)


class PromptPages(PromptModelAdmin):
    """The admin of prompts, with pages of its own."""

    @override
    def get_urls(self) -> list[URLPattern]:
        """Those of the admin behind them: it takes any path for an id."""
        wrap = self.admin_site.admin_view
        own = [
            path("preview/", wrap(require_POST(self.preview_view)), name="prompts_prompt_preview"),
            path("<str:object_id>/versions/<int:number>/", wrap(self.version_view), name="prompts_prompt_version"),
            path("<str:object_id>/compare/", wrap(self.compare_view), name="prompts_prompt_compare"),
        ]
        return [*own, *super().get_urls()]

    @override
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Who may only look is shown the default version: the form has nothing for them."""
        row = self.get_object(request, unquote(object_id))
        if row is not None and self.has_view_permission(request, row) and not self.has_change_permission(request, row):
            return HttpResponseRedirect(reverse("admin:prompts_prompt_version", args=[object_id, row.default_number]))
        return super().change_view(request, object_id, form_url, extra_context)

    def version_view(self, request: HttpRequest, object_id: str, number: int) -> HttpResponse:
        """What a version says, and a preview of it."""
        row = self._get_row(request, object_id)
        content = _get_content(row, number)
        context = self._compose_context(request, row, f"Version {number} of {row}")
        context |= {
            "number": number,
            "content": content,
            "settings": list(list_settings(content)),
            "previous": number - 1,
            "preview": preview(content, {}, None),
            "draft": [("of", row.id), ("version", number)],
        }
        return TemplateResponse(request, "admin_pages/prompt_version.html", context)

    def compare_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Two versions of a prompt; without any named, the latest and the one before."""
        row = self._get_row(request, object_id)
        new = _read_number(request.GET, "new", row.latest_number)
        old = _read_number(request.GET, "old", max(1, new - 1))
        before, after = _get_content(row, old), _get_content(row, new)
        context = self._compose_context(request, row, f"What changed in {row}")
        context |= {
            "old": old,
            "new": new,
            "numbers": range(row.latest_number, 0, -1),
            "lines": compare_texts(before.text, after.text),
            "variables": compare_variables(before.variables, after.variables),
            "settings": compare_settings(before, after),
            "is_same": before == after,
        }
        return TemplateResponse(request, "admin_pages/prompt_compare.html", context)

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """The preview of a version, or of what a form says that is not saved; `?part` gives the panel alone."""
        given = {
            name.removeprefix(SAMPLE): str(value) for name, value in request.POST.items() if name.startswith(SAMPLE)
        }
        content, errors = self._read_draft(request)
        context: dict[str, Any] = {**self.admin_site.each_context(request), "opts": self.opts, "title": "Preview"}
        context["errors"] = errors
        context["draft"] = [
            (name, value)
            for name, value in request.POST.items()
            if name not in _NOT_OF_THE_DRAFT and not name.startswith(SAMPLE)
        ]
        if content is not None:
            context["preview"] = preview(content, given, request.POST.get(SAID))
        template = "preview_panel" if "part" in request.GET else "prompt_preview"
        return TemplateResponse(request, f"admin_pages/{template}.html", context)

    def _read_draft(self, request: HttpRequest) -> tuple[PromptContent | None, Mapping[str, list[str]]]:
        """What is to be shown, or what is wrong with each field of the form."""
        row = self._get_row(request, request.POST["of"]) if request.POST.get("of") else None
        if row is not None and request.POST.get("version"):
            return _get_content(row, _read_number(request.POST, "version", 0)), {}
        if not (self.has_add_permission(request) or self.has_change_permission(request, row)):
            raise PermissionDenied
        form = VersionForm(request.POST, instance=row)
        if form.is_valid() and form.content is not None:
            return form.content, {}
        return None, {
            str(form[name].label) if name in form.fields else "": [str(message) for message in told]
            for name, told in form.errors.items()
        }

    def _get_row(self, request: HttpRequest, object_id: str) -> Prompt:
        row = Prompt.objects.filter(id=unquote(object_id)).first()
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None:
            raise Http404("There is no such prompt.")
        return row

    def _compose_context(self, request: HttpRequest, row: Prompt, title: str) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "prompt": row,
            "quoted_id": quote(row.id),
            "may_change": self.has_change_permission(request, row),
        }


def _get_content(row: Prompt, number: int) -> PromptContent:
    try:
        return prompt_rows.find_content(row, number)
    except PromptVersion.DoesNotExist as exc:
        raise Http404(f"This prompt has no version {number}.") from exc


def _read_number(query: QueryDict, name: str, otherwise: int) -> int:
    text = query.get(name, str(otherwise))
    if not (text.isascii() and text.isdecimal() and len(text) < len(str(2**31))):
        raise Http404(f"'{text[:20]}' is no version.")
    return int(text)
