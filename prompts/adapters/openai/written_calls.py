"""A call of a function as the call that it stands for, while a model writes it."""

from prompts.adapters.openai.custom_input import CustomInput
from prompts.adapters.openai.lines import is_document, too_large
from prompts.domain.callees import Callee
from prompts.domain.signals import Argued, Called, CalledTool, Signal, call_tool

NO_ARGUMENTS = "{}"
# The longest arguments: what an answer may have of text.
MAX_ARGUMENTS_CHARACTERS = 8_000_000


class WrittenCall:
    """One call of a function, told as signals. A custom tool's input is taken out of the function's arguments."""

    def __init__(self, index: int, call_id: str, callee: Callee, *, is_function: bool = True) -> None:
        """`is_function`: whether the model called a function, whatever that stands for."""
        self.call_id = call_id
        self._index = index
        self._callee = callee
        self._pieces: list[str] = []
        self._size = 0
        self._input = CustomInput() if callee.kind == "custom" and is_function else None
        self._is_text = callee.kind == "custom"

    def begin(self) -> Called | CalledTool:
        """The signal of the call itself."""
        return call_tool(self._index, self.call_id, self._callee.name, self._callee.kind, self._callee.namespace)

    def write(self, arguments: str) -> list[Signal]:
        """More of the arguments. Raises AnswerTooLarge."""
        self._size += len(arguments)
        if self._size > MAX_ARGUMENTS_CHARACTERS:
            raise too_large()
        if self._input is not None:
            return self._say(self._input.feed(arguments))
        self._pieces.append(arguments)
        return self._say(arguments)

    def finish(self, *, is_complete: bool) -> list[Signal]:
        """What is left when nothing more comes; the arguments of a call that is complete and has none are `{}`."""
        if self._input is not None:
            return self._say(self._input.finish())
        if is_complete and not self._is_text and not "".join(self._pieces).strip():
            return self.write(NO_ARGUMENTS)
        return []

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing of what was written: vLLM says `tool_calls` when it was cut (vllm#53269)."""
        if self._input is not None:
            return self._input.is_whole
        return self._is_text or is_document("".join(self._pieces))

    @property
    def has_begun(self) -> bool:
        """Whether there was any of its arguments."""
        return bool(self._pieces)

    def _say(self, text: str) -> list[Signal]:
        return [Argued(self._index, text)] if text else []
