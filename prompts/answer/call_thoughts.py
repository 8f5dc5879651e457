"""What a model's server wants back of its thoughts, where the client has not asked for a seal: it is kept with a call.

Servers want it with turns that call something. A client that continues a stored history sends the call's output alone,
so what was thought before the call has to be in the history.
"""

from collections.abc import Sequence

from prompts.domain.signals import Argued, Called, CalledTool, Sealed, Signal


class CallThoughts:
    """Turns each `Sealed` of one answer into an `Argued` of the next call, or at the end of the last one.

    Without a call nothing is kept.
    """

    def __init__(self) -> None:
        self._held: list[str] = []
        self._last_call: int | None = None

    @property
    def ends_with_text(self) -> bool:
        """False: text changes nothing about what is held."""
        return False

    def admit(self, signals: Sequence[Signal]) -> list[Signal]:
        """The signals; what was held follows the beginning of a call."""
        told: list[Signal] = []
        for signal in signals:
            match signal:
                case Sealed(content):
                    self._held.append(content)
                case Called(index) | CalledTool(index):
                    self._last_call = index
                    told += [signal, *self._keep(index)]
                case _:
                    told.append(signal)
        return told

    def finish(self) -> list[Signal]:
        """What came after the last call began: some servers say late what they want back with it."""
        last_call, self._last_call = self._last_call, None
        if last_call is not None:
            return self._keep(last_call)
        self._held = []
        return []

    def _keep(self, index: int) -> list[Signal]:
        held, self._held = self._held, []
        return [Argued(index, "", content) for content in held]
