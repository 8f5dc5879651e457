"""Pure: of the calls a model makes, those it was offered."""

from collections.abc import Sequence

from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import Argued, Called, Signal
from prompts.errors import UpstreamError


class CallFilter:
    """The functions that one answer's model may call, and how often: a hard limit."""

    def __init__(self, request: ModelRequest) -> None:
        self._names = {tool.name for tool in request.offered}
        self._left = request.max_tool_calls
        self._ignored: set[int] = set()

    def admit(self, signals: Sequence[Signal]) -> Sequence[Signal]:
        """These signals without the calls beyond `max_tool_calls`, which are ignored, as OpenAI does.

        Raises UpstreamError for a function that was not offered.
        """
        return [signal for signal in signals if self._is_admitted(signal)]

    def _is_admitted(self, signal: Signal) -> bool:
        match signal:
            case Called(index, _, name):
                if name not in self._names:
                    raise UpstreamError("The model called a function that it was not offered. Send the input again.")
                if self._left == 0:
                    self._ignored.add(index)
                    return False
                self._left = None if self._left is None else self._left - 1
            case Argued(index, _):
                return index not in self._ignored
        return True
