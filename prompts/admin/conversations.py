"""Conversations and chains of responses in the admin: one list to search and filter, and each as a transcript.

Each look at one is noted.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_GET, require_POST
from typing_extensions import override

from prompts.admin.conversation_filters import ConversationFilters, filter_histories
from prompts.admin.erasing import EraseForm, erase_history, show_files
from prompts.admin.exports import FORMS, MAX_EXPORTED, export_conversations
from prompts.admin.history_rows import (
    History,
    find_first_words,
    find_history,
    find_history_id,
    find_holder,
    find_item,
    find_response,
    list_branches,
    list_forks,
    list_own,
    list_responses,
)
from prompts.admin.keyset import KeysetPage, read_page
from prompts.admin.live import read_live
from prompts.admin.said import MAX_MATCHES, cut_out, find_said
from prompts.admin.staff_actions import note_action
from prompts.admin.transcript import build_turns
from prompts.archive.histories import list_history
from prompts.models import ArchivedChain, ArchivedConversation, ArchivedItem, Prompt

if TYPE_CHECKING:
    ConversationModelAdmin = admin.ModelAdmin[ArchivedConversation]  # generic in the stubs only
else:
    ConversationModelAdmin = admin.ModelAdmin

# What a search looks through.
SEARCHED = "conversation"
# Of a transcript, on one page.
ITEMS_A_PAGE = 100


@admin.register(ArchivedConversation)
class ConversationAdmin(ConversationModelAdmin):
    """Nothing is added or changed here; `operators` erase."""

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        """Clients begin conversations."""
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: ArchivedConversation | None = None) -> bool:
        """What was said stays as it was said."""
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: ArchivedConversation | None = None) -> bool:
        """Deleting rows here would leave what Redis holds: erasing is another thing, with a page of its own."""
        return False

    def may_erase(self, request: HttpRequest, row: History) -> bool:
        """Whether this user erases it here."""
        return request.user.has_perm("prompts.erase_conversation") and find_holder(row) is None

    @override
    def get_urls(self) -> list[URLPattern]:
        """Pages of its own, before those of the admin, which take any path for an id."""

        def page(route: str, view: Any, name: str) -> URLPattern:
            own_name = f"prompts_archivedconversation_{name}"
            made: URLPattern = path(route, self.admin_site.admin_view(view), name=own_name)
            return made

        own = [
            page("export/", require_POST(self.export_view), "export"),
            page("<str:object_id>/change/", require_GET(self.transcript_view), "transcript"),
            page("<str:object_id>/raw/<str:kind>/<str:raw_id>/", require_GET(self.raw_view), "raw"),
            page("<str:object_id>/live/", require_GET(self.live_view), "live"),
            page("<str:object_id>/erase/", self.erase_view, "erase"),
        ]
        return [*own, *super().get_urls()]

    @override
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, the newest first; Django's own counts its rows, which takes seconds of a million."""
        self._check_view(request)
        filters = ConversationFilters(request.GET)
        chosen = filters.chosen if filters.is_valid() else {}
        query = chosen.get("q", "")
        found = self._search(request, query, chosen.get("owner", "")) if query else {}
        cursors = {name: request.GET.get(name, "") for name in ("newer", "older")}
        shown: KeysetPage[History] = read_page(_choose(chosen, found), "last_used_at", **cursors)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Conversations",
            "filters": filters,
            "is_filtered": bool(chosen),
            "lines": _build_lines(shown.rows, found, query),
            "newer": _keep(request.GET, newer=shown.newer) if shown.newer else "",
            "older": _keep(request.GET, older=shown.older) if shown.older else "",
            "forms": FORMS,
        }
        return TemplateResponse(request, "admin_pages/conversations.html", context)

    def transcript_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """One conversation as people read it."""
        row = self._get_row(request, object_id)
        note_action(request, "read", row.kind, row.id)
        before = request.GET.get("before", "")
        at = int(before) if before.isascii() and before.isdecimal() and len(before) < len(str(2**31)) else None
        place = None if at is None else (row.timeline, at)
        items = list_history(row, before=place, limit=ITEMS_A_PAGE)
        turns = build_turns(items, list_responses(row, items, is_newest=at is None))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(row),
            "conversation": row,
            "quoted_id": quote(row.id),
            "turns": turns,
            "earlier": items[0].position if items and items[0].position > 1 else 0,
            "is_newest": at is None,
            "metadata": sorted(row.metadata.items()),
            "forks": list_forks(row),
            "prompt_names": _name_prompts({turn.response.prompt_id for turn in turns if turn.response}),
            "forms": FORMS,
            "may_erase": self.may_erase(request, row),
        }
        return TemplateResponse(request, "admin_pages/transcript.html", context)

    def raw_view(self, request: HttpRequest, object_id: str, kind: str, raw_id: str) -> HttpResponse:
        """An item or a response of it, as it is stored: JSON, which no browser runs."""
        row = self._get_row(request, object_id)
        note_action(request, "read raw", row.kind, row.id, f"{kind} {raw_id}")
        if kind == "item":
            item = find_item(row, ArchivedItem.objects.filter(item_id=raw_id))
            if item is not None:
                return _answer_json(item.content_json)
        if kind == "response":
            response = find_response(row, raw_id)
            if response is not None:
                return _answer_json(response.result_json or response.record_json)
        raise Http404("There is no such thing in this conversation.")

    def live_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What is being answered now: JSON for the script of the transcript."""
        row = self._get_row(request, object_id)
        return _answer_json(read_live(request, row))

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """The selected conversations as a file, written as it is sent."""
        self._check_view(request)
        wanted = [*dict.fromkeys(request.POST.getlist("selected"))][:MAX_EXPORTED]
        form = request.POST.get("form", "")
        if form not in FORMS:
            raise Http404("There is no such form.")
        known = {
            history_id: rows.model.kind
            for rows in (ArchivedConversation.objects, ArchivedChain.objects)
            for history_id in rows.filter(pk__in=wanted).values_list("pk", flat=True)
        }
        found = [history_id for history_id in wanted if history_id in known]
        if not found:
            self.message_user(request, "Select the conversations to be exported.", level="warning")
            return HttpResponseRedirect(reverse("admin:prompts_archivedconversation_changelist"))
        for history_id in found:
            note_action(request, "exported", known[history_id], history_id, FORMS[form])
        return export_conversations(found, form)

    def erase_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask whether, and erase it; then the receipt is shown."""
        row = self._get_row(request, object_id)
        if not self.may_erase(request, row):
            raise PermissionDenied
        form = EraseForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            note_action(request, "erased", row.kind, row.id, form.cleaned_data["reason"])  # before: it may break off
            receipt = erase_history(request, row, **form.cleaned_data)
            return HttpResponseRedirect(reverse("admin:prompts_erasurereceipt_change", args=[receipt.pk]))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Erase {row}",
            "conversation": row,
            "quoted_id": quote(row.id),
            "form": form,
            "files": show_files(request, row),
            "responses": list_own(row).count(),
            "branches": list_branches(row),
        }
        return TemplateResponse(request, "admin_pages/erase.html", context)

    def _search(self, request: HttpRequest, query: str, owner: str) -> Mapping[str, str]:
        note_action(request, "searched", SEARCHED, owner, query)
        found = find_said(query, owner=owner)
        if found is None:
            self.message_user(request, "The search took too long. Search for rarer words, or of one owner.", "warning")
        elif found.is_cut:
            told = f"Very much was said with these words. Shown is what fits among the newest {MAX_MATCHES:,} of it."
            self.message_user(request, told, "warning")
        return found.texts if found else {}

    def _check_view(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _get_row(self, request: HttpRequest, object_id: str) -> History:
        self._check_view(request)
        row = find_history(unquote(object_id))
        if row is None:
            raise Http404("The archive has no such conversation.")
        return row


def _choose(chosen: Mapping[str, Any], found: Collection[str]) -> "Sequence[QuerySet[Any]]":
    """The rows of conversations and of chains that a list shows."""
    if "id" in chosen:
        chosen = {**chosen, "id": find_history_id(chosen["id"].strip())}
    kinds = (ArchivedConversation.objects.defer("record_json"), ArchivedChain.objects.all())
    wanted = [rows for rows in kinds if chosen.get("kind") in (None, rows.model.kind)]
    return [filter_histories(rows, chosen, found) for rows in wanted]


def _build_lines(rows: Sequence[History], found: Mapping[str, str], query: str) -> list[tuple[History, str, str]]:
    """The rows with the names of their prompts and some words: those that were found, or the first that were said."""
    names = _name_prompts({row.last_prompt_id for row in rows})
    begins = find_first_words(rows)
    return [
        (
            row,
            cut_out(found[row.id], query) if row.id in found else cut_out(begins.get(row.timeline, ""), ""),
            names.get(row.last_prompt_id, row.last_prompt_id),
        )
        for row in rows
    ]


def _name_prompts(prompt_ids: set[str]) -> dict[str, str]:
    rows = Prompt.objects.filter(pk__in=prompt_ids - {""})
    return {row.pk: str(row) for row in rows}


def _keep(query: QueryDict, **cursor: str) -> str:
    """The query of a link to another page of the same list."""
    kept = query.copy()
    for name in ("newer", "older"):
        kept.pop(name, None)
    kept.update(cursor)
    return kept.urlencode()


def _answer_json(text: str) -> HttpResponse:
    return HttpResponse(text, content_type="application/json", headers={"Cache-Control": "no-store"})
