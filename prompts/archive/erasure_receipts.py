"""Receipts of erasures that no member of staff asked for in the admin. Sync, for a thread or a command."""

from collections import Counter

from django.utils import timezone

from prompts.models import ErasureReceipt


class ReceiptWriter:
    """The receipt of one owner: it is there before anything is erased, and says after each step what was."""

    def __init__(self, owner: str, *, by: str, reason: str) -> None:
        self.counts: Counter[str] = Counter()
        self._is_begun = False
        self._row = ErasureReceipt(owner=owner, subject_kind="owner", subject_id=owner, by=by, reason=reason)

    def begin(self) -> None:
        """Nothing is erased of which nothing is left."""
        if not self._is_begun:
            self._row.at = timezone.now()
            self._row.save()
            self._is_begun = True

    def add(self, counts: Counter[str]) -> None:
        """This was erased, too."""
        self.counts += counts
        self._write()

    def end(self, *, is_complete: bool) -> None:
        """Nothing more is erased now."""
        if not self._is_begun:
            return
        if is_complete and not self.counts:  # all of it was used meanwhile
            self._row.delete()
            return
        self._row.is_complete = is_complete
        self._write()

    def _write(self) -> None:
        self._row.counts = dict(self.counts)
        self._row.save()
