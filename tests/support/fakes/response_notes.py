"""`ResponseNotes` in memory."""

import time
from collections.abc import Sequence
from typing import Literal

from prompts.domain.item_kinds import ITEM_KINDS
from prompts.domain.responses import CONTINUABLE, Feedback, Score
from prompts.errors import unknown_response
from prompts.ports.pages import Page
from prompts.ports.response_notes import Exchange
from tests.support.fakes.memory import Memory
from tests.support.fakes.pages import cut_page
from tests.support.fakes.records import KeptResponse


class FakeResponseNotes:
    """`ResponseNotes` in memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def list_input(
        self, response_id: str, *, owner: str, limit: int, order: Literal["asc", "desc"], after: str | None
    ) -> Page:
        """See `ResponseNotes.list_input`."""
        given = self._find_stored(response_id, owner).draft.input
        shown = [item for item in given if not ITEM_KINDS[type(item)].is_hidden]
        return cut_page(shown, limit=limit, order=order, after=after)

    async def find_follow_ups(self, response_id: str, *, owner: str, history_tokens: int) -> Sequence[str] | Exchange:
        """See `ResponseNotes.find_follow_ups`."""
        kept = self._find_stored(response_id, owner)
        if kept.follow_ups is not None:
            return kept.follow_ups
        window, _ = self._memory.read_window(kept.history, max_tokens=history_tokens)
        has_joined = kept.status in CONTINUABLE
        newest = self._memory.list_shown(kept.history)[-1:]
        return Exchange(
            status=kept.status,
            instructions=kept.echo.instructions,
            model_request=kept.model_request,
            window=(window or newest) if has_joined else [],
        )

    async def keep_follow_ups(self, response_id: str, questions: Sequence[str], *, owner: str) -> Sequence[str]:
        """See `ResponseNotes.keep_follow_ups`."""
        kept = self._find_stored(response_id, owner)
        if kept.follow_ups is None:
            kept.follow_ups = list(questions)
        return kept.follow_ups

    async def put_feedback(self, response_id: str, *, owner: str, score: Score, comment: str | None) -> Feedback:
        """See `ResponseNotes.put_feedback`."""
        kept = self._find_stored(response_id, owner)
        kept.feedback = Feedback(score, comment, int(time.time()))
        return kept.feedback

    async def find_feedback(self, response_id: str, *, owner: str) -> Feedback | None:
        """See `ResponseNotes.find_feedback`."""
        return self._find_stored(response_id, owner).feedback

    def _find_stored(self, response_id: str, owner: str) -> KeptResponse:
        kept = self._memory.find_response(response_id, owner)
        if not kept.is_stored:
            raise unknown_response(response_id)
        return kept
