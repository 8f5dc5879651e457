"""Tools that the service runs itself when the model calls them."""

from typing import Protocol

from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import HostedCall
from prompts.domain.tools import FunctionTool


class HostedTool(Protocol):
    """One kind of tool, for all responses."""

    kind: str
    """The tool's `type` in a request; `prompts.answer.hosted_items.OPEN_HOSTED` has its output item."""

    def find_function(self, request: ModelRequest) -> FunctionTool | None:
        """The function that the model is offered for it, or None where the request does not ask for this tool."""

    async def run(self, call: HostedCall, *, request: ModelRequest, owner: str) -> str:
        """What the model is given. A run that was lost is run again: it must change nothing.

        What goes wrong is told to the model in words. Cancelled, it leaves nothing behind. Raises ServiceError where
        the answer cannot go on.
        """
