"""Tools that the service runs itself when the model calls them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from prompts.domain.items import Item
from prompts.domain.model_request import ModelRequest
from prompts.domain.passages import Passage
from prompts.domain.signals import Found, HostedCall
from prompts.domain.tools import FunctionTool


@dataclass(frozen=True, slots=True)
class Returned:
    """What a tool gave: what the model is told, and what a search has found."""

    output: str
    found: Found | None = None


class HostedTool(Protocol):
    """One kind of tool, for all responses."""

    kind: str
    """The tool's `type` in a request; `prompts.answer.hosted_items.OPEN_HOSTED` has its output item."""

    def find_function(self, request: ModelRequest) -> FunctionTool | None:
        """The function that the model is offered for it, or None where the request does not ask for this tool."""

    def find_first_call(self, request: ModelRequest, items: Sequence[Item]) -> HostedCall | None:
        """The call that the service makes by itself before the model is asked with these items; it has no name."""

    async def run(self, call: HostedCall, *, request: ModelRequest, owner: str, given: Sequence[Passage]) -> Returned:
        """What the model is given. `given` are the passages that it was given before, in this response.

        A run that was lost is run again: it must change nothing. What goes wrong is told to the model in words.
        Cancelled, it leaves nothing behind. Raises ServiceError where the answer cannot go on.
        """
