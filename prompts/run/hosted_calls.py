"""Tools that the service runs itself: how a model is offered them, and which of its calls are theirs."""

from collections.abc import Mapping, Sequence
from itertools import chain, count

from msgspec.structs import replace

from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import Argued, Called, CalledTool, HostedCall, Signal
from prompts.domain.tools import (
    AllowedTools,
    FileSearchChoice,
    FileSearchTool,
    FunctionChoice,
    FunctionTool,
    OneTool,
    ToolChoice,
)


def offer_hosted(request: ModelRequest, functions: Mapping[str, FunctionTool]) -> ModelRequest:
    """What a model is asked, without the kinds of tools that no model knows: functions stand for them, by those kinds.

    A kind without a function is not offered.
    """
    plain = [tool for tool in request.tools if not isinstance(tool, FileSearchTool)]
    if not functions and len(plain) == len(request.tools):
        return request
    tools = [*plain, *functions.values()]
    choice = _choose(request.tool_choice, functions)
    return replace(request, tools=tools, tool_choice=choice if tools else "auto")


def _choose(choice: ToolChoice, functions: Mapping[str, FunctionTool]) -> ToolChoice:
    match choice:
        case FileSearchChoice():
            return _stand_for(choice, functions) or "auto"
        case AllowedTools(tools, mode):
            allowed = [one for each in tools if (one := _stand_for(each, functions)) is not None]
            return AllowedTools(allowed, mode) if allowed else "none"
    return choice


def _stand_for(choice: OneTool, functions: Mapping[str, FunctionTool]) -> OneTool | None:
    if not isinstance(choice, FileSearchChoice):
        return choice
    function = functions.get("file_search")
    return None if function is None else FunctionChoice(function.name)


class HostedCalls:
    """Collects the hosted calls of one round; `kinds` are the tools' kinds by the names of their functions.

    Those beyond `max_calls` are ignored, as OpenAI does.
    """

    def __init__(self, kinds: Mapping[str, str], max_calls: int | None = None) -> None:
        self._kinds = kinds
        self._max_calls = max_calls
        self._ignored: set[int] = set()
        self._called: dict[int, Called] = {}
        self._arguments: dict[int, list[str]] = {}
        self._has_others = False

    @property
    def is_whole(self) -> bool:
        """Whether the model called hosted tools only; a call of the client's would need its output first."""
        return bool(self._called) and not self._has_others

    def admit(self, signals: Sequence[Signal]) -> Sequence[Signal]:
        """The signals without those of hosted calls."""
        return [signal for signal in signals if not self._keeps(signal)] if self._kinds else signals

    def list_calls(self) -> list[HostedCall]:
        """The calls, in the order in which the model made them; where servers give several one id, each has its own."""
        calls: dict[str, HostedCall] = {}
        for index, called in self._called.items():
            others = (f"{called.call_id}_{number}" for number in count(2))
            call_id = next(each for each in chain([called.call_id], others) if each not in calls)
            arguments = "".join(self._arguments[index]) or "{}"
            calls[call_id] = HostedCall(call_id, self._kinds[called.name], called.name, arguments)
        return [*calls.values()]

    def _keeps(self, signal: Signal) -> bool:
        match signal:
            case Called(index, _, name) if name in self._kinds and len(self._called) == self._max_calls:
                self._ignored.add(index)
                return True
            case Called(index, _, name) if name in self._kinds:
                self._called[index], self._arguments[index] = signal, []
                return True
            case Called() | CalledTool():
                self._has_others = True
            case Argued(index, text) if index in self._called:
                self._arguments[index].append(text)
                return True
            case Argued(index):
                return index in self._ignored
        return False
