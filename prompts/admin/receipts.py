"""Receipts of erasures: to be read, never changed."""

from typing import TYPE_CHECKING

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html_join
from typing_extensions import override

from prompts.admin.unpaged import UncountedPaginator
from prompts.archive.counting import AGAIN
from prompts.models import ErasureReceipt

if TYPE_CHECKING:
    ReceiptModelAdmin = admin.ModelAdmin[ErasureReceipt]  # generic in the stubs only
else:
    ReceiptModelAdmin = admin.ModelAdmin


@admin.register(ErasureReceipt)
class ErasureReceiptAdmin(ReceiptModelAdmin):
    """What was erased, by whom, and what of it was where."""

    list_display = ("at", "subject_kind", "subject_id", "owner", "by", "is_complete")
    search_fields = ("=subject_id", "=owner", "=by")
    search_help_text = "The id of what was erased, its owner, or who erased it."
    show_full_result_count = False
    paginator = UncountedPaginator
    fields = readonly_fields = ("at", "subject_kind", "subject_id", "owner", "by", "reason", "deleted", "is_complete")
    ordering = ("-at", "-id")

    @admin.display(description="what was deleted")
    def deleted(self, receipt: ErasureReceipt) -> str:
        """The counts, a line each, and what was in the way."""
        lines = [name if name.startswith(AGAIN) else f"{name}: {count}" for name, count in receipt.counts.items()]
        return format_html_join("\n", "{}<br>", [(line,) for line in sorted(lines)]) or "nothing"

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        """Erasing writes it."""
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: ErasureReceipt | None = None) -> bool:
        """Nobody changes it."""
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: ErasureReceipt | None = None) -> bool:
        """It is what is left."""
        return False
