"""Output items of the calls that a client runs, while a model writes them. They stay open to the end of the answer."""

from typing import Self

from msgspec import UNSET, UnsetType

from prompts.answer.open_items import Happenings, OpenItem
from prompts.answer.pieces import Pieces
from prompts.domain.call_arguments import is_json, read_action, read_arguments
from prompts.domain.ids import CUSTOM_TOOL_CALL, FUNCTION_CALL, LOCAL_SHELL_CALL, TOOL_SEARCH_CALL
from prompts.domain.items import (
    CustomToolCall,
    FunctionCall,
    Item,
    ItemStatus,
    LocalShellCall,
    ShellAction,
    ToolSearchCall,
)
from prompts.domain.signals import CalledTool
from prompts.domain.tools import CallKind
from prompts.domain.waypoints import CallOutline, Outline


class OpenCall(OpenItem):
    """A call whose arguments are being written."""

    def __init__(self, response_id: str, output_index: int, called: CalledTool) -> None:
        super().__init__(response_id, output_index)
        self.called = called
        self.kept: list[str] = []
        """What the model's server wants back with it; no event says it."""

    @classmethod
    def resume(cls, response_id: str, outline: CallOutline) -> Self:
        """The call from its middle on."""
        call = cls(response_id, outline.output_index, outline.called)
        call.lacks_beginning = True
        call._pieces = Pieces([""] if outline.is_written else [])  # what it was comes with the end
        return call

    def draw_outline(self) -> Outline:
        """See `OpenItem`."""
        return CallOutline(self.output_index, self.called, bool(self._pieces))

    def argue(self, text: str) -> Happenings:
        """More of the arguments."""
        self._pieces.append(text)
        yield from ()

    def close_part(self) -> Happenings:
        """See `OpenItem`."""
        yield from ()

    def judge(self, *, is_last: bool) -> ItemStatus:
        """See `OpenItem`. Only the last call can have been cut off."""
        return "incomplete" if is_last or not self._is_whole() else "completed"

    def _is_whole(self) -> bool:
        return is_json(self._written)

    @property
    def _written(self) -> str:
        return "".join(self._pieces)

    @property
    def _namespace(self) -> str | UnsetType:
        return self.called.namespace or UNSET


class OpenFunctionCall(OpenCall):
    """A call of a function."""

    kind = FUNCTION_CALL

    def build(self, status: ItemStatus) -> Item:
        """See `OpenItem`. A whole call without a word means no arguments: `{}`."""
        arguments = self._written or ("{}" if status == "completed" else "")
        return FunctionCall(
            id=self.id,
            status=status,
            call_id=self.called.call_id,
            name=self.called.name,
            arguments=arguments,
            namespace=self._namespace,
        )

    def argue(self, text: str) -> Happenings:
        """See `OpenCall`."""
        yield from super().argue(text)
        yield "response.function_call_arguments.delta", {**self._place, "delta": text}

    def recall(self, ended: Item) -> None:
        """See `OpenItem`."""
        super().recall(ended)
        if isinstance(ended, FunctionCall) and self._pieces:
            self._pieces = Pieces([ended.arguments])

    def close(self, status: ItemStatus) -> Happenings:
        """See `OpenItem`."""
        if status == "completed" and not self._pieces:
            yield from self.argue("{}")
        yield from super().close(status)

    def close_part(self) -> Happenings:
        """See `OpenItem`."""
        yield "response.function_call_arguments.done", {**self._place, "arguments": self._written}


class OpenCustomCall(OpenCall):
    """A call of a custom tool, whose input is any text."""

    kind = CUSTOM_TOOL_CALL

    def build(self, status: ItemStatus) -> Item:
        """See `OpenItem`."""
        return CustomToolCall(
            id=self.id,
            status=status,
            call_id=self.called.call_id,
            name=self.called.name,
            input=self._written,
            namespace=self._namespace,
        )

    def argue(self, text: str) -> Happenings:
        """See `OpenCall`."""
        yield from super().argue(text)
        yield "response.custom_tool_call_input.delta", {**self._place, "delta": text}

    def recall(self, ended: Item) -> None:
        """See `OpenItem`."""
        super().recall(ended)
        if isinstance(ended, CustomToolCall):
            self._pieces = Pieces([ended.input])

    def close_part(self) -> Happenings:
        """See `OpenItem`."""
        yield "response.custom_tool_call_input.done", {**self._place, "input": self._written}

    def _is_whole(self) -> bool:
        return True  # nothing in the text says so


class OpenShellCall(OpenCall):
    """A call of the client's shell: it is shown when it is whole."""

    kind = LOCAL_SHELL_CALL

    def build(self, status: ItemStatus) -> Item:
        """See `OpenItem`."""
        action = read_action(self._written) if status != "in_progress" else ShellAction([])
        return LocalShellCall(id=self.id, status=status, call_id=self.called.call_id, action=action)


class OpenToolSearch(OpenCall):
    """A search for tools, which the client makes: it is shown when it is whole."""

    kind = TOOL_SEARCH_CALL

    def build(self, status: ItemStatus) -> Item:
        """See `OpenItem`."""
        arguments = read_arguments(self._written) if status != "in_progress" else {}
        return ToolSearchCall(id=self.id, status=status, call_id=self.called.call_id, arguments=arguments)


OPEN_CALLS: dict[CallKind, type[OpenCall]] = {
    "function": OpenFunctionCall,
    "custom": OpenCustomCall,
    "local_shell": OpenShellCall,
    "tool_search": OpenToolSearch,
}
