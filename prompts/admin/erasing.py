"""Erasing a conversation everywhere, with a receipt that says what was deleted where."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from asgiref.sync import async_to_sync
from django import forms
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from prompts.api.state import State, get_state
from prompts.archive import conversation_erasing
from prompts.archive.erasure_receipts import ReceiptWriter
from prompts.errors import ServiceError
from prompts.models import ArchivedConversation, ErasureReceipt

# Of each kind, on the page that asks.
MAX_SHOWN = 50


class EraseForm(forms.Form):
    """Why, in a sentence that stands in the receipt; and whether its files go too."""

    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea({"rows": 3, "class": "vLargeTextField"}),
        help_text="Stands in the receipt. Name no person in it.",
    )
    with_files = forms.BooleanField(
        required=False, initial=True, label="Erase the files and the vector store that only this conversation uses"
    )


@dataclass(frozen=True, slots=True)
class ShownFiles:
    """What of a conversation's files would go, and what would stay, by their names."""

    going: Sequence[str] = ()
    kept: Sequence[str] = ()
    is_known: bool = True


def show_files(request: HttpRequest, row: ArchivedConversation) -> ShownFiles:
    """As the archive knows it now; erasing looks again."""
    try:
        found = async_to_sync(conversation_erasing.find_files)(
            row.id, owner=row.owner, ports=_get_state(request).erasing
        )
    except ServiceError:
        return ShownFiles(is_known=False)
    going, kept = ([file.filename for file in files] for files in (found.files, found.kept_files))
    going += [f"{store.name or store.id} (vector store)" for store in found.stores]
    kept += [f"{store.name or store.id} (vector store)" for store in found.kept_stores]
    return ShownFiles(_cut(going), _cut(kept), found.is_known)


def erase_conversation(
    request: HttpRequest, row: ArchivedConversation, *, reason: str, with_files: bool
) -> ErasureReceipt:
    """Erase it with what hangs on it; what is away is said in the receipt, and can be repeated."""
    receipt = ReceiptWriter(row.owner, by=request.user.get_username(), reason=reason, conversation_id=row.id)
    async_to_sync(conversation_erasing.erase_conversation)(
        row.id, owner=row.owner, ports=_get_state(request).erasing, receipt=receipt, with_files=with_files
    )
    return receipt.row


def _get_state(request: HttpRequest) -> State:
    return get_state(cast(ASGIRequest, request).scope)


def _cut(names: Sequence[str]) -> Sequence[str]:
    more = len(names) - MAX_SHOWN
    return [*names[:MAX_SHOWN], f"and {more} more"] if more > 0 else names
