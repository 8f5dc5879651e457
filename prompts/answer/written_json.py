"""Pure: the JSON that a model writes, and whether anybody could read it."""

from collections import defaultdict
from collections.abc import Sequence

from prompts.domain.model_request import ModelRequest
from prompts.domain.nesting import MAX_DEPTH, is_too_deep
from prompts.domain.signals import Argued, CalledTool, Signal, Text
from prompts.domain.text import PlainText
from prompts.errors import UpstreamError


class WrittenJson:
    """The arguments of one answer's calls, and its text where JSON was asked for. Inputs of custom tools are any text.

    A model that repeats itself writes `[[[[` without end; a client that reads such a call breaks.
    """

    def __init__(self, request: ModelRequest) -> None:
        self.has_form = not isinstance(request.text.format, PlainText)
        """Whether the text is JSON, too."""
        self._text: list[str] = []
        self._arguments: defaultdict[int, list[str]] = defaultdict(list)
        self._free: set[int] = set()

    def note(self, signals: Sequence[Signal]) -> None:
        """What the model has written."""
        for signal in signals:
            match signal:
                case Text(text) if self.has_form:
                    self._text.append(text)
                case Argued(index, text):
                    self._arguments[index].append(text)
                case CalledTool(index, kind="custom"):
                    self._free.add(index)

    def note_text(self, signals: Sequence[Signal]) -> None:
        """The same where all of them are text."""
        if self.has_form:
            self.note(signals)

    def check(self) -> None:
        """Raises UpstreamError when a document is nested too deeply: nobody asked for it, and few could read it."""
        calls = [pieces for index, pieces in self._arguments.items() if index not in self._free]
        if any(is_too_deep("".join(pieces)) for pieces in (self._text, *calls)):
            message = f"The model wrote JSON that is nested more than {MAX_DEPTH} levels deep. Send the input again."
            raise UpstreamError(message, is_final=True)
