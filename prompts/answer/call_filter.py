"""Pure: of the calls a model makes, those it was offered."""

from collections.abc import Sequence

from prompts.domain.callees import Callee, list_callees
from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import Called, CalledTool, Signal
from prompts.errors import UpstreamError


class CallFilter:
    """The tools that one answer's model may call: a hard limit."""

    def __init__(self, request: ModelRequest) -> None:
        self._callees = {callee for callee, _ in list_callees(request.offered)}

    def admit(self, signals: Sequence[Signal]) -> Sequence[Signal]:
        """These signals. Raises UpstreamError for a tool that was not offered."""
        for signal in signals:
            if isinstance(signal, (Called, CalledTool)) and _get_callee(signal) not in self._callees:
                raise UpstreamError("The model called a tool that it was not offered. Send the input again.")
        return signals


def _get_callee(called: Called | CalledTool) -> Callee:
    match called:
        case Called(_, _, name):
            return Callee("function", name)
        case CalledTool(_, _, name, kind, namespace):
            return Callee(kind, name, namespace)
