"""What is kept with a response beside its answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from prompts.domain.items import Item
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import Feedback, Score, Status
from prompts.ports.pages import Page


@dataclass(frozen=True, slots=True)
class Exchange:
    """A response as the last word of its conversation: what was asked of which model, and the history up to its end.

    `window` is oldest first, within a token budget; empty while the response is written, and when it has failed.
    """

    status: Status
    instructions: str | None
    model_request: ModelRequest
    window: Sequence[Item]


class ResponseNotes(Protocol):
    """What is kept with a stored response beside its answer, for as long as the response is kept."""

    async def list_input(
        self, response_id: str, *, owner: str, limit: int, order: Literal["asc", "desc"], after: str | None
    ) -> Page:
        """One page of what the response was asked. Raises NotFound (the response, or the item `after`), Unavailable."""

    async def find_follow_ups(self, response_id: str, *, owner: str, history_tokens: int) -> Sequence[str] | Exchange:
        """The questions that are kept, or what they are to be made from. Raises NotFound, Unavailable."""

    async def keep_follow_ups(self, response_id: str, questions: Sequence[str], *, owner: str) -> Sequence[str]:
        """Keep these, unless some are kept already; gives those that are. Raises NotFound, Unavailable."""

    async def put_feedback(self, response_id: str, *, owner: str, score: Score, comment: str | None) -> Feedback:
        """Keep what a person thinks of it, in place of what they thought before. Raises NotFound, Unavailable."""

    async def find_feedback(self, response_id: str, *, owner: str) -> Feedback | None:
        """The newest feedback, if there is any. Raises NotFound, Unavailable."""
