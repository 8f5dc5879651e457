"""The receipt of an erasure, whoever asked for it. Sync, for a thread or a command."""

from collections import Counter

from django.utils import timezone

from prompts.models import ErasureReceipt


class ReceiptWriter:
    """A receipt: it is there before anything is erased, and says after each step what was."""

    def __init__(self, owner: str, *, by: str, reason: str, conversation_id: str | None = None) -> None:
        """Of one conversation, or of whatever is erased of an owner."""
        self.counts: Counter[str] = Counter()
        self._is_begun = False
        self.row = ErasureReceipt(
            owner=owner,
            subject_kind="owner" if conversation_id is None else "conversation",
            subject_id=owner if conversation_id is None else conversation_id,
            by=by,
            reason=reason,
        )

    def begin(self) -> None:
        """Nothing is erased of which nothing is left."""
        if not self._is_begun:
            self.row.at = timezone.now()
            self.row.save()
            self._is_begun = True

    def add(self, counts: Counter[str]) -> None:
        """This was erased, too."""
        self.counts += counts
        self._write()

    def note(self, problem: str) -> None:
        """This is in the way of the rest."""
        self.row.counts = {**self.row.counts, problem: 1}
        self.row.save()

    def end(self, *, is_complete: bool, may_be_empty: bool = False) -> None:
        """Nothing more is erased now. A receipt of nothing goes, unless it `may_be_empty`."""
        if not self._is_begun:
            return
        if is_complete and not self.counts and not may_be_empty:
            self.row.delete()
            return
        self.row.is_complete = is_complete
        self._write()

    def _write(self) -> None:
        self.row.counts = {**self.row.counts, **self.counts}
        self.row.save()
